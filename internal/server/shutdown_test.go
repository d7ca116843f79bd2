package server_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/elastickv/elastickv/store"
)

// gatedEngine holds back the durability of what is staged until its gate opens.
type gatedEngine struct {
	store.Engine
	waiting chan struct{} // receives when somebody waits
	gate    chan struct{}
	once    sync.Once
	fail    atomic.Bool
}

var errDisk = errors.New("the disk is on fire")

type gatedStage struct {
	store.Staged
	e *gatedEngine
}

func (e *gatedEngine) Stage(ctx context.Context, commits []store.Commit) (store.Staged, error) {
	st, err := e.Engine.Stage(ctx, commits)
	return gatedStage{st, e}, err
}

func (s gatedStage) Wait() error {
	s.e.waiting <- struct{}{}
	<-s.e.gate
	if s.e.fail.Load() {
		return errDisk
	}
	return s.Staged.Wait()
}

func newGated(t *testing.T) *gatedEngine {
	e := &gatedEngine{Engine: store.NewMVCCStore().(store.Engine), waiting: make(chan struct{}, 1000), gate: make(chan struct{})}
	t.Cleanup(e.open)
	return e
}

func (e *gatedEngine) open() { e.once.Do(func() { close(e.gate) }) }

// Nobody hears of a write before it is durable; a shutdown waits until they have.
func TestShutdownAnswersWhatIsUnderWay(t *testing.T) {
	e := newGated(t)
	r := start(t, e)
	w := dial(t, r.addr)
	idle := dial(t, r.addr)
	idle.ask("PING", "+PONG\r\n")
	w.send("SET k 1\r\nGET k\r\n")
	<-e.waiting
	r.stop()
	idle.expectClosed()
	_ = w.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	if b, err := w.r.ReadByte(); err == nil {
		t.Errorf("answered with %q before it was durable", b)
	}
	_ = w.SetReadDeadline(time.Now().Add(replyWait))
	e.open()
	w.expect("+OK\r\n$1\r\n1\r\n")
	w.expectClosed()
	if err := r.end(t); err != nil {
		t.Errorf("the server ended with %v", err)
	}
}

// If a write cannot be made durable, nobody is told that it was, and the server ends.
func TestStoreFailureEndsTheServer(t *testing.T) {
	e := newGated(t)
	e.fail.Store(true)
	e.open()
	r := start(t, e)
	w := dial(t, r.addr)
	w.send("SET k 1\r\n")
	w.expectClosed()
	if err := r.end(t); !errors.Is(err, errDisk) {
		t.Errorf("the server ended with %v, want %v", err, errDisk)
	}
	if !strings.Contains(r.log.String(), errDisk.Error()) {
		t.Errorf("the log does not tell:\n%s", r.log)
	}
}

func TestShutdownCommand(t *testing.T) {
	r := start(t, nil)
	idle := dial(t, r.addr)
	idle.ask("PING", "+PONG\r\n")
	w := dial(t, r.addr)
	w.send("SET k 1\r\nSHUTDOWN NOSAVE\r\nSET k 2\r\n")
	w.expect("+OK\r\n")
	w.expectClosed()
	idle.expectClosed()
	if err := r.end(t); err != nil {
		t.Errorf("the server ended with %v", err)
	}
}

// A client that is paused, and one that sleeps, do not hold a shutdown up.
func TestShutdownEndsPausesAndSleeps(t *testing.T) {
	r := start(t, nil)
	a, b, c := dial(t, r.addr), dial(t, r.addr), dial(t, r.addr)
	a.ask("CLIENT PAUSE 1000000 WRITE", "+OK\r\n")
	b.send("SET k 1\r\n")
	c.send("PING\r\nDEBUG SLEEP 1000\r\n")
	r.stop()
	if err := r.end(t); err != nil {
		t.Errorf("the server ended with %v", err)
	}
}

// Under load, every client has an answer to all that was carried out.
func TestShutdownUnderLoad(t *testing.T) {
	engine := store.NewMVCCStore().(store.Engine)
	r := start(t, engine)
	var clients sync.WaitGroup
	var acked [8]int
	var started sync.WaitGroup
	started.Add(len(acked))
	for i := range acked {
		w := dial(t, r.addr)
		clients.Go(func() {
			for n := 0; ; n++ {
				if n == 10 {
					started.Done()
				}
				if _, err := fmt.Fprintf(w.Conn, "RPUSH l%d %d\r\n", i, n); err != nil {
					return
				}
				if line, err := w.r.ReadString('\n'); err != nil || line != fmt.Sprintf(":%d\r\n", n+1) {
					return
				}
				acked[i] = n + 1
			}
		})
	}
	started.Wait()
	r.stop()
	if err := r.end(t); err != nil {
		t.Fatalf("the server ended with %v", err)
	}
	clients.Wait()
	w := dial(t, start(t, engine).addr)
	for i, n := range acked {
		w.ask(fmt.Sprintf("LLEN l%d", i), fmt.Sprintf(":%d\r\n", n))
	}
}

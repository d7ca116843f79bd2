package txn_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/elastickv/elastickv/hlc"
	"github.com/elastickv/elastickv/internal/txn"
	"github.com/elastickv/elastickv/store"
)

// performing is a DB over an engine with a gate, and what happens there.
type performing struct {
	*txn.Local
	g *gatedEngine

	mu     sync.Mutex
	events []string
}

func (p *performing) note(event string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.events = append(p.events, event)
}

func newPerforming() *performing {
	p := &performing{g: newGated()}
	p.Local = txn.NewLocal(p.g, hlc.New(time.Now), txn.Options{})
	return p
}

// task writes a key, and notes when it runs, is durable and is told.
func (p *performing) task(name string) *txn.Task {
	return &txn.Task{
		Run: func(seq *txn.Seq) {
			p.note("run " + name)
			_ = seq.Do(put(name, "v"))
			seq.AfterSync(func() { p.note("durable " + name) })
		},
		Then: func(err error) {
			if err != nil {
				name += ": " + err.Error()
			}
			p.note("told " + name)
		},
	}
}

// perform has names performed on a goroutine of its own, and returns when nothing moves.
func (p *performing) perform(names ...string) {
	var tasks []*txn.Task
	for _, n := range names {
		tasks = append(tasks, p.task(n))
	}
	go func() {
		p.Perform(context.Background(), tasks...)
		p.note("back from " + strings.Join(names, " "))
	}()
	synctest.Wait()
}

func (p *performing) sync(err error) {
	p.g.gate <- err
	synctest.Wait()
}

// expect compares what has happened since the last call. Of a line of want the order counts; who tells and who
// runs what comes next do not wait for each other.
func (p *performing) expect(t *testing.T, want ...string) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, line := range want {
		events := strings.Split(line, ", ")
		n += len(events)
		got := slices.DeleteFunc(slices.Clone(p.events), func(e string) bool { return !slices.Contains(events, e) })
		if !slices.Equal(got, events) {
			t.Errorf("got %q, want %q", p.events, line)
		}
	}
	if n != len(p.events) {
		t.Errorf("got %q, want %q", p.events, want)
	}
	p.events = nil
}

// Who performs tasks comes back when they are durable and have been told. What others ask for meanwhile is a run of its own, behind it.
func TestPerform(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPerforming()
		p.perform("a", "b")
		p.Enqueue(context.Background(), p.task("c"))
		synctest.Wait()
		p.perform("d")
		p.expect(t, "run a, run b")
		p.sync(nil)
		p.expect(t, "durable a, durable b, told a, told b, back from a b", "run c, run d")
		p.sync(nil)
		p.expect(t, "durable c, durable d, told c, told d", "back from d")
		if n := p.g.stages.Load(); n != 2 {
			t.Errorf("there were %d batches, want 2", n)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
}

// Tasks to be performed run behind the runs that the sequencer has on their way, and hear what has become of those.
func TestPerformBehindTheSequencer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPerforming()
		p.Enqueue(context.Background(), p.task("a"))
		synctest.Wait()
		p.perform("b")
		p.expect(t, "run a")
		p.sync(nil)
		p.expect(t, "durable a, told a", "run b")
		p.sync(errors.New("disk on fire"))
		p.expect(t, "told b: txn: commit is not durable: disk on fire, back from b")
		p.perform("c")
		p.sync(nil)
		p.expect(t, "run c, told c: txn: commit is not durable: disk on fire, back from c")
		p.Enqueue(context.Background(), p.task("d"))
		synctest.Wait()
		p.sync(nil)
		p.expect(t, "run d, told d: txn: commit is not durable: disk on fire")
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		p.perform("e")
		p.expect(t, "told e: "+txn.ErrClosed.Error()+", back from e")
	})
}

// Tasks that are to be performed can be withdrawn while somebody else has the turn.
func TestPerformWithdrawn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPerforming()
		release := make(chan struct{})
		p.Enqueue(context.Background(), &txn.Task{Run: func(*txn.Seq) { <-release }, Then: func(error) { p.note("told slow") }})
		synctest.Wait()
		ctx, giveUp := context.WithCancelCause(context.Background())
		var all sync.WaitGroup
		all.Go(func() { p.Perform(ctx, p.task("a")) })
		synctest.Wait()
		giveUp(errors.New("busy"))
		p.Withdraw()
		p.expect(t, "told a: busy")
		close(release)
		all.Wait()
		synctest.Wait()
		p.expect(t, "told slow")
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
}

// However tasks come, they run one after the other, in the order in which they hear that they are durable, and each is told once.
func TestPerformAmongOthers(t *testing.T) {
	const callers, each = 8, 300
	db := txn.NewLocal(store.NewMVCCStore().(store.Engine), hlc.New(time.Now), txn.Options{})
	ran, durable := 0, 0 // the sequencer's, and those of who concludes
	run := func(seq *txn.Seq) {
		if err := seq.Do(increment); err != nil {
			t.Error(err)
		}
		ran++
		n := ran
		seq.AfterSync(func() {
			if durable++; durable != n {
				t.Errorf("number %d is durable as number %d", n, durable)
			}
		})
	}
	var all sync.WaitGroup
	for i := range callers {
		all.Go(func() {
			told := make(chan error, 2)
			task := &txn.Task{Run: run, Then: func(err error) { told <- err }}
			for n := range each {
				var err error
				switch (i + n) % 3 {
				case 0:
					db.Perform(t.Context(), task)
					err = <-told
				case 1:
					db.Enqueue(t.Context(), task)
					err = <-told
				default:
					err = db.Sequence(t.Context(), run)
				}
				if err != nil || len(told) > 0 {
					t.Errorf("told %v, and %d times more", err, len(told))
				}
			}
		})
	}
	all.Wait()
	if got, want := seen(t, db, "n"), fmt.Sprintf("\x00\x00\x00\x00\x00\x00%c%c", callers*each>>8, callers*each&0xff); got != want {
		t.Errorf("the counter is %x, want %x", got, want)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	if ran != callers*each || durable != ran {
		t.Errorf("%d ran and %d were durable, want %d", ran, durable, callers*each)
	}
}

package host

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	pb "go.etcd.io/raft/v3/raftpb"

	"github.com/elastickv/elastickv/internal/replica"
	"github.com/elastickv/elastickv/internal/replica/raftlog"
	"github.com/elastickv/elastickv/internal/testkit/crashable"
	"github.com/elastickv/elastickv/internal/txn"
)

// A disk that fails ends the node: its owner is told once, whoever waits is not told that it is done, and the
// others go on without it.
func TestDiskFails(t *testing.T) {
	for _, folder := range []string{"log", "data"} {
		t.Run(folder, func(t *testing.T) {
			broken := errorfs.Toggle{Injector: errorfs.InjectorFunc(func(op errorfs.Op) error {
				if strings.HasPrefix(op.Path, folder) && op.Kind.ReadOrWrite() == errorfs.OpIsWrite && op.Kind != errorfs.OpFileClose {
					return errorfs.ErrInjected
				}
				return nil
			})}
			c := newCluster(t, 3, func(o *Options) { o.LogEntries = 20 })
			lead := c.leader()
			lead.stop()
			lead.fs = errorfs.Wrap(lead.fs, &broken)
			lead.start()
			c.equal()
			other := c.leader()
			if other != lead {
				must(t, other.group.Transfer(deadline(t), lead.replica))
			}
			c.leader(lead)
			must(t, lead.put("k", "before"))
			broken.On()
			var unknown []<-chan error
			for i := range 100 { // the data is synced when the log is cut off
				unknown = append(unknown, lead.propose(fmt.Sprint("k", i), "v"))
			}
			select {
			case err := <-lead.failed:
				t.Log("the owner is told: ", strings.SplitN(err.Error(), "\n", 2)[0])
			case <-time.After(patience):
				t.Fatal("nobody is told")
			}
			told := map[error]int{}
			for _, done := range unknown {
				err := <-done
				if folder == "log" && err == nil {
					t.Error("a proposal is acknowledged that no log has")
				}
				for _, kind := range []error{nil, txn.ErrUnknown, txn.ErrNotCommitted, errNotLeading} {
					if errors.Is(err, kind) {
						told[kind]++
					}
				}
			}
			t.Log(told)
			// The process ends here; what the engines still have open ends with it.
			must(t, lead.host.Close())
			lead.host, lead.group = nil, nil
			select {
			case err := <-lead.failed:
				t.Errorf("the owner is told twice: %v", err)
			default:
			}
			c.write("k", "after")
			c.equal()
		})
	}
}

// Faults by chance, while clients write: what was acknowledged is there at the end, nothing that is known not to be
// committed, and all replicas are the same.
func TestFaults(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	c := newCluster(t, 3, func(o *Options) { o.LogEntries = 200 })
	faults := 8
	if testing.Short() {
		faults = 4
	}
	written := map[string]error{} // by key
	for i := range faults {
		stop := make(chan struct{})
		var guard sync.Mutex
		var clients sync.WaitGroup
		up := c.up()
		for _, n := range up {
			clients.Go(func() {
				for k := 0; ; k++ {
					select {
					case <-stop:
						return
					default:
					}
					_, leading, changed := n.group.Lead()
					if !leading {
						select {
						case <-changed:
						case <-stop:
							return
						}
						continue
					}
					var keys []string
					var dones []<-chan error
					for j := range 8 {
						keys = append(keys, fmt.Sprint("fault ", i, " node ", n.id, " write ", k, ".", j))
						dones = append(dones, n.propose(keys[j], "x"))
					}
					for j, done := range dones {
						err := <-done
						guard.Lock()
						written[keys[j]] = err
						guard.Unlock()
					}
				}
			})
		}
		count := func() int {
			guard.Lock()
			defer guard.Unlock()
			acked := 0
			for _, err := range written {
				if err == nil {
					acked++
				}
			}
			return acked
		}
		before := count()
		c.await("progress", func() bool { return count() > before+50 })
		victim := up[rng.IntN(len(up))]
		var fault string
		switch rng.IntN(3) {
		case 0:
			fault = "a partition"
			c.net.isolate(victim, c.others(victim))
		case 1:
			fault = "another leader"
			_ = c.leader().group.Transfer(deadline(t), victim.replica)
		default:
			fault = "no fault but an end"
		}
		t.Logf("%s around node %d", fault, victim.id)
		before = count()
		c.await("progress in spite of it", func() bool { return count() > before+50 })
		close(stop)
		c.net.heal()
		if rng.IntN(2) == 0 {
			clients.Wait()
			victim.crash()
			c.leader()
			victim.start()
		}
		clients.Wait()
	}
	c.equal()
	lead := c.leader()
	counts := map[string]int{}
	for key, err := range written {
		switch there := lead.get(key) == "x"; {
		case err == nil && !there:
			t.Errorf("%s is acknowledged and lost", key)
		case errors.Is(err, txn.ErrNotCommitted) && there:
			t.Errorf("%s is known not to be committed, and there", key)
		case err == nil:
			counts["acknowledged"]++
		case errors.Is(err, txn.ErrUnknown):
			counts["unknown"]++
		default:
			counts["not committed"]++
		}
	}
	t.Log(counts)
}

// What the length of a log is made of.
func TestLength(t *testing.T) {
	var l length
	l.init(10, 110, 4<<20)
	if n, b := l.of(); n != 100 || b != 4<<20 {
		t.Errorf("at first %d entries, %d bytes", n, b)
	}
	if got := l.half(); got != 60 {
		t.Errorf("half of one piece is up to %d", got)
	}
	for i := uint64(111); i <= 120; i++ {
		l.add([]*pb.Entry{{Index: new(i), Data: make([]byte, 2<<20)}})
	}
	if n, b := l.of(); n != 110 || b < 24<<20 || b > 25<<20 {
		t.Errorf("then %d entries, %d bytes", n, b)
	}
	upTo := l.half()
	if upTo != 114 {
		t.Errorf("half of the bytes is up to %d", upTo)
	}
	l.cut(upTo)
	if n, b := l.of(); n != 6 || b < 12<<20 || b > 13<<20 {
		t.Errorf("after the cut %d entries, %d bytes", n, b)
	}
	l.cut(5) // of before
	l.add([]*pb.Entry{{Index: new(uint64(118))}})
	if n, _ := l.of(); n != 6 {
		t.Errorf("what takes the place of others counts as %d entries", n)
	}
	l.init(200, 0, 0)
	if n, b := l.of(); n != 0 || b != 0 || l.half() != 200 {
		t.Errorf("behind an image %d entries, %d bytes, half %d", n, b, l.half())
	}
}

// An inbox refuses what is too much, and nothing that is part of work under way.
func TestInbox(t *testing.T) {
	var i inbox
	i.init()
	large := &pb.Message{Entries: []*pb.Entry{{Data: make([]byte, 40<<20)}}}
	did := map[string]int{}
	event := func(name string) event {
		return func(w *worker) {
			if w == nil {
				name += " at the end"
			}
			did[name]++
		}
	}
	for range 3 {
		i.putMessage(large, event("message"))
		i.putProposal(40<<20, event("proposal"))
		i.put(event("answer"))
		i.tick()
	}
	events, ticked := i.take()
	for _, e := range events {
		e(&worker{})
	}
	if !ticked || fmt.Sprint(did) != "map[answer:3 message:1 proposal:1]" {
		t.Errorf("ticked %v, %v", ticked, did)
	}
	if !i.putProposal(80<<20, event("proposal")) {
		t.Error("no room for one")
	}
	for _, e := range i.close() {
		e(nil)
	}
	i.put(event("late answer"))
	i.putMessage(large, event("late message"))
	if i.putProposal(1, event("late proposal")) {
		t.Error("a proposal is taken that nobody makes")
	}
	if did["proposal at the end"] != 1 || did["late answer at the end"] != 1 || len(did) != 5 {
		t.Error(did)
	}
}

// A reader is told in any case, and an answer to a question that was given up is none.
func TestQuestions(t *testing.T) {
	c := newCluster(t, 1)
	g := c.leader().group
	var q questions
	q.init(g)
	r := &reader{done: make(chan error, 1)}
	q.waiting = []*reader{r}
	err := g.ask(deadline(t), func(w *worker) error {
		w.reads, q = q, w.reads
		defer func() { w.reads = q }()
		first := w.reads.id
		if !w.reads.next(w) || w.reads.next(w) {
			return errors.New("not one question")
		}
		old := w.reads.id
		if string(first) == string(old) {
			return errors.New("an id comes twice")
		}
		for range askTicks {
			w.ticks++
			w.reads.tick(w)
		}
		if !w.reads.next(w) {
			return errors.New("it is not asked again")
		}
		w.reads.answered(replica.Read{ID: old, Index: 1})
		if len(w.reads.asked) != 1 {
			return errors.New("an old answer counts")
		}
		w.reads.answered(replica.Read{ID: w.reads.id, Index: 1})
		return nil
	})
	must(t, err)
	must(t, <-r.done)
}

// A disk has lost the end of the log together with all that tells of it. The leader knows what it was told, so the node ends before
// it votes, in words, and its log is opened no more.
func TestForgotten(t *testing.T) {
	c := newCluster(t, 3)
	lead := c.leader()
	c.write("k", "before")
	c.equal()
	n := c.others(lead)[0]
	n.stop()
	older := n.disk.CrashClone(vfs.CrashCloneCfg{})
	n.start()
	c.write("k", "acknowledged")
	c.equal()
	n.stop()
	n.disk, n.fs = older, crashable.FS{MemFS: older}
	n.start()
	select {
	case err := <-n.failed:
		if !errors.Is(err, raftlog.ErrForgotten) {
			t.Fatalf("it ends with %v", err)
		}
		t.Log(err)
	case <-time.After(patience):
		t.Fatal("it goes on")
	}
	for _, other := range c.up() {
		if role := other.group.Figures(); other != n && role.Leader == n.replica {
			t.Errorf("node %d follows it", other.id)
		}
	}
	n.stop()
	if log, err := raftlog.Open("log", raftlog.Options{FS: n.disk.CrashClone(vfs.CrashCloneCfg{})}); !errors.Is(err, raftlog.ErrForgotten) {
		t.Errorf("its log is opened again: %v, %v", log, err)
	}
	c.write("k", "without it")
}

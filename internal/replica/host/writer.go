package host

import (
	"sync"
	"sync/atomic"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"

	"github.com/elastickv/elastickv/internal/replica"
)

// writer makes durable what the replicas of all groups promise. While it syncs, more gathers for the
// next time.
type writer struct {
	h     *Host
	ready chan struct{} // holds one when there is something to write

	writes, nanos atomic.Int64

	mu struct { // a leaf; also of the appends of every group
		sync.Mutex
		dirty []*Group // those that have something, each once
	}
}

// appends is what a group has for the writer. The lock is the writer's.
type appends struct {
	waiting    []toAppend
	dirty      bool
	installing bool // a snapshot: what is behind it waits
}

// toAppend is a message of Append work, and its image if it has a snapshot.
type toAppend struct {
	m     *pb.Message
	image *stage
}

func (w *writer) init(h *Host) {
	w.h, w.ready = h, make(chan struct{}, 1)
}

// put has messages of a group written.
func (w *writer) put(g *Group, more ...toAppend) {
	w.mu.Lock()
	g.appends.waiting = append(g.appends.waiting, more...)
	w.mark(g)
	w.mu.Unlock()
	w.signal()
}

// installed says that the snapshot is installed, so that what is behind it can be written.
func (w *writer) installed(g *Group) {
	w.mu.Lock()
	g.appends.installing = false
	w.mark(g)
	w.mu.Unlock()
	w.signal()
}

// mark makes a group dirty if it has something that can be written. The caller holds the lock.
func (w *writer) mark(g *Group) {
	if a := &g.appends; len(a.waiting) > 0 && !a.installing && !a.dirty {
		a.dirty = true
		w.mu.dirty = append(w.mu.dirty, g)
	}
}

func (w *writer) signal() {
	select {
	case w.ready <- struct{}{}:
	default:
	}
}

// job is what the writer does at once: what it writes, and which snapshots it then has installed.
type job struct {
	writes   []replica.Append
	of       []*Group // of each of writes
	installs map[*Group]toAppend
}

func (w *writer) take() (j job) {
	w.mu.Lock()
	defer w.mu.Unlock()
	j.installs = map[*Group]toAppend{}
	for _, g := range w.mu.dirty {
		a := &g.appends
		a.dirty = false
		var messages []*pb.Message
		for i, t := range a.waiting {
			if replica.HasSnapshot(t.m) {
				j.installs[g] = t
				a.installing = true
				a.waiting = a.waiting[i+1:]
				break
			}
			messages = append(messages, t.m)
		}
		if !a.installing {
			a.waiting = nil
		}
		if len(messages) > 0 {
			j.writes, j.of = append(j.writes, replica.Append{Group: g.log, Messages: messages}), append(j.of, g)
		}
	}
	w.mu.dirty = nil
	return j
}

// run writes until the host ends.
func (w *writer) run() {
	defer w.h.guard()
	for {
		select {
		case <-w.ready:
		case <-w.h.ctx.Done():
			return
		}
		j := w.take()
		if err := w.write(j); err != nil {
			w.h.fail(err)
			return
		}
		for g, t := range j.installs {
			g.applier.put(toApply{do: func() error { return g.install(t) }})
		}
	}
}

func (w *writer) write(j job) error {
	if len(j.writes) == 0 {
		return nil
	}
	now := w.h.o.Transport.Now
	began := now()
	answers, err := (&replica.Appender{Log: w.h.o.Log}).Write(j.writes)
	if err != nil {
		return err
	}
	w.writes.Add(1)
	w.nanos.Add(int64(now().Sub(began)))
	for i, g := range j.of {
		g.deliver(answers[i])
	}
	return nil
}

// LogWrites tells how often the log was written, and how long that took in all.
func (h *Host) LogWrites() (n int64, took time.Duration) {
	return h.writer.writes.Load(), time.Duration(h.writer.nanos.Load())
}

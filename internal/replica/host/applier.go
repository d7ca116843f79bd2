package host

import (
	"fmt"
	"sync"

	pb "go.etcd.io/raft/v3/raftpb"

	"github.com/elastickv/elastickv/internal/replica"
	"github.com/elastickv/elastickv/internal/replica/transport"
)

// applier is the one who changes the data of a group. raft bounds what waits for it.
type applier struct {
	ready chan struct{} // holds one when there is something to do
	ended chan struct{} // closed when nothing is done any more

	mu struct { // a leaf
		sync.Mutex
		waiting []toApply
	}
}

// toApply is either Apply work or something else to do with the data. An error is final.
type toApply struct {
	m  *pb.Message
	do func() error
}

func (a *applier) init() { a.ready, a.ended = make(chan struct{}, 1), make(chan struct{}) }

func (a *applier) put(more ...toApply) {
	a.mu.Lock()
	a.mu.waiting = append(a.mu.waiting, more...)
	a.mu.Unlock()
	select {
	case a.ready <- struct{}{}:
	default:
	}
}

func (a *applier) take() []toApply {
	a.mu.Lock()
	defer a.mu.Unlock()
	waiting := a.mu.waiting
	a.mu.waiting = nil
	return waiting
}

// apply does what the applier of a group has to do, until the host ends.
func (g *Group) apply() {
	defer close(g.applier.ended)
	defer g.h.guard()
	for {
		select {
		case <-g.applier.ready:
		case <-g.h.ctx.Done():
			return
		}
		if err := g.applyAll(g.applier.take()); err != nil {
			g.h.fail(fmt.Errorf("host: group %d: %w", g.id, err))
			return
		}
	}
}

// applyAll does all in order; entries that follow one another get into the data together.
func (g *Group) applyAll(waiting []toApply) error {
	for len(waiting) > 0 && g.h.ctx.Err() == nil {
		if do := waiting[0].do; do != nil {
			waiting = waiting[1:]
			if err := do(); err != nil {
				return err
			}
			continue
		}
		var work []*pb.Message
		for len(waiting) > 0 && waiting[0].m != nil {
			work, waiting = append(work, waiting[0].m), waiting[1:]
		}
		if err := g.applyEntries(work); err != nil {
			return err
		}
	}
	return nil
}

func (g *Group) applyEntries(work []*pb.Message) error {
	done, err := g.machine.Do(work...)
	if err != nil {
		return err
	}
	effective := map[uint64]bool{}
	for _, c := range done.Changes {
		effective[c.Index] = true
	}
	for _, m := range work {
		for _, e := range m.GetEntries() {
			g.settle(e.GetIndex(), e.GetTerm(), effective[e.GetIndex()])
		}
	}
	g.advanced()
	if len(done.Changes) > 0 {
		g.h.nodesChanged()
		g.inbox.put(func(w *worker) {
			if w != nil {
				w.changed(done.Changes)
			}
		})
	}
	g.deliver(done.Answers)
	return nil
}

// install puts an image that has arrived in the place of the data.
func (g *Group) install(t toAppend) error {
	defer g.h.drop(t.image)
	meta := t.m.GetSnapshot().GetMetadata()
	g.logger.Info("a snapshot is being installed", "index", meta.GetIndex())
	image, err := t.image.open()
	if err != nil {
		return err
	}
	defer image.Close()
	answers, err := (&replica.Appender{Log: g.h.o.Log}).Install(g.log, g.machine, t.m, image)
	if err != nil {
		return err
	}
	g.logger.Info("a snapshot has been installed", "index", meta.GetIndex())
	g.overtaken(meta.GetIndex())
	g.advanced()
	g.h.nodesChanged()
	g.deliver(answers)
	g.h.writer.installed(g)
	return nil
}

// image returns an image of the data as of a moment between two entries, and the message that says of
// which. m is the one that raft wants to have sent.
func (g *Group) image(m *pb.Message) (*pb.Message, transport.Image, error) {
	type result struct {
		meta  *pb.SnapshotMetadata
		image transport.Image
		err   error
	}
	made := make(chan result, 1)
	g.applier.put(toApply{do: func() error {
		meta, err := g.machine.Metadata(g.log)
		if err != nil {
			made <- result{err: err}
			return nil
		}
		image, err := g.machine.Snapshot()
		made <- result{meta, image, err}
		return nil
	}})
	var r result
	select {
	case r = <-made:
	case <-g.applier.ended:
		select {
		case r = <-made:
		default:
			r.err = ErrClosed
		}
	}
	if r.err != nil {
		return nil, nil, r.err
	}
	late := &pb.Message{Type: m.Type, From: m.From, To: m.To, Term: m.Term, Snapshot: &pb.Snapshot{Metadata: r.meta}}
	return late, r.image, nil
}

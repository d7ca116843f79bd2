package host

import (
	"errors"
	"maps"

	pb "go.etcd.io/raft/v3/raftpb"

	"github.com/elastickv/elastickv/internal/replica"
)

// worker owns a replica: nobody else touches it.
type worker struct {
	g     *Group
	r     *replica.Replica
	ticks uint64
	role  replica.Role
	began uint64 // the entry that the lead of this replica begins with

	lostTerm, lostAt uint64 // the last lead that ended, and at which tick

	heard   map[uint64]uint64 // at which tick others were heard of last; of those that were lately
	reads   questions
	watches []*watch
	length  length

	image *stage // of the snapshot that is being taken in
}

func newWorker(g *Group, r *replica.Replica) *worker {
	w := &worker{g: g, r: r, heard: map[uint64]uint64{}}
	w.reads.init(g)
	first, _ := g.log.FirstIndex()
	w.length.init(first-1, r.Last(), g.log.Found())
	return w
}

// run works until the host ends.
func (w *worker) run() {
	defer w.end()
	defer w.g.h.guard()
	// Who is alone waits for nobody.
	if voters := w.g.machine.Members().Conf.GetVoters(); len(voters) == 1 && voters[0] == w.g.replica {
		w.r.Campaign()
	}
	for w.g.h.ctx.Err() == nil {
		w.settle()
		select {
		case <-w.g.inbox.ready:
		case <-w.g.h.ctx.Done():
			return
		}
		events, ticked := w.g.inbox.take()
		for i, e := range events {
			events[i] = nil // what panics is not called again by end
			e(w)
		}
		if ticked {
			w.tick()
		}
	}
}

// end tells all who wait that it is over.
func (w *worker) end() {
	for _, e := range w.g.inbox.close() {
		e(nil)
	}
	w.g.lease.Store(0)
	w.g.publish(0, false)
	w.g.abandon(func(wait) bool { return true })
	w.reads.end()
	for _, watch := range w.watches {
		watch.answer <- ErrClosed
	}
}

// settle hands out what there is to do, and shows what has become of the replica.
func (w *worker) settle() {
	for {
		w.route()
		w.follow()
		if !w.reads.next(w) {
			break
		}
	}
	w.lead()
	w.show()
	w.watch()
}

// route hands the work of the replica to those who do it. One that has lost something is the end, and the log is opened no more.
func (w *worker) route() {
	work := w.r.Ready()
	if work.Lost != nil {
		w.g.h.fail(errors.Join(work.Lost, w.g.h.o.Log.Condemn()))
		return
	}
	w.lease() // it may have ended, or more be committed, and others must not hear of that first
	if len(work.Append) > 0 {
		appends := make([]toAppend, 0, len(work.Append))
		for _, m := range work.Append {
			w.length.add(m.GetEntries())
			t := toAppend{m: m}
			if replica.HasSnapshot(m) {
				t.image, w.image = w.image, nil
				w.length.init(m.GetSnapshot().GetMetadata().GetIndex(), 0, 0)
			}
			appends = append(appends, t)
		}
		w.g.h.writer.put(w.g, appends...)
	}
	if len(work.Apply) > 0 {
		applies := make([]toApply, 0, len(work.Apply))
		for _, m := range work.Apply {
			applies = append(applies, toApply{m: m})
		}
		w.g.applier.put(applies...)
	}
	for _, m := range work.Send {
		w.g.send(m)
	}
	for _, read := range work.Reads {
		w.reads.answered(read)
	}
}

// restore takes in a snapshot whose image has arrived, and reports whether raft did: then the image is the
// applier's.
func (w *worker) restore(m *pb.Message, image *stage) bool {
	w.route()
	w.image = image
	w.r.Step(m)
	w.route()
	taken := w.image == nil
	w.image = nil
	return taken
}

// activeTicks is how long a replica counts as alive that nothing is heard of.
const activeTicks = 20

// active reports whether a replica was heard of lately.
func (w *worker) active(id uint64) bool {
	_, ok := w.heard[id]
	return ok || id == w.g.replica
}

// changed tells raft of changes of members that were applied.
func (w *worker) changed(changes []replica.Change) {
	for _, c := range changes {
		w.r.Changed(c)
	}
	w.g.logger.Info("the members have changed", "members", w.g.machine.Members().String())
}

// tick lets a tick pass.
func (w *worker) tick() {
	w.ticks++
	w.r.Tick()
	maps.DeleteFunc(w.heard, func(_, at uint64) bool { return w.ticks > at+activeTicks })
	w.reads.tick(w)
	if w.lostTerm > 0 && w.ticks >= w.lostAt+unknownTicks {
		w.abandonLost()
	}
	w.truncate()
	w.promote()
}

// unknownTicks is how long proposals of a lead that has ended may still turn out to be committed, or not, before
// who waits for them is told that nobody knows.
const unknownTicks = 10

func (w *worker) abandonLost() {
	lost := w.lostTerm
	w.g.abandon(func(of wait) bool { return of.term <= lost })
	w.lostTerm = 0
}

// follow notices who leads.
func (w *worker) follow() {
	role, before := w.r.Role(), w.role
	if role == before {
		return
	}
	w.role = role
	if before.Leading && (!role.Leading || role.Term != before.Term) {
		w.abandonLost()
		w.lostTerm, w.lostAt = before.Term, w.ticks
	}
	switch {
	case role.Leading:
		// Raft has put an entry into the log that its term begins with, and all before it are from earlier
		// ones. If there is more behind it, that is waited for, too.
		w.began = w.r.Last()
		w.g.logger.Info("this node leads", "term", role.Term)
	case role.Leader == 0:
		w.g.logger.Info("nobody leads", "term", role.Term)
	default:
		w.g.logger.Info("another replica leads", "term", role.Term, "leader", role.Leader)
	}
	w.reads.restart()
}

// lease shows until when this replica can answer reads by itself.
func (w *worker) lease() {
	var end int64
	if w.role.Leading && w.r.Role() == w.role && w.g.machine.Applied() >= w.began {
		end = int64(w.r.LeaseEnd())
	}
	w.g.commit.Store(w.r.Commit())
	w.g.lease.Store(end)
}

// lead shows whether this replica leads and has everything of before applied.
func (w *worker) lead() {
	if w.role.Leading && w.g.machine.Applied() >= w.began {
		w.g.publish(w.role.Term, true)
	} else {
		w.g.publish(0, false)
	}
}

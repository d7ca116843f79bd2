package host

import (
	"sync"

	pb "go.etcd.io/raft/v3/raftpb"
)

// event is something that a worker does. It is called once: with nil if the worker has ended.
type event func(*worker)

// inbox holds what a worker is to do. What is part of work under way is never refused; messages of other
// replicas and proposals are, when as many bytes wait as inboxBytes, each kind for itself.
type inbox struct {
	ready chan struct{} // holds one when there is something

	mu struct { // a leaf
		sync.Mutex
		events    []event
		messages  int // bytes
		proposals int // bytes
		ticked    bool
		closed    bool
	}
}

const inboxBytes = 64 << 20

func (i *inbox) init() { i.ready = make(chan struct{}, 1) }

// put has a worker do e, or calls it with nil if that is over.
func (i *inbox) put(e event) {
	i.mu.Lock()
	closed := i.mu.closed
	if !closed {
		i.mu.events = append(i.mu.events, e)
	}
	i.mu.Unlock()
	if closed {
		e(nil)
		return
	}
	i.signal()
}

// putMessage has a worker take a message in, if there is room.
func (i *inbox) putMessage(m *pb.Message, e event) {
	size := 128
	for _, entry := range m.GetEntries() {
		size += 32 + len(entry.GetData())
	}
	i.mu.Lock()
	if i.mu.closed || i.mu.messages > 0 && i.mu.messages+size > inboxBytes {
		i.mu.Unlock()
		return
	}
	i.mu.messages += size
	i.mu.events = append(i.mu.events, e)
	i.mu.Unlock()
	i.signal()
}

// putProposal has a worker make a proposal, and reports whether it will.
func (i *inbox) putProposal(size int, e event) bool {
	i.mu.Lock()
	if i.mu.closed || i.mu.proposals > 0 && i.mu.proposals+size > inboxBytes {
		i.mu.Unlock()
		return false
	}
	i.mu.proposals += size
	i.mu.events = append(i.mu.events, e)
	i.mu.Unlock()
	i.signal()
	return true
}

// tick says that time has passed. A worker that was not there in the meantime has missed a tick, and takes
// nobody for dead because of it.
func (i *inbox) tick() {
	i.mu.Lock()
	i.mu.ticked = true
	i.mu.Unlock()
	i.signal()
}

func (i *inbox) signal() {
	select {
	case i.ready <- struct{}{}:
	default:
	}
}

// take returns all that waits, and whether a tick has passed.
func (i *inbox) take() (events []event, ticked bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	events, ticked = i.mu.events, i.mu.ticked
	i.mu.events, i.mu.ticked, i.mu.messages, i.mu.proposals = nil, false, 0, 0
	return events, ticked
}

// close lets nothing in any more, and returns what waits.
func (i *inbox) close() []event {
	i.mu.Lock()
	i.mu.closed = true
	i.mu.Unlock()
	events, _ := i.take()
	return events
}

package relay

import (
	"net"
	"sync"
)

// outboxMost is how much may wait to be written before those who send have to wait.
const outboxMost = 1 << 20

// keepMost is how large a buffer may be that is kept for the next frames.
const keepMost = 2 * outboxMost

// outbox writes frames to a connection: all that have gathered at once.
type outbox struct {
	conn  net.Conn
	o     *Options
	ready chan struct{} // holds one when there is something to write
	done  chan struct{} // closed when nothing more is written

	mu    sync.Mutex // a leaf
	room  *sync.Cond // signalled when something was written, or never will be
	buf   []byte
	spare []byte // of the last write
	put   uint64 // bytes that have been put in, ever
	taken uint64 // of these, those that the connection has been given
	err   error  // why nothing more is written
}

func newOutbox(conn net.Conn, o *Options) *outbox {
	b := &outbox{conn: conn, o: o, ready: make(chan struct{}, 1), done: make(chan struct{})}
	b.room = sync.NewCond(&b.mu)
	return b
}

// message puts a message in, waiting for room between its parts, and returns where it begins. An error says that it is not
// whole, and that the connection has failed.
func (b *outbox) message(stream uint64, m []byte) (begin uint64, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	begin = b.put
	for first := true; first || len(m) > 0; first = false {
		n, k := min(len(m), partMost), kindPart
		if n == len(m) {
			k = kindLast
		}
		if err := b.waitLocked(); err != nil {
			return begin, err
		}
		if first {
			begin = b.put
		}
		b.putLocked(k, stream, m[:n])
		m = m[n:]
	}
	return begin, nil
}

// parts puts in what is not the end of a message.
func (b *outbox) parts(stream uint64, m []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(m) > 0 {
		if err := b.waitLocked(); err != nil {
			return err
		}
		n := min(len(m), partMost)
		b.putLocked(kindPart, stream, m[:n])
		m = m[n:]
	}
	return nil
}

// say puts in a frame that is short and does not wait.
func (b *outbox) say(k kind, stream uint64, body []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == nil {
		b.putLocked(k, stream, body)
	}
}

func (b *outbox) waitLocked() error {
	for b.err == nil && len(b.buf) >= outboxMost {
		b.room.Wait()
	}
	return b.err
}

func (b *outbox) putLocked(k kind, stream uint64, body []byte) {
	b.buf = appendFrame(b.buf, k, stream, body)
	b.put += uint64(frameStart + len(body))
	select {
	case b.ready <- struct{}{}:
	default:
	}
}

// unsent reports whether nothing of what begins there was given to the connection, which has failed.
func (b *outbox) unsent(begin uint64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return begin >= b.taken
}

// fail ends the writing. The first reason stays.
func (b *outbox) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == nil {
		b.err = err
		b.buf = nil
		close(b.done)
	}
	b.room.Broadcast()
}

// run writes until the connection fails, or fail is called.
func (b *outbox) run() error {
	for {
		select {
		case <-b.ready:
		case <-b.done:
			return b.err
		}
		if err := b.write(); err != nil {
			return err
		}
	}
}

func (b *outbox) write() error {
	b.mu.Lock()
	taken := b.buf
	b.buf, b.spare = b.spare[:0], nil
	b.taken = b.put
	b.mu.Unlock()
	if len(taken) == 0 {
		return nil
	}
	if err := b.conn.SetWriteDeadline(b.o.Now().Add(b.o.Timeout)); err != nil {
		return err
	}
	_, err := b.conn.Write(taken)
	b.mu.Lock()
	defer b.mu.Unlock()
	if cap(taken) <= keepMost {
		b.spare = taken
	}
	b.room.Broadcast()
	return err
}

package transport

import (
	"context"
	"errors"
	"maps"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"

	"github.com/elastickv/elastickv/internal/replica/raftlog"
)

// lane is one way to a peer: a queue, and a goroutine that makes a connection and writes the queue into it, time
// and again.
type lane struct {
	t     *Transport
	peer  *peer
	use   purpose
	queue queue
}

func newLane(t *Transport, p *peer, use purpose) *lane {
	l := &lane{t: t, peer: p, use: use, queue: queue{max: t.o.QueueBytes, ready: make(chan struct{}, 1)}}
	l.queue.mu.opened, l.queue.mu.to = true, map[Address]struct{}{}
	return l
}

// backoffFirst is how long a lane waits before it dials again: twice as long after each time that was in vain,
// up to Options.Backoff.
const backoffFirst = 50 * time.Millisecond

// run connects, and connects again, until ctx ends. While it waits to dial again, the queue, which is open at
// first, takes nothing.
func (l *lane) run(ctx context.Context) {
	log := l.t.o.Log.With("node", l.peer.id, "addr", l.peer.addr, "connection", l.use)
	backoff, logged := backoffFirst, false
	for {
		c, closeConn, err := l.t.connect(ctx, l.peer, l.use)
		if err == nil {
			began := l.t.o.Now()
			log.Info("connected to a node")
			logged = false
			err = l.carry(ctx, c, closeConn)
			if l.t.o.Now().Sub(began) > l.t.o.Backoff { // or it would be made and lost all the time
				backoff = backoffFirst
			}
		}
		l.t.lost.add(l.queue.shut()...)
		if ctx.Err() == nil && !logged {
			log.Warn("no connection to a node", "error", err)
			logged = true
		}
		if err := sleep(ctx, time.Duration(float64(backoff)*(0.5+l.t.chance()/2))); err != nil {
			return
		}
		l.queue.open()
		backoff = min(2*backoff, l.t.o.Backoff)
	}
}

// carry writes the queue into a connection until that breaks or ctx ends.
func (l *lane) carry(ctx context.Context, c *conn, closeConn func()) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var pinged atomic.Bool // and no pong has come
	heard := make(chan error, 1)
	go func() {
		err := l.listen(c, &pinged)
		closeConn()
		cancel()
		heard <- err
	}()
	err := l.write(ctx, c, &pinged)
	closeConn()
	// What the other node has said, or that it says nothing, is the reason of the rest.
	if why := <-heard; !closedHere(why) {
		return why
	}
	return err
}

var errNoAnswer = errors.New("no sign of life in time")

// listen reads pongs. It ends with an error when one does not come in time.
func (l *lane) listen(c *conn, pinged *atomic.Bool) error {
	for {
		_, err := c.answer(l.peer.id, kindPong)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return errNoAnswer
		}
		if err != nil {
			return err
		}
		if err := c.SetReadDeadline(time.Time{}); err != nil {
			return err
		}
		pinged.Store(false)
	}
}

// write writes all that waits at once, and a ping now and then.
func (l *lane) write(ctx context.Context, c *conn, pinged *atomic.Bool) error {
	pings := time.NewTicker(l.t.pingEvery())
	defer pings.Stop()
	for {
		select {
		case <-l.queue.ready:
			if _, err := c.Write(l.queue.take()); err != nil {
				return err
			}
		case <-pings.C:
			if err := l.ping(c, pinged); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
		l.queue.written()
	}
}

// ping asks for a sign of life, unless one is awaited. The deadline is set first: the answer lifts it.
func (l *lane) ping(c *conn, pinged *atomic.Bool) error {
	if pinged.Swap(true) {
		return nil
	}
	if err := c.SetReadDeadline(l.t.o.Now().Add(l.t.o.Timeout)); err != nil {
		return err
	}
	_, err := c.Write(appendFrame(nil, kindPing, nil))
	return err
}

func (t *Transport) pingEvery() time.Duration { return t.o.Timeout / 4 }

// queue holds frames, ready to be written, that wait for a connection.
type queue struct {
	max   int
	ready chan struct{} // holds one when there is something to write

	mu struct { // a leaf
		sync.Mutex
		opened bool
		buf    []byte
		spare  []byte               // of the last write
		inside int                  // bytes that are being written; they count as waiting
		to     map[Address]struct{} // whom there was something for since the queue was opened
	}
}

// open lets the queue take messages.
func (q *queue) open() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.mu.opened = true
	q.mu.to = map[Address]struct{}{}
}

// push adds a message. It is not taken if too much waits, unless nothing does, or if there is no connection and
// none is being made.
func (q *queue) push(group raftlog.GroupID, m *pb.Message) (taken bool, err error) {
	size, err := messageSize(kindMessage, m)
	if err != nil {
		return false, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.roomLocked(size) {
		return false, nil
	}
	if q.mu.buf, err = appendMessage(q.mu.buf, kindMessage, group, m); err != nil {
		return false, err
	}
	q.mu.to[Address{group, m.GetTo()}] = struct{}{}
	q.signal()
	return true, nil
}

// pushFrame adds what may get lost, if there is room.
func (q *queue) pushFrame(k kind, body []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.roomLocked(frameStart + len(body)) {
		q.mu.buf = appendFrame(q.mu.buf, k, body)
		q.signal()
	}
}

func (q *queue) roomLocked(size int) bool {
	waiting := len(q.mu.buf) + q.mu.inside
	return q.mu.opened && (waiting == 0 || waiting+size <= q.max)
}

func (q *queue) signal() {
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

// take returns all frames that wait, in order. They are valid until written is called.
func (q *queue) take() []byte {
	q.mu.Lock()
	defer q.mu.Unlock()
	taken := q.mu.buf
	q.mu.buf, q.mu.spare = q.mu.spare[:0], taken
	q.mu.inside = len(taken)
	return taken
}

// written says that what was taken is no longer needed.
func (q *queue) written() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.mu.inside = 0
	if cap(q.mu.spare) > keepBuffer {
		q.mu.spare = nil
	}
}

// shut empties the queue, which takes nothing from here, and returns whom there was something for.
func (q *queue) shut() []Address {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.mu.opened, q.mu.buf, q.mu.spare, q.mu.inside = false, nil, nil, 0
	select {
	case <-q.ready:
	default:
	}
	to := slices.Collect(maps.Keys(q.mu.to))
	q.mu.to = nil
	return to
}

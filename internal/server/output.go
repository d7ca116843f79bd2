package server

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// Sizes of what is on its way to a client, in bytes.
const (
	flushBytes   = 1 << 20   // replies gathered before they are sent although more commands wait
	backlogChunk = 256 << 10 // one piece of the backlog
)

// patience is how long the goroutine that carries out commands waits for a
// client to take its replies; what is left then waits in the backlog.
const patience = 5 * time.Millisecond

var errOutputLimit = errors.New("output buffer limit reached")

// outputLimit is how much may wait for a client that does not read.
type outputLimit struct {
	hard    int64         // bytes; 0: no limit
	soft    int64         // bytes that may be exceeded only for softFor; 0: no limit
	softFor time.Duration // at soft
}

// output sends replies to one client. A client that reads is written to
// directly. For one that does not, replies wait in a backlog with a goroutine of
// its own, so that a client may send a long pipeline before it reads the first
// answer, up to a limit at which the connection is closed.
type output struct {
	conn net.Conn
	now  func() time.Time

	mu struct {
		sync.Mutex
		limit   outputLimit
		backlog [][]byte
		size    int64 // bytes in backlog and in the hands of the goroutine
		over    time.Time
		busy    bool // somebody is writing; the backlog is theirs to empty
		err     error
		idle    *sync.Cond // signalled when busy ends
	}
}

func newOutput(conn net.Conn, now func() time.Time, limit outputLimit) *output {
	o := &output{conn: conn, now: now}
	o.mu.limit = limit
	o.mu.idle = sync.NewCond(&o.mu)
	return o
}

func (o *output) setLimit(l outputLimit) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.mu.limit = l
}

// waiting returns the number of pieces and bytes that the client has not taken.
func (o *output) waiting() (pieces int, size int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.mu.backlog), o.mu.size
}

// send writes b, or puts what the client does not take at once into the
// backlog. It keeps nothing of b. An error is final.
func (o *output) send(b []byte) error {
	o.mu.Lock()
	if o.mu.err != nil || o.mu.busy {
		defer o.mu.Unlock()
		return o.queueLocked(b)
	}
	o.mu.busy = true
	o.mu.Unlock()

	n, err := o.writeFor(b, patience)

	o.mu.Lock()
	defer o.mu.Unlock()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		o.appendLocked(b[n:])
		go o.drain()
		return nil
	}
	o.mu.err = err
	if err == nil && len(o.mu.backlog) > 0 { // somebody else sent something meanwhile
		go o.drain()
		return nil
	}
	o.doneLocked()
	return err
}

func (o *output) writeFor(b []byte, d time.Duration) (int, error) {
	if err := o.conn.SetWriteDeadline(o.now().Add(d)); err != nil {
		return 0, err
	}
	return o.conn.Write(b)
}

// queueLocked adds b to the backlog, within the limits. One large reply to a
// client that has taken all before it is no fault, whatever its size.
func (o *output) queueLocked(b []byte) error {
	if o.mu.err != nil {
		return o.mu.err
	}
	l, size := o.mu.limit, o.mu.size+int64(len(b))
	switch {
	case l.hard > 0 && size > l.hard:
		o.mu.err = errOutputLimit
	case l.soft <= 0 || size <= l.soft:
		o.mu.over = time.Time{}
	case o.mu.over.IsZero():
		o.mu.over = o.now()
	case o.now().Sub(o.mu.over) > l.softFor:
		o.mu.err = errOutputLimit
	}
	if o.mu.err != nil {
		o.mu.backlog = nil
		_ = o.conn.Close() // its goroutine, if any, ends with an error
		return o.mu.err
	}
	o.appendLocked(b)
	return nil
}

func (o *output) appendLocked(b []byte) {
	o.mu.size += int64(len(b))
	if n := len(o.mu.backlog); n > 0 {
		last := o.mu.backlog[n-1]
		room := min(cap(last)-len(last), len(b))
		o.mu.backlog[n-1] = append(last, b[:room]...)
		b = b[room:]
	}
	if len(b) > 0 {
		piece := make([]byte, 0, max(len(b), backlogChunk))
		o.mu.backlog = append(o.mu.backlog, append(piece, b...))
	}
}

// drain writes the backlog until it is empty or the connection is closed.
func (o *output) drain() {
	for {
		o.mu.Lock()
		if o.mu.err != nil || len(o.mu.backlog) == 0 {
			o.doneLocked()
			o.mu.Unlock()
			return
		}
		piece := o.mu.backlog[0]
		o.mu.backlog = o.mu.backlog[1:]
		o.mu.Unlock()

		_ = o.conn.SetWriteDeadline(time.Time{})
		_, err := o.conn.Write(piece)

		o.mu.Lock()
		o.mu.size -= int64(len(piece))
		if o.mu.err == nil {
			o.mu.err = err
		}
		o.mu.Unlock()
	}
}

func (o *output) doneLocked() {
	o.mu.busy = false
	o.mu.backlog = nil
	o.mu.size = 0
	o.mu.idle.Broadcast()
}

// wait returns when everything has been sent or the connection has failed.
func (o *output) wait() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.mu.busy {
		o.mu.idle.Wait()
	}
	return o.mu.err
}

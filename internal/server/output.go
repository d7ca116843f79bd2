package server

import (
	"bytes"
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/elastickv/elastickv/internal/netpoll"
)

// Sizes of what is on its way to a client, in bytes.
const (
	replyBytesMost = 1 << 30 // a command, or a MULTI with all that is in it, that answers more is refused

	flushBytes    = 1 << 20   // replies gathered before they are sent although more commands wait
	backlogPiece  = 1 << 10   // the first piece of the backlog has room for so much,
	backlogPieces = 256 << 10 // and further ones for as much as waits already, up to this
	pushShared    = 8 << 10   // a push that is so large is not copied for each who gets it
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

// output sends replies and pushes to one client. A client that reads is written to
// directly. For one that does not, replies wait in a backlog with a goroutine of
// its own, so that a client may send a long pipeline before it reads the first
// answer, up to a limit at which the connection is closed.
//
// Pushes come from anywhere and never wait for the client: they always go through
// the backlog. While its session carries out commands they are held, so that they
// come after the replies to these: who is told that a key has changed while it is
// being read must have the reply first.
type output struct {
	conn   net.Conn
	polled *netpoll.Conn // conn, if a loop watches it
	secure *secureConn   // conn, if it speaks TLS
	now    func() time.Time

	holds atomic.Bool // there are pushes in held

	mu struct {
		sync.Mutex
		limit   outputLimit
		backlog [][]byte
		size    int64  // bytes in backlog, in the hands of the goroutine and in held
		held    []byte // pushes that come behind the next replies
		running bool   // the session carries out commands
		owed    bool   // a reply that others have made for the session has yet to come
		over    time.Time
		busy    bool // somebody is writing; the backlog is theirs to empty
		err     error
		idle    *sync.Cond // signalled when busy ends
	}
}

func newOutput(conn net.Conn, now func() time.Time, limit outputLimit) *output {
	o := &output{conn: conn, now: now}
	o.polled, _ = conn.(*netpoll.Conn)
	o.secure, _ = conn.(*secureConn)
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
	u := o.usage()
	return u.pieces, u.sent + u.held
}

// outputUsage is what waits for a client.
type outputUsage struct {
	pieces int   // of the backlog
	sent   int64 // bytes that are on their way
	held   int64 // bytes of pushes that come behind the next replies
	busy   bool  // somebody is writing
}

func (o *output) usage() outputUsage {
	o.mu.Lock()
	defer o.mu.Unlock()
	held := int64(len(o.mu.held))
	return outputUsage{pieces: len(o.mu.backlog), sent: o.mu.size - held, held: held, busy: o.mu.busy}
}

// hold makes pushes wait until the session sends its replies.
func (o *output) hold() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.mu.running = true
}

// owe makes pushes wait although the session carries out nothing: others have done it in
// its place, and what they tell of that must not come before the reply.
func (o *output) owe() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.mu.owed = true
}

// settle is hold for a session that takes up a reply that it was owed, if it was.
func (o *output) settle() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.mu.running, o.mu.owed = true, false
}

// takeHeld returns the pushes that are held, for the session to send them behind what it has
// written so far.
func (o *output) takeHeld() []byte {
	if !o.holds.Load() {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.mu.owed {
		return nil
	}
	return o.takeHeldLocked()
}

func (o *output) takeHeldLocked() []byte {
	held := o.mu.held
	o.mu.held = nil
	o.mu.size -= int64(len(held))
	o.holds.Store(false)
	return held
}

// push sends b without waiting for the client. b is kept and must not change any more. An error is final.
func (o *output) push(b []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.admitLocked(len(b)); err != nil {
		return err
	}
	switch {
	case o.mu.running || o.mu.owed:
		o.mu.held = append(o.mu.held, b...)
		o.mu.size += int64(len(b))
		o.holds.Store(true)
		return nil
	case len(b) >= pushShared:
		o.keepLocked(b)
	default:
		o.appendLocked(b)
	}
	if !o.mu.busy {
		o.mu.busy = true
		go o.drain()
	}
	return nil
}

// release lets pushes through again that were held for a session which has nothing to send.
func (o *output) release() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.releaseLocked() && !o.mu.busy {
		o.mu.busy = true
		go o.drain()
	}
}

// releaseLocked ends hold. It moves pushes that were held to the end of the backlog, and
// reports whether there were any.
func (o *output) releaseLocked() bool {
	o.mu.running = false
	if o.mu.owed || len(o.mu.held) == 0 || o.mu.err != nil {
		return false
	}
	o.appendLocked(o.takeHeldLocked())
	return true
}

// send writes b, or puts what the client does not take at once into the
// backlog, and ends hold. It keeps nothing of b. An error is final.
func (o *output) send(b []byte) error { return o.sendReply(b, nil, false) }

// give is send for a reply, in one or more pieces, that the caller has no more use for: what the client does not take is
// kept and not copied.
func (o *output) give(b []byte, behind ...[]byte) error { return o.sendReply(b, behind, true) }

// sendReply sends a reply, of which further pieces may stand behind b.
func (o *output) sendReply(b []byte, behind [][]byte, given bool) error {
	o.mu.Lock()
	if o.mu.err != nil || o.mu.busy {
		defer o.mu.Unlock()
		size := len(b)
		for _, piece := range behind {
			size += len(piece)
		}
		err := o.admitLocked(size)
		switch {
		case err != nil:
		case given:
			o.keepLocked(b)
			for _, piece := range behind {
				o.keepLocked(piece)
			}
		default:
			o.appendLocked(b)
		}
		o.releaseLocked()
		return err
	}
	o.mu.busy = true
	o.releaseLocked()
	o.mu.Unlock()

	n, err := o.writeFor(b, patience)
	for err == nil && len(behind) > 0 {
		b, behind = behind[0], behind[1:]
		n, err = o.writeFor(b, patience)
	}
	sealed := 0
	if o.secure != nil && err == nil {
		sealed, err = o.secure.unsent(), o.conn.SetWriteDeadline(time.Time{})
	}

	o.mu.Lock()
	defer o.mu.Unlock()
	if sealed > 0 {
		o.mu.size += int64(sealed)
		go o.drain()
		return nil
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		rest := b[n:]
		if !given {
			rest = bytes.Clone(rest)
		}
		since := o.mu.backlog // what came meanwhile
		o.mu.backlog = nil
		for _, piece := range append([][]byte{rest}, behind...) {
			o.keepLocked(piece)
		}
		o.mu.backlog = append(o.mu.backlog, since...)
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

// writeFor writes b, and waits for a client that does not take it for at most d. It does not wait
// at all with what a loop may have to send, which is short.
func (o *output) writeFor(b []byte, d time.Duration) (n int, err error) {
	if o.polled != nil {
		n, err = o.polled.WriteNow(b)
		if err != netpoll.ErrWouldBlock {
			return n, err
		}
		if len(b) <= quickReply {
			return n, os.ErrDeadlineExceeded
		}
	}
	if err := o.conn.SetWriteDeadline(o.now().Add(d)); err != nil {
		return n, err
	}
	more, err := o.conn.Write(b[n:])
	return n + more, err
}

// admitLocked reports whether n bytes more may wait. If not, the connection is closed. One large reply to a
// client that has taken all before it is no fault, whatever its size, and nobody asks.
func (o *output) admitLocked(n int) error {
	if o.mu.err != nil {
		return o.mu.err
	}
	l, size := o.mu.limit, o.mu.size+int64(n)
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
		o.mu.backlog, o.mu.held = nil, nil
		_ = o.conn.Close() // its goroutine, if any, ends with an error
	}
	return o.mu.err
}

func (o *output) appendLocked(b []byte) {
	if n := len(o.mu.backlog); n > 0 {
		last := o.mu.backlog[n-1]
		room := min(cap(last)-len(last), len(b))
		o.mu.backlog[n-1] = append(last, b[:room]...)
		o.mu.size += int64(room)
		b = b[room:]
	}
	if len(b) > 0 {
		piece := make([]byte, 0, max(len(b), backlogPiece, int(min(o.mu.size, backlogPieces))))
		o.mu.backlog = append(o.mu.backlog, append(piece, b...))
		o.mu.size += int64(len(b))
	}
}

// keepLocked adds b itself to the backlog.
func (o *output) keepLocked(b []byte) {
	o.mu.size += int64(len(b))
	o.mu.backlog = append(o.mu.backlog, b[:len(b):len(b)])
}

// drain writes the backlog until it is empty or the connection is closed.
func (o *output) drain() {
	if o.secure != nil {
		o.drainSealed()
	}
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

// drainSealed writes what TLS has sealed already, which goes before all else.
func (o *output) drainSealed() {
	n := o.secure.unsent()
	if n == 0 {
		return
	}
	err := o.conn.SetWriteDeadline(time.Time{})
	if err == nil {
		err = o.secure.flush()
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.mu.size -= int64(n)
	if o.mu.err == nil {
		o.mu.err = err
	}
}

func (o *output) doneLocked() {
	o.mu.busy = false
	o.mu.backlog = nil
	o.mu.size = int64(len(o.mu.held))
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

package relay

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// serving is the side of a connection that is asked.
type serving struct {
	o      Options
	out    *outbox
	accept func(*Incoming)
	wg     sync.WaitGroup

	mu      sync.Mutex // taken before that of a stream
	streams map[uint64]*Incoming
}

// Incoming is a stream as the side sees it that is asked. It belongs to one goroutine, but for Close and SetReadDeadline.
type Incoming struct {
	s  *serving
	id uint64

	mu       sync.Mutex
	changed  *sync.Cond
	partial  []byte // the next message as far as it has arrived
	message  []byte
	arrived  bool   // message is to be received
	received uint64 // messages, ever
	over     bool
	deadline time.Time
	alarm    *time.Timer // of the deadline
	nudged   func(which byte)
}

// Serve answers what is asked on a connection until that fails, closes it, and waits for all streams. Each of them is given to accept,
// on a goroutine of its own, and ends when accept returns.
func Serve(conn net.Conn, o Options, accept func(*Incoming)) error {
	o.withDefaults()
	s := &serving{o: o, accept: accept, streams: map[uint64]*Incoming{}}
	s.out = newOutbox(conn, &s.o)
	var writing sync.WaitGroup
	writing.Go(func() {
		err := s.out.run()
		s.out.fail(err)
		_ = conn.Close()
	})
	err := s.read(newFrames(conn, &s.o))
	s.out.fail(err)
	_ = conn.Close()
	writing.Wait()
	s.mu.Lock()
	for _, in := range s.streams {
		in.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
	return err
}

func (s *serving) read(in *frames) error {
	for {
		f, err := in.next()
		if err != nil {
			return err
		}
		switch f.kind {
		case kindPing:
			s.out.say(kindPong, 0, nil)
		case kindOpen, kindPart, kindLast, kindNudge, kindEnd:
			if err := s.take(f); err != nil {
				return err
			}
		default:
			return fmt.Errorf("%w: a frame of kind %d has no place here", errProtocol, f.kind)
		}
	}
}

func (s *serving) take(f frame) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	in := s.streams[f.stream]
	switch {
	case f.kind == kindOpen && in != nil:
		return fmt.Errorf("%w: stream %d begins twice", errProtocol, f.stream)
	case f.kind == kindOpen && len(s.streams) >= s.o.Streams:
		s.out.say(kindEnd, f.stream, binary.BigEndian.AppendUint64(nil, 0))
		return nil
	case f.kind == kindOpen:
		s.beginLocked(f.stream)
		return nil
	case in == nil: // it has ended here, and the other side hears of it
		return nil
	}
	return in.take(f)
}

func (s *serving) beginLocked(id uint64) {
	in := &Incoming{s: s, id: id}
	in.changed = sync.NewCond(&in.mu)
	s.streams[id] = in
	s.wg.Go(func() {
		s.accept(in)
		in.Close()
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.streams, id)
		in.mu.Lock()
		defer in.mu.Unlock()
		s.out.say(kindEnd, id, binary.BigEndian.AppendUint64(nil, in.received))
	})
}

func (in *Incoming) take(f frame) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	switch {
	case f.kind == kindEnd:
		in.over = true
		in.changed.Broadcast()
		return nil
	case in.over: // so it never arrives
		return nil
	case f.kind == kindNudge && len(f.body) != 1:
		return fmt.Errorf("%w: a nudge of %d bytes", errProtocol, len(f.body))
	case f.kind == kindNudge:
		if in.nudged != nil {
			which := f.body[0]
			in.s.wg.Go(func() { in.nudged(which) })
		}
		return nil
	case in.arrived:
		return fmt.Errorf("%w: a message before the last one was answered", errProtocol)
	case len(in.partial)+len(f.body) > in.s.o.Most:
		return fmt.Errorf("%w: a message of more than %d bytes", errProtocol, in.s.o.Most)
	}
	in.partial = append(in.partial, f.body...)
	if f.kind == kindLast {
		in.message, in.partial, in.arrived = in.partial, nil, true
		in.changed.Broadcast()
	}
	return nil
}

// Receive waits for the next message, which is the caller's. The error is io.EOF at the end of the stream, or that of a deadline.
func (in *Incoming) Receive() ([]byte, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if err := in.waitLocked(func() bool { return in.arrived }); err != nil {
		return nil, err
	}
	m := in.message
	in.message, in.arrived = nil, false
	in.received++
	return m, nil
}

// Read returns no bytes: it waits for the end of the stream, or the deadline.
func (in *Incoming) Read([]byte) (int, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	return 0, in.waitLocked(func() bool { return false })
}

func (in *Incoming) waitLocked(enough func() bool) error {
	for {
		switch {
		case in.over:
			return io.EOF
		case in.expired():
			return os.ErrDeadlineExceeded
		case enough():
			return nil
		}
		in.changed.Wait()
	}
}

func (in *Incoming) expired() bool {
	return !in.deadline.IsZero() && !in.s.o.Now().Before(in.deadline)
}

// SetReadDeadline bounds Receive and Read, also those that wait. The zero time is no bound.
func (in *Incoming) SetReadDeadline(t time.Time) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.alarm != nil {
		in.alarm.Stop()
		in.alarm = nil
	}
	in.deadline = t
	if !t.IsZero() {
		in.alarm = time.AfterFunc(t.Sub(in.s.o.Now()), in.wake)
	}
	return nil
}

// wake has who waits look again. Under the lock, or one that is about to wait would miss it.
func (in *Incoming) wake() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.changed.Broadcast()
}

// SetNudged has nudges told to f, each on a goroutine of its own. It is called before the first Receive.
func (in *Incoming) SetNudged(f func(which byte)) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.nudged = f
}

// Write sends a part of the answer.
func (in *Incoming) Write(p []byte) (int, error) {
	if err := in.s.out.parts(in.id, p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Answer sends the end of the answer.
func (in *Incoming) Answer(last []byte) error {
	_, err := in.s.out.message(in.id, last)
	return err
}

// Close ends the stream here: nothing more is received.
func (in *Incoming) Close() error {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.over = true
	if in.alarm != nil {
		in.alarm.Stop()
	}
	in.changed.Broadcast()
	return nil
}

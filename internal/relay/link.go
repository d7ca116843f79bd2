package relay

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// Link is the side of a connection that asks. Its methods may be called by any number of goroutines.
type Link struct {
	o    Options
	conn net.Conn
	out  *outbox
	gone chan struct{} // closed when the connection has failed or was closed
	wg   sync.WaitGroup

	mu struct { // taken before that of out
		sync.Mutex
		err     error // why the link is gone
		last    uint64
		streams map[uint64]*Stream
		asked   int // messages that wait for their answers
	}
}

// Stream is a conversation. Only one goroutine at a time may call Ask; the others may be called by any.
type Stream struct {
	l     *Link
	id    uint64
	ready chan struct{} // holds one when the answer is there, or will not come

	// Under the lock of the link.
	answer []byte // as far as it has arrived
	asking bool
	whole  bool   // the answer is
	sent   uint64 // messages
	over   error  // why there is no more; nil: there is
}

// NewLink takes a connection, and closes it in the end.
func NewLink(conn net.Conn, o Options) *Link {
	o.withDefaults()
	l := &Link{o: o, conn: conn, gone: make(chan struct{})}
	l.out = newOutbox(conn, &l.o)
	l.mu.streams = map[uint64]*Stream{}
	l.wg.Go(func() { l.fail(l.out.run()) })
	l.wg.Go(func() { l.fail(l.read()) })
	l.wg.Go(l.ping)
	return l
}

// Close ends the link and waits for it.
func (l *Link) Close() {
	l.fail(errClosed)
	l.wg.Wait()
}

// Gone is closed when the link has ended.
func (l *Link) Gone() <-chan struct{} { return l.gone }

// Err is why it has.
func (l *Link) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.err
}

// Asked is how many messages wait for their answers.
func (l *Link) Asked() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.asked
}

// fail ends all streams. The first reason stays.
func (l *Link) fail(err error) {
	l.mu.Lock()
	if l.mu.err != nil {
		l.mu.Unlock()
		return
	}
	l.mu.err = err
	l.mu.Unlock()
	l.out.fail(err)
	_ = l.conn.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.mu.streams {
		s.endLocked(err)
	}
	clear(l.mu.streams)
	close(l.gone)
}

func (l *Link) ping() {
	t := time.NewTicker(l.o.pingEvery())
	defer t.Stop()
	for {
		l.out.say(kindPing, 0, nil)
		select {
		case <-t.C:
		case <-l.gone:
			return
		}
	}
}

func (l *Link) read() error {
	in := newFrames(l.conn, &l.o)
	for {
		f, err := in.next()
		if err != nil {
			return err
		}
		switch f.kind {
		case kindPong:
		case kindPart, kindLast, kindEnd:
			if err := l.take(f); err != nil {
				return err
			}
		default:
			return fmt.Errorf("%w: a frame of kind %d has no place here", errProtocol, f.kind)
		}
	}
}

// take takes in a frame of a stream. One that is closed here already may still be spoken on.
func (l *Link) take(f frame) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.mu.streams[f.stream]
	switch {
	case s == nil && f.stream != 0 && f.stream <= l.mu.last:
		return nil
	case s == nil:
		return fmt.Errorf("%w: stream %d, which there is not", errProtocol, f.stream)
	case f.kind == kindEnd && len(f.body) != 8:
		return fmt.Errorf("%w: an end of %d bytes", errProtocol, len(f.body))
	case f.kind == kindEnd:
		why := errClosed
		if s.asking && binary.BigEndian.Uint64(f.body) < s.sent {
			why = ErrUnsent
		}
		s.endLocked(why)
		delete(l.mu.streams, s.id)
		return nil
	case !s.asking || s.whole:
		return fmt.Errorf("%w: an answer that nobody waits for", errProtocol)
	case len(s.answer)+len(f.body) > l.o.Most:
		return fmt.Errorf("%w: an answer of more than %d bytes", errProtocol, l.o.Most)
	}
	s.answer = append(s.answer, f.body...)
	if f.kind == kindLast {
		s.whole = true
		s.signal()
	}
	return nil
}

// Open begins a stream. The other side hears of it with the first message.
func (l *Link) Open() (*Stream, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnsent, l.mu.err)
	}
	l.mu.last++
	s := &Stream{l: l, id: l.mu.last, ready: make(chan struct{}, 1)}
	l.mu.streams[s.id] = s
	return s, nil
}

// Over reports whether nothing more can be asked.
func (s *Stream) Over() bool {
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	return s.over != nil
}

// Ask sends a message and waits for the answer, which is the caller's. With ErrLost there may be the beginning of one.
func (s *Stream) Ask(message []byte) (answer []byte, err error) {
	if len(message) > s.l.o.Most {
		return nil, ErrTooLong
	}
	if err := s.beginAsking(); err != nil {
		return nil, err
	}
	begin, err := s.l.out.message(s.id, message)
	if err == nil {
		<-s.ready
	}
	return s.endAsking(begin)
}

func (s *Stream) beginAsking() error {
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	if s.over != nil {
		return fmt.Errorf("%w: %w", ErrUnsent, s.over)
	}
	if s.sent == 0 {
		s.l.out.say(kindOpen, s.id, nil)
	}
	s.asking, s.whole, s.answer = true, false, nil
	s.sent++
	s.l.mu.asked++
	return nil
}

// endAsking judges what has become of a message that begins there in the outbox.
func (s *Stream) endAsking(begin uint64) ([]byte, error) {
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	s.asking = false
	s.l.mu.asked--
	answer := s.answer
	s.answer = nil
	switch {
	case s.whole:
		return answer, nil
	case errors.Is(s.over, ErrUnsent):
		return nil, s.over
	case s.l.mu.err != nil && s.l.out.unsent(begin):
		return nil, fmt.Errorf("%w: %w", ErrUnsent, s.l.mu.err)
	}
	return answer, fmt.Errorf("%w: %w", ErrLost, errors.Join(s.over, s.l.mu.err))
}

// Nudge tells the other side something about the message that waits for its answer, and reports whether there is one.
func (s *Stream) Nudge(which byte) bool {
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	if s.over != nil || !s.asking || s.whole {
		return false
	}
	s.l.out.say(kindNudge, s.id, []byte{which})
	return true
}

// Close ends the stream, also while Ask waits, which then ends with ErrLost.
func (s *Stream) Close() {
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	if s.over != nil {
		return
	}
	if s.sent > 0 {
		s.l.out.say(kindEnd, s.id, nil)
	}
	delete(s.l.mu.streams, s.id)
	s.endLocked(errClosed)
}

func (s *Stream) endLocked(why error) {
	if s.over == nil {
		s.over = why
		s.signal()
	}
}

func (s *Stream) signal() {
	select {
	case s.ready <- struct{}{}:
	default:
	}
}

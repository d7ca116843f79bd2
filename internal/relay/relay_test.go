package relay

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// pair is both sides of a connection. What is served ends before the test does.
func pair(t *testing.T, o Options, accept func(*Incoming)) (l *Link, raw net.Conn, ended <-chan error) {
	t.Helper()
	o.Now = time.Now
	ours, theirs := net.Pipe()
	done := make(chan error, 1)
	go func() { done <- Serve(theirs, o, accept) }()
	l = NewLink(ours, o)
	t.Cleanup(l.Close)
	return l, theirs, done
}

// echo answers every message with itself, in two pieces.
func echo(in *Incoming) {
	for {
		m, err := in.Receive()
		if err != nil {
			return
		}
		if _, err := in.Write(m[:len(m)/2]); err != nil {
			return
		}
		if err := in.Answer(m[len(m)/2:]); err != nil {
			return
		}
	}
}

func mustAsk(t *testing.T, s *Stream, m string) string {
	t.Helper()
	answer, err := s.Ask([]byte(m))
	if err != nil {
		t.Fatal(err)
	}
	return string(answer)
}

func open(t *testing.T, l *Link) *Stream {
	t.Helper()
	s, err := l.Open()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Many streams at a time, messages of all sizes: each answer is that of its question.
func TestAnswers(t *testing.T) {
	l, _, _ := pair(t, Options{Most: 8 << 20}, echo)
	var all sync.WaitGroup
	for i := range 20 {
		s := open(t, l)
		all.Go(func() {
			defer s.Close()
			r := rand.New(rand.NewPCG(1, uint64(i)))
			for j := range 30 {
				size := 1 << r.IntN(12)
				if j == 7 && i%5 == 0 {
					size = 3 << 20 // of many parts, and more than the outbox takes at once
				}
				m := bytes.Repeat([]byte{byte(i), byte(j)}, size/2+r.IntN(3))
				answer, err := s.Ask(m)
				if err != nil || !bytes.Equal(answer, m) {
					t.Errorf("stream %d: a message of %d bytes is answered by %d, %v", i, len(m), len(answer), err)
				}
			}
		})
	}
	all.Wait()
	if n := l.Asked(); n != 0 {
		t.Errorf("%d messages still wait", n)
	}
	if answer := mustAsk(t, open(t, l), ""); answer != "" {
		t.Errorf("nothing is answered by %q", answer)
	}
}

// An answer that does not come keeps no other waiting, and who does not want it any more leaves.
func TestClose(t *testing.T) {
	arrived, left := make(chan struct{}), make(chan error, 1)
	l, _, _ := pair(t, Options{}, func(in *Incoming) {
		m, err := in.Receive()
		if err != nil || string(m) != "wait" {
			if err == nil {
				_ = in.Answer(m)
			}
			return
		}
		close(arrived)
		_, err = in.Read(nil)
		left <- err
	})
	s := open(t, l)
	ended := make(chan error, 1)
	go func() {
		_, err := s.Ask([]byte("wait"))
		ended <- err
	}()
	if answer := mustAsk(t, open(t, l), "x"); answer != "x" {
		t.Errorf("got %q", answer)
	}
	<-arrived
	if n := l.Asked(); n != 1 {
		t.Errorf("%d messages wait for their answers, not 1", n)
	}
	s.Close()
	if err := <-ended; !errors.Is(err, ErrLost) {
		t.Errorf("who asked is told %v", err)
	}
	if err := <-left; err != io.EOF {
		t.Errorf("who was asked is told %v", err)
	}
	if _, err := s.Ask(nil); !errors.Is(err, ErrUnsent) || !s.Over() {
		t.Errorf("it goes on: %v", err)
	}
}

// What becomes of a question when a stream or the connection ends: nobody is told that it was not sent if it may have been.
func TestEnds(t *testing.T) {
	for name, c := range map[string]struct {
		accept func(*Incoming)
		want   []error // of questions on one stream
	}{
		"before it is received": {func(*Incoming) {}, []error{ErrUnsent, ErrUnsent}},
		"when it is received":   {func(in *Incoming) { _, _ = in.Receive() }, []error{ErrLost, ErrUnsent}},
		"when it is answered": {func(in *Incoming) {
			m, _ := in.Receive()
			_ = in.Answer(m)
		}, []error{nil, ErrUnsent}},
		"with half an answer": {func(in *Incoming) {
			_, _ = in.Receive()
			_, _ = in.Write([]byte("half"))
		}, []error{ErrLost}},
	} {
		t.Run(name, func(t *testing.T) {
			l, _, _ := pair(t, Options{}, c.accept)
			s := open(t, l)
			for i, want := range c.want {
				answer, err := s.Ask([]byte("x"))
				if !errors.Is(err, want) || errors.Is(err, ErrLost) && errors.Is(err, ErrUnsent) {
					t.Errorf("question %d: %q, %v", i, answer, err)
				}
				if name == "with half an answer" && string(answer) != "half" {
					t.Errorf("what there is of the answer is %q", answer)
				}
			}
			if _, err := open(t, l).Ask(nil); errors.Is(err, errProtocol) {
				t.Error(err)
			}
		})
	}
}

// The other side is there no more, or says nothing: that is noticed within the timeout, by both.
func TestSilence(t *testing.T) {
	for name, silent := range map[string]bool{"cut": false, "silent": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ours, theirs := net.Pipe()
				l := NewLink(ours, Options{Now: time.Now})
				defer l.Close()
				if silent {
					go func() { _, _ = io.Copy(io.Discard, theirs) }()
				}
				s := open(t, l)
				began := time.Now()
				time.AfterFunc(time.Second, func() {
					if !silent {
						theirs.Close()
					}
				})
				_, err := s.Ask([]byte("x"))
				want := ErrLost
				if took := time.Since(began); !errors.Is(err, want) || took > 4*time.Second {
					t.Errorf("after %v: %v", took, err)
				}
				<-l.Gone()
				if _, err := l.Open(); !errors.Is(err, ErrUnsent) || l.Err() == nil {
					t.Errorf("it goes on: %v", err)
				}
				theirs.Close()
			})
		})
	}
	t.Run("who asks", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ours, theirs := net.Pipe()
			left := make(chan error, 1)
			ended := make(chan error, 1)
			go func() {
				ended <- Serve(theirs, Options{Now: time.Now}, func(in *Incoming) {
					_, _ = in.Receive()
					_, err := in.Read(nil)
					left <- err
				})
			}()
			_, err := ours.Write(appendFrame(appendFrame(nil, kindOpen, 1, nil), kindLast, 1, []byte("x")))
			if err != nil {
				t.Fatal(err)
			}
			if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("the connection ends with %v", err)
			}
			if err := <-left; err != io.EOF {
				t.Errorf("who waits is told %v", err)
			}
			ours.Close()
		})
	})
	t.Run("nobody reads", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ours, theirs := net.Pipe()
			l := NewLink(ours, Options{Now: time.Now, Most: 4 << 20})
			defer l.Close()
			first, second := open(t, l), open(t, l)
			ended := make(chan error, 2)
			go func() {
				_, err := first.Ask(make([]byte, 3<<20))
				ended <- err
			}()
			if _, err := io.CopyN(io.Discard, theirs, 100_000); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			go func() {
				_, err := second.Ask([]byte("x"))
				ended <- err
			}()
			synctest.Wait()
			l.out.mu.Lock()
			waiting := len(l.out.buf)
			l.out.mu.Unlock()
			if waiting > outboxMost+partMost+frameStart {
				t.Errorf("%d bytes wait", waiting)
			}
			a, b := <-ended, <-ended
			if !errors.Is(a, ErrLost) == !errors.Is(b, ErrLost) || !errors.Is(errors.Join(a, b), ErrUnsent) {
				t.Errorf("the first was sent in part, and the second was not: %v, %v", a, b)
			}
			theirs.Close()
		})
	})
}

// A deadline ends what waits, and once it is lifted all goes on.
func TestDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _, _ := pair(t, Options{}, func(in *Incoming) {
			for _, wait := range []func() error{
				func() error { _, err := in.Receive(); return err },
				func() error { _, err := in.Read(nil); return err },
			} {
				began := time.Now()
				_ = in.SetReadDeadline(began.Add(10 * time.Second))
				if err := wait(); err != os.ErrDeadlineExceeded || time.Since(began) != 10*time.Second {
					t.Errorf("after %v: %v", time.Since(began), err)
				}
				time.AfterFunc(time.Second, func() { _ = in.SetReadDeadline(time.Unix(1, 0)) })
				_ = in.SetReadDeadline(time.Time{})
				if err := wait(); err != os.ErrDeadlineExceeded || time.Since(began) != 11*time.Second {
					t.Errorf("after %v: %v", time.Since(began), err)
				}
			}
			_ = in.SetReadDeadline(time.Time{})
			if m, err := in.Receive(); err != nil || in.Answer(m) != nil {
				t.Error(err)
			}
		})
		s := open(t, l)
		if s.beginAsking() != nil { // so that it is there, and has no message yet
			t.Fatal("it is over")
		}
		time.Sleep(30 * time.Second)
		begin, err := l.out.message(s.id, []byte("x"))
		if err != nil {
			t.Fatal(err)
		}
		<-s.ready
		if answer, err := s.endAsking(begin); err != nil || string(answer) != "x" {
			t.Errorf("got %q, %v", answer, err)
		}
		l.Close()
	})
}

func TestNudge(t *testing.T) {
	arrived, nudged := make(chan struct{}), make(chan byte, 1)
	l, _, _ := pair(t, Options{}, func(in *Incoming) {
		in.SetNudged(func(which byte) { nudged <- which })
		m, err := in.Receive()
		if err == nil {
			close(arrived)
			_ = in.Answer(append(m, <-nudged))
		}
	})
	s := open(t, l)
	if s.Nudge('a') {
		t.Error("nothing waits, and it is nudged")
	}
	answer := make(chan string, 1)
	go func() { answer <- mustAsk(t, s, "x") }()
	<-arrived
	if !s.Nudge('b') {
		t.Error("it waits, and cannot be nudged")
	}
	if got := <-answer; got != "xb" {
		t.Errorf("got %q", got)
	}
	if s.Nudge('c') {
		t.Error("it is answered, and is nudged")
	}
}

// Bounds: of messages, of answers, of streams.
func TestBounds(t *testing.T) {
	l, _, ended := pair(t, Options{Most: 10, Streams: 2}, func(in *Incoming) {
		for m, err := in.Receive(); err == nil; m, err = in.Receive() {
			_ = in.Answer(bytes.Repeat(m, 2))
		}
	})
	s := open(t, l)
	if _, err := s.Ask(make([]byte, 11)); !errors.Is(err, ErrTooLong) {
		t.Error(err)
	}
	mustAsk(t, s, "12345")
	second, third := open(t, l), open(t, l)
	mustAsk(t, second, "x")
	if _, err := third.Ask([]byte("x")); !errors.Is(err, ErrUnsent) {
		t.Errorf("a stream too many: %v", err)
	}
	if _, err := s.Ask([]byte("123456")); !errors.Is(err, ErrLost) || !errors.Is(err, errProtocol) {
		t.Errorf("an answer that is too long: %v", err)
	}
	<-ended
}

// The bytes of each kind of frame are what other releases know.
func TestFormat(t *testing.T) {
	for want, f := range map[string][]byte{
		"00000000 01 0000000000000007 ":         appendFrame(nil, kindOpen, 7, nil),
		"00000002 02 0000000000000007 6162":     appendFrame(nil, kindPart, 7, []byte("ab")),
		"00000001 03 0000000000000007 63":       appendFrame(nil, kindLast, 7, []byte("c")),
		"00000000 04 0000000000000007 ":         appendFrame(nil, kindEnd, 7, nil),
		"00000001 05 0000000000000007 01":       appendFrame(nil, kindNudge, 7, []byte{1}),
		"00000000 06 0000000000000000 ":         appendFrame(nil, kindPing, 0, nil),
		"00000000 07 0000000000000000 ":         appendFrame(nil, kindPong, 0, nil),
		"00000008 04 0000000000000009 00000000": appendFrame(nil, kindEnd, 9, binary.BigEndian.AppendUint64(nil, 1))[:17],
	} {
		if got := fmt.Sprintf("%x %x %x %x", f[:4], f[4:5], f[5:13], f[13:]); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// feed is a connection whose other side says what it is made of, and reads everything.
type feed struct {
	net.Conn
	said *bytes.Reader
}

func (f feed) Read(p []byte) (int, error)       { return f.said.Read(p) }
func (f feed) Write(p []byte) (int, error)      { return len(p), nil }
func (f feed) Close() error                     { return nil }
func (f feed) SetReadDeadline(time.Time) error  { return nil }
func (f feed) SetWriteDeadline(time.Time) error { return nil }

// FuzzFrames has the other side say anything, to who serves and to who asks: both end, and nobody is told an answer that is not one.
func FuzzFrames(f *testing.F) {
	f.Add(appendFrame(appendFrame(nil, kindOpen, 1, nil), kindLast, 1, []byte("x")))
	f.Add(appendFrame(appendFrame(appendFrame(nil, kindPart, 1, []byte("x")), kindLast, 1, nil), kindEnd, 1, make([]byte, 8)))
	f.Add(appendFrame(appendFrame(nil, kindPing, 0, nil), kindNudge, 1, []byte{1}))
	f.Fuzz(func(t *testing.T, said []byte) {
		o := Options{Now: time.Now, Most: 100}
		if err := Serve(feed{said: bytes.NewReader(said)}, o, echo); err == nil {
			t.Error("it ends without a reason")
		}
		l := NewLink(feed{said: bytes.NewReader(said)}, o)
		if s, err := l.Open(); err == nil {
			if answer, err := s.Ask([]byte("x")); err == nil && len(answer) > o.Most {
				t.Errorf("an answer of %d bytes", len(answer))
			}
		}
		l.Close()
	})
}

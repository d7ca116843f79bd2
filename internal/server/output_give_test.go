package server

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"
)

// TestGivenRepliesAreNotCopied has large replies wait for a client that does not read yet: what was given waits as it is, what
// was lent is copied, and the client gets all of it in order.
func TestGivenRepliesAreNotCopied(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	defer near.Close()
	o := newOutput(near, time.Now, outputLimit{})
	first, lent, last := bytes.Repeat([]byte("a"), 3<<20), bytes.Repeat([]byte("b"), 3<<20), bytes.Repeat([]byte("c"), 3<<20)
	want := string(first) + string(lent) + string(last)
	for _, send := range []func() error{
		func() error { return o.give(first) },
		func() error { return o.send(lent) },
		func() error { return o.give(last) },
	} {
		if err := send(); err != nil {
			t.Fatal(err)
		}
	}
	clear(lent)
	o.mu.Lock()
	pieces := o.mu.backlog // the first one may be in the hands of who writes
	if n := len(pieces); n == 0 || &pieces[n-1][0] != &last[0] {
		t.Error("a reply that was given has been copied")
	}
	o.mu.Unlock()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(far, got); err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("the client got something else than what was sent")
	}
	if err := o.wait(); err != nil {
		t.Fatal(err)
	}
	if pieces, size := o.waiting(); pieces != 0 || size != 0 {
		t.Errorf("%d pieces of %d bytes wait behind the last reply", pieces, size)
	}
}

// TestGivenPieces has replies in pieces wait for a client that reads late: they come whole and in order, pushes behind them, and a
// single large reply is not counted against the limit.
func TestGivenPieces(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	defer near.Close()
	o := newOutput(near, time.Now, outputLimit{hard: 4 << 20})
	large := bytes.Repeat([]byte("a"), 3<<20)
	o.hold()
	if err := o.push([]byte("push")); err != nil {
		t.Fatal(err)
	}
	if err := o.give([]byte("head"), large, []byte("between"), large, []byte("tail")); err != nil {
		t.Fatal(err)
	}
	if err := o.give([]byte("more"), []byte("and more")); err == nil {
		t.Error("more than the limit may wait")
	}
	if _, err := io.ReadAll(far); err != nil {
		t.Fatal(err)
	}

	near, far = net.Pipe()
	defer far.Close()
	defer near.Close()
	o = newOutput(near, time.Now, outputLimit{})
	o.hold()
	if err := o.push([]byte("push")); err != nil {
		t.Fatal(err)
	}
	if err := o.give([]byte("head"), large, []byte("tail")); err != nil {
		t.Fatal(err)
	}
	if err := o.give([]byte("2nd"), large, []byte("end")); err != nil {
		t.Fatal(err)
	}
	want := "head" + string(large) + "tailpush2nd" + string(large) + "end"
	got := make([]byte, len(want))
	if _, err := io.ReadFull(far, got); err != nil || string(got) != want {
		t.Errorf("the client got something else than was sent (%v)", err)
	}
	if err := o.wait(); err != nil {
		t.Fatal(err)
	}
	if pieces, size := o.waiting(); pieces != 0 || size != 0 {
		t.Errorf("%d pieces of %d bytes wait behind the last reply", pieces, size)
	}
}

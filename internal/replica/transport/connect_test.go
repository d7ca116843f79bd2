package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
)

// TestConnect has a node connect to another for its clients: what is said arrives, and all ends that such a connection can have are
// noticed by the other side.
func TestConnect(t *testing.T) {
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprintf("tls=%t", secure), func(t *testing.T) {
			t.Cleanup(func() { noGoroutines(t) })
			var change [2][]func(*Options)
			if secure {
				ca := newAuthority(t)
				for i := range change {
					change[i] = append(change[i], ca.identify(t, NodeID(i+1)))
				}
			}
			a, b := start(t, 1, change[0]...), start(t, 2, change[1]...)
			ended := make(chan error, 1)
			b.connected = func(from NodeID, conn net.Conn) {
				_, err := io.CopyN(conn, conn, 5)
				if from != 1 || err != nil {
					t.Errorf("node %d connects: %v", from, err)
				}
				_, err = conn.Read(make([]byte, 1))
				ended <- err
			}
			if _, err := a.Connect(t.Context(), 2); !errors.Is(err, ErrUnknownNode) {
				t.Errorf("to nobody: %v", err)
			}
			introduce(t, a, b)
			open := func() net.Conn {
				t.Helper()
				ctx, cancel := context.WithCancel(t.Context())
				conn, err := a.Connect(ctx, 2)
				if err != nil {
					t.Fatal(err)
				}
				cancel() // it is of no concern any more
				got := make([]byte, 5)
				if _, err := conn.Write([]byte("hello")); err != nil {
					t.Error(err)
				}
				if _, err := io.ReadFull(conn, got); err != nil || string(got) != "hello" {
					t.Errorf("got %q, %v", got, err)
				}
				return conn
			}
			ends := func(how string) {
				t.Helper()
				if <-ended == nil {
					t.Errorf("%s: it goes on", how)
				}
			}
			_ = open().Close()
			ends("closed")
			first := open()
			second := open()
			ends("another one in its place")
			if _, err := first.Read(make([]byte, 1)); err == nil {
				t.Error("who has made the first is not told")
			}
			a.RemovePeer(2)
			ends("the node was removed")
			_, _ = first.Close(), second.Close()
			introduce(t, a, b)
			third := open()
			if err := b.Close(); err != nil {
				t.Error(err)
			}
			ends("the other transport was closed")
			if _, err := third.Read(make([]byte, 1)); err == nil {
				t.Error("who has made it is not told")
			}
			_ = third.Close()
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if _, err := a.Connect(ctx, 2); err == nil {
				t.Error("a closed node answers")
			}
		})
	}
}

package server_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

// Clients that read, compute and write under WATCH lose no update.
func TestWatchUnderContention(t *testing.T) {
	addr := start(t, nil).addr
	const clients, rounds = 8, 50
	var all sync.WaitGroup
	for range clients {
		w := dial(t, addr)
		all.Go(func() {
			for done := 0; done < rounds; {
				var n int
				if _, err := fmt.Fprintf(w.Conn, "WATCH n\r\nSTRLEN n\r\n"); err != nil {
					t.Error(err)
					return
				}
				if _, err := fmt.Fscanf(w.r, "+OK\r\n:%d\r\n", &n); err != nil {
					t.Error(err)
					return
				}
				// SETRANGE at the length that was read: a lost update leaves it too short.
				fmt.Fprintf(w.Conn, "MULTI\r\nSETRANGE n %d x\r\nEXEC\r\n", n)
				var reply string
				for range 3 {
					line, err := w.r.ReadString('\n')
					if err != nil {
						t.Error(err)
						return
					}
					reply = line
				}
				if reply == "*-1\r\n" {
					continue
				}
				if line, err := w.r.ReadString('\n'); err != nil || reply != "*1\r\n" || line != fmt.Sprintf(":%d\r\n", n+1) {
					t.Errorf("EXEC: got %q %q (%v)", reply, line, err)
					return
				}
				done++
			}
		})
	}
	all.Wait()
	dial(t, addr).ask("STRLEN n", fmt.Sprintf(":%d\r\n", clients*rounds))
}

// A connection that ends takes its watches with it.
func TestWatchesGoWithTheirConnection(t *testing.T) {
	addr := start(t, nil).addr
	w, other := dial(t, addr), dial(t, addr)
	w.ask("WATCH a b c", "+OK\r\n")
	other.send("INFO clients\r\n")
	if info := other.bulk(); !strings.Contains(info, "total_watched_keys:3\r\n") || !strings.Contains(info, "watching_clients:1\r\n") {
		t.Errorf("INFO clients:\n%s", info)
	}
	w.Close()
	eventually(t, "nothing is watched", func() bool {
		other.send("INFO clients\r\n")
		return strings.Contains(other.bulk(), "total_watched_keys:0\r\n")
	})
}

// Keys that nobody asks for are removed when they have expired, and whoever watches
// them hears of it.
func TestExpiredKeysAreRemoved(t *testing.T) {
	addr := start(t, nil, "hz", "500").addr
	w := dial(t, addr)
	w.send("SELECT 3\r\n")
	w.expect("+OK\r\n")
	const n = 300
	for i := range n {
		w.ask(fmt.Sprintf("SET k%d v PX 1", i), "+OK\r\n")
	}
	eventually(t, "all have gone", func() bool {
		w.send("DBSIZE\r\n")
		line, err := w.r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		return line == ":0\r\n"
	})
	w.send("INFO stats\r\n")
	if info := w.bulk(); !strings.Contains(info, fmt.Sprintf("expired_keys:%d\r\n", n)) {
		t.Errorf("want expired_keys:%d in\n%s", n, info)
	}
	w.ask("SET k v PX 30", "+OK\r\n")
	w.ask("WATCH k", "+OK\r\n")
	eventually(t, "the key has gone", func() bool {
		w.send("DBSIZE\r\n")
		line, _ := w.r.ReadString('\n')
		return line == ":0\r\n"
	})
	w.ask("MULTI", "+OK\r\n")
	w.ask("EXEC", "*-1\r\n")
}

// Fields of hashes that nobody asks for are removed when they have expired, and counted.
func TestExpiredFieldsAreRemoved(t *testing.T) {
	addr := start(t, nil, "hz", "500").addr
	w := dial(t, addr)
	const n = 200
	for i := range n {
		w.ask(fmt.Sprintf("HSET h f%d v", i), ":1\r\n")
	}
	w.ask("HSET h kept v", ":1\r\n")
	for i := range n {
		w.ask(fmt.Sprintf("HPEXPIRE h 1 FIELDS 1 f%d", i), "*1\r\n:1\r\n")
	}
	w.ask("HSETEX gone PX 1 FIELDS 1 f v", ":1\r\n")
	eventually(t, "all have gone", func() bool {
		w.send("INFO stats\r\n")
		return strings.Contains(w.bulk(), fmt.Sprintf("expired_subkeys:%d\r\n", n+1))
	})
	w.ask("HLEN h", ":1\r\n")
	w.ask("DBSIZE", ":1\r\n")
}

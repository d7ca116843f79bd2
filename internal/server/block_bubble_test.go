package server_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A call that waits is answered when its time is over, to the millisecond, counted from
// when it arrived.
func TestTimeoutIsExact(t *testing.T) {
	inBubble(t, func(b *bubble) {
		for timeout, want := range map[string]time.Duration{
			"1": time.Second, "0.001": time.Millisecond, "2.5": 2500 * time.Millisecond,
			"0.0001": time.Millisecond, "1.0001": 1001 * time.Millisecond, "0x1p-1": 500 * time.Millisecond,
		} {
			w := b.dial()
			began := time.Now()
			w.ask("BLPOP k "+timeout, "*-1\r\n")
			if took := time.Since(began); took != want {
				t.Errorf("BLPOP k %s took %v, want %v", timeout, took, want)
			}
		}
		w := b.dial()
		began := time.Now()
		w.send("BLPOP k 1\r\nBLPOP k 1\r\nWAIT 1 1500\r\n")
		w.expect("*-1\r\n*-1\r\n:0\r\n")
		if took := time.Since(began); took != 3500*time.Millisecond {
			t.Errorf("three calls that wait took %v, want 3.5s: the time of each begins when that before it has ended", took)
		}
	})
}

// The time to come through the sequencer counts.
func TestTimeoutCountsFromArrival(t *testing.T) {
	inBubble(t, func(b *bubble) {
		w := b.dial()
		b.engine.close()
		for range 3 { // until the sequencer itself has to wait
			other := b.dial()
			other.send("SET x 1\r\n")
			synctest.Wait()
			defer other.expect("+OK\r\n")
		}
		began := time.Now()
		w.send("SET y 1\r\nBLPOP k 1\r\n")
		time.Sleep(700 * time.Millisecond)
		b.engine.open(nil)
		w.expect("+OK\r\n*-1\r\n")
		if took := time.Since(began); took != time.Second {
			t.Errorf("took %v, want 1s although syncs took 700ms of it", took)
		}
	})
}

// Who waits is told nothing of what is not durable, and whoever pushes does not wait
// for those who are served.
func TestServedWhenDurable(t *testing.T) {
	inBubble(t, func(b *bubble) {
		w, next, other := b.dial(), b.dial(), b.dial()
		w.send("BLMOVE a b LEFT LEFT 0\r\n")
		synctest.Wait()
		next.send("BLPOP b 0\r\n")
		synctest.Wait()
		b.engine.close()
		other.send("RPUSH a v\r\n")
		b.silent(w, "before the sync")
		b.silent(next, "before the sync")
		b.silent(other, "before the sync")
		time.Sleep(time.Hour)
		b.silent(w, "before the sync, an hour later")
		b.engine.open(nil)
		other.expect(":1\r\n") // though w and next have not read anything yet
		w.expect("$1\r\nv\r\n")
		next.expect("*2\r\n$1\r\nb\r\n$1\r\nv\r\n")
		other.ask("EXISTS a b", ":0\r\n")
	})
}

// What has been decided cannot time out any more, however long the sync takes.
func TestServedBeforeTheTimeIsOver(t *testing.T) {
	inBubble(t, func(b *bubble) {
		w, other := b.dial(), b.dial()
		w.send("BLPOP k 1\r\n")
		synctest.Wait()
		b.engine.close()
		other.send("RPUSH k v\r\n")
		time.Sleep(10 * time.Second)
		other2 := b.dial()
		other2.send("CLIENT UNBLOCK 1\r\n")
		other2.expect(":0\r\n")
		b.silent(w, "before the sync")
		b.engine.open(nil)
		w.expect("*2\r\n$1\r\nk\r\n$1\r\nv\r\n")
		other.expect(":1\r\n")
	})
}

// If the sync fails, nobody learns of what has been done.
func TestServedButLost(t *testing.T) {
	inBubble(t, func(b *bubble) {
		w, other := b.dial(), b.dial()
		w.send("BLPOP k 0\r\n")
		synctest.Wait()
		b.engine.close()
		other.send("RPUSH k v\r\n")
		synctest.Wait()
		b.engine.open(errDiskOnFire)
		w.expectClosed()
		other.expectClosed()
		if err := <-b.ended; err == nil || !strings.Contains(err.Error(), "disk on fire") {
			t.Errorf("the server ended with %v", err)
		}
	})
}

// A wait that begins in a run whose sync fails has no end but the connection's.
func TestBlockedInAFailedRun(t *testing.T) {
	inBubble(t, func(b *bubble) {
		w := b.dial()
		b.engine.close()
		w.send("SET x 1\r\nBLPOP k 0\r\n")
		synctest.Wait()
		b.engine.open(errDiskOnFire)
		w.expectClosed()
		<-b.ended
	})
}

// A shutdown ends every wait, without a reply and without delay.
func TestShutdownEndsWaits(t *testing.T) {
	inBubble(t, func(b *bubble) {
		began := time.Now()
		var all []*wire
		for _, call := range []string{"BLPOP k 0", "BLPOP k 100", "WAIT 1 0", "BZPOPMIN z 0"} {
			w := b.dial()
			w.send(call + "\r\nSET never x\r\n")
			all = append(all, w)
		}
		synctest.Wait()
		b.stop()
		for _, w := range all {
			w.expectClosed()
		}
		if err := <-b.ended; err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("the shutdown took %v", took)
		}
	})
}

// While commands are held back, times run out and clients that hang up are noticed.
func TestWaitsAndPauses(t *testing.T) {
	inBubble(t, func(b *bubble) {
		w, gone, held, other := b.dial(), b.dial(), b.dial(), b.dial()
		blocked := func(want int) {
			t.Helper()
			synctest.Wait()
			other.send("INFO clients\r\n")
			if info := other.bulk(); !strings.Contains(info, fmt.Sprintf("\r\nblocked_clients:%d\r\n", want)) {
				t.Errorf("want blocked_clients:%d in\n%s", want, info)
			}
		}
		w.send("BLPOP k 5\r\n")
		blocked(1)
		other.ask("CLIENT PAUSE 60000 WRITE", "+OK\r\n")
		gone.send("GET x\r\nRPUSH k gone\r\n")
		gone.expect("$-1\r\n")
		held.send("RPUSH k held\r\nLRANGE k 0 -1\r\n")
		blocked(3)
		other.send("CLIENT LIST ID 3\r\n")
		if line := other.bulk(); !strings.Contains(line, " flags=b ") {
			t.Errorf("a client that a pause holds back is shown as %s", line)
		}
		other.ask("CLIENT UNBLOCK 3", ":0\r\n")
		gone.Close()
		blocked(2)
		time.Sleep(5 * time.Second)
		w.expect("*-1\r\n")
		blocked(1)
		other.ask("CLIENT UNPAUSE", "+OK\r\n")
		held.expect(":1\r\n*1\r\n$4\r\nheld\r\n")
		blocked(0)

		began := time.Now()
		other.ask("CLIENT PAUSE 2000 ALL", "+OK\r\n")
		held.ask("PING", "+PONG\r\n")
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("a pause of 2s held a command back for %v", took)
		}
	})
}

// A call that waits counts once, when it has its reply, and not for the time that it waited.
func TestWaitsAreCountedOnce(t *testing.T) {
	inBubble(t, func(b *bubble) {
		w, other := b.dial(), b.dial()
		want := func(line string) {
			t.Helper()
			other.send("INFO commandstats\r\n")
			if info := other.bulk(); !strings.Contains(info, line) {
				t.Errorf("want %q in\n%s", line, info)
			}
		}
		w.send("BLPOP k 0\r\n")
		time.Sleep(time.Hour)
		other.send("INFO commandstats\r\n")
		if info := other.bulk(); strings.Contains(info, "cmdstat_blpop") {
			t.Errorf("a call that waits has been counted:\n%s", info)
		}
		other.ask("RPUSH k v", ":1\r\n")
		want("cmdstat_blpop:calls=1,usec=0,") // though w has not read its reply yet
		w.expect("*2\r\n$1\r\nk\r\n$1\r\nv\r\n")
		w.ask("BLPOP k 10", "*-1\r\n")
		want("cmdstat_blpop:calls=2,usec=0,")
		other.ask("SET k v", "+OK\r\n")
		w.ask("BLPOP k 10", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n")
		want("cmdstat_blpop:calls=3,usec=0,usec_per_call=0.00,rejected_calls=0,failed_calls=1\r\n")
	})
}

// A connection that wants no replies gets none to a call that has waited.
func TestSilentWaits(t *testing.T) {
	inBubble(t, func(b *bubble) {
		w, other := b.dial(), b.dial()
		w.send("CLIENT REPLY SKIP\r\nBLPOP k 0\r\nECHO a\r\nCLIENT REPLY OFF\r\nBLPOP k 1\r\nBLPOP k 0\r\nCLIENT REPLY ON\r\nECHO b\r\n")
		synctest.Wait()
		other.ask("RPUSH k v", ":1\r\n")
		w.expect("$1\r\na\r\n")
		time.Sleep(2 * time.Second)
		other.ask("RPUSH k v", ":1\r\n")
		w.expect("+OK\r\n$1\r\nb\r\n")
	})
}

// Who waits is not idle. Behind a wait, idleness counts again.
func TestWaitingIsNotIdle(t *testing.T) {
	inBubble(t, func(b *bubble) {
		w := b.dial()
		w.ask("CONFIG SET timeout 1", "+OK\r\n")
		w.ask("BLPOP k 5", "*-1\r\n")
		w.ask("CLIENT PAUSE 3000", "+OK\r\n")
		w.ask("PING", "+PONG\r\n")
		began := time.Now()
		w.expectClosed()
		if took := time.Since(began); took != time.Second {
			t.Errorf("an idle client was closed after %v, want 1s", took)
		}
	})
}

package server_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/elastickv/elastickv/internal/command"
	"github.com/elastickv/elastickv/internal/server"
)

// push is a message of protocol 3.
func push(words ...string) string {
	s := fmt.Sprintf(">%d\r\n", len(words))
	for _, w := range words {
		s += fmt.Sprintf("$%d\r\n%s\r\n", len(w), w)
	}
	return s
}

// invalidated is a push to forget keys.
func invalidated(keys ...string) string {
	s := fmt.Sprintf(">2\r\n$10\r\ninvalidate\r\n*%d\r\n", len(keys))
	for _, k := range keys {
		s += fmt.Sprintf("$%d\r\n%s\r\n", len(k), k)
	}
	return s
}

// hello switches to protocol 3.
func (w *wire) hello() {
	w.t.Helper()
	w.send("HELLO 3\r\n")
	for {
		line, err := w.r.ReadString('\n')
		if err != nil {
			w.t.Fatal(err)
		}
		if strings.HasPrefix(line, "*0") {
			return
		}
	}
}

// Nobody hears of what is not durable: neither messages, nor events, nor invalidations, nor what
// monitors are shown; and all of it comes in the order in which it was made.
func TestTellingWaitsForDurability(t *testing.T) {
	inBubble(t, func(b *bubble) {
		ear, cache, monitor, w := b.dial(), b.dial(), b.dial(), b.dial()
		w.ask("CONFIG SET notify-keyspace-events Ez", "+OK\r\n")
		ear.send("SUBSCRIBE ch __keyevent@0__:zadd\r\n")
		ear.expect("*3\r\n$9\r\nsubscribe\r\n$2\r\nch\r\n:1\r\n*3\r\n$9\r\nsubscribe\r\n$19\r\n__keyevent@0__:zadd\r\n:2\r\n")
		cache.hello()
		cache.ask("CLIENT TRACKING on", "+OK\r\n")
		cache.ask("GET k", "_\r\n")
		monitor.ask("MONITOR", "+OK\r\n")

		b.engine.close()
		w.send("SET k 1\r\nPUBLISH ch 1\r\nZADD z 1 m\r\nMULTI\r\nPUBLISH ch 2\r\nZADD z 2 m\r\nEXEC\r\nPUBLISH ch 3\r\n")
		for name, who := range map[string]*wire{"subscriber": ear, "cache": cache, "monitor": monitor, "writer": w} {
			b.silent(who, "for the "+name+" before the sync")
		}
		other := b.dial()
		other.ask("PUBLISH ch now", ":1\r\n") // it depends on nothing
		ear.expect("*3\r\n$7\r\nmessage\r\n$2\r\nch\r\n$3\r\nnow\r\n")
		b.silent(ear, "before the sync")

		b.engine.open(nil)
		w.expect("+OK\r\n:1\r\n:1\r\n+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:1\r\n:0\r\n:1\r\n")
		const event = "*3\r\n$7\r\nmessage\r\n$19\r\n__keyevent@0__:zadd\r\n$1\r\nz\r\n"
		message := func(s string) string { return "*3\r\n$7\r\nmessage\r\n$2\r\nch\r\n$1\r\n" + s + "\r\n" }
		ear.expect(message("1") + event + message("2") + event + message("3"))
		cache.expect(invalidated("k"))
		for _, want := range []string{`"PUBLISH" "ch" "now"`, `"SET" "k" "1"`, `"PUBLISH" "ch" "1"`, `"ZADD" "z" "1" "m"`, `"MULTI"`,
			`"PUBLISH" "ch" "2"`, `"ZADD" "z" "2" "m"`, `"EXEC"`, `"PUBLISH" "ch" "3"`} {
			if line, err := monitor.r.ReadString('\n'); err != nil || !strings.HasSuffix(line, want+"\r\n") {
				t.Errorf("monitor: got %q, %v, want %s", line, err, want)
			}
		}
	})
}

// What a failed sync takes back is never told.
func TestNothingIsToldOfWhatIsLost(t *testing.T) {
	inBubble(t, func(b *bubble) {
		ear, w := b.dial(), b.dial()
		ear.ask("SUBSCRIBE ch", "*3\r\n$9\r\nsubscribe\r\n$2\r\nch\r\n:1\r\n")
		b.engine.close()
		w.send("SET k 1\r\nPUBLISH ch 1\r\n")
		synctest.Wait()
		b.engine.open(errDiskOnFire)
		ear.expectClosed()
	})
}

// A client has the reply to a read before it is told that the key has changed since, whatever the
// server is doing: here the reply waits behind a write of the same pipeline.
func TestInvalidationComesBehindTheReply(t *testing.T) {
	inBubble(t, func(b *bubble) {
		cache, w := b.dial(), b.dial()
		cache.hello()
		cache.ask("CLIENT TRACKING on", "+OK\r\n")
		b.engine.close()
		w.send("SET k 1\r\n")
		synctest.Wait()
		cache.send("GET k\r\nSET other 1\r\nGET k\r\n") // the first on a snapshot without k, the last behind it
		b.silent(cache, "before the sync")
		b.engine.open(nil)
		cache.expect("_\r\n+OK\r\n$1\r\n1\r\n" + invalidated("k"))
		w.expect("+OK\r\n")
		w.ask("SET k 2", "+OK\r\n")
		cache.expect(invalidated("k")) // for the second read has seen the first change
	})
}

// A read that takes long, of a key that changes meanwhile, counts although its reply has not been
// made yet.
func TestSlowReadIsInvalidated(t *testing.T) {
	begun, release := make(chan struct{}), make(chan struct{})
	slow := &command.Command{
		Name: "slowget", Arity: 2, Flags: command.ReadOnly, Group: command.GroupString, Since: "7.0.0", Summary: "For tests.",
		Keys: []command.KeySpec{{Flags: command.KeyRO, Index: 1, Step: 1}},
		Run: func(c *command.Ctx) error {
			v, _, err := c.Keys.String(c.Args[1])
			c.Out.Bulk(v)
			begun <- struct{}{}
			<-release
			return err
		},
	}
	addr := startWith(t, slow)
	cache, w := dial(t, addr), dial(t, addr)
	cache.hello()
	cache.ask("CLIENT TRACKING on", "+OK\r\n")
	w.ask("SET k 1", "+OK\r\n")
	cache.send("SLOWGET k\r\n")
	<-begun
	w.ask("SET k 2", "+OK\r\n")
	release <- struct{}{}
	cache.expect("$1\r\n1\r\n" + invalidated("k"))
}

// A call that waits and is served changes a key that its client has read: the reply comes first.
func TestServedCallIsAnsweredBeforeItsInvalidation(t *testing.T) {
	inBubble(t, func(b *bubble) {
		cache, w := b.dial(), b.dial()
		cache.hello()
		cache.ask("CLIENT TRACKING on", "+OK\r\n")
		cache.ask("LLEN to", ":0\r\n")
		cache.ask("GET unrelated", "_\r\n")
		cache.send("BLMOVE from to LEFT LEFT 0\r\n")
		synctest.Wait()
		w.ask("SET unrelated 1", "+OK\r\n")
		cache.expect(invalidated("unrelated")) // while it waits
		b.engine.close()
		w.send("RPUSH from a\r\n")
		b.silent(cache, "before the sync")
		b.engine.open(nil)
		w.expect(":1\r\n")
		cache.expect("$1\r\na\r\n" + invalidated("to"))
	})
}

// A key that has expired is invalidated, and told of, when somebody asks for it, if not before.
func TestExpiredKeysAreToldOf(t *testing.T) {
	inBubble(t, func(b *bubble) {
		cache, ear, w := b.dial(), b.dial(), b.dial()
		w.ask("DEBUG SET-ACTIVE-EXPIRE 0", "+OK\r\n")
		w.ask("CONFIG SET notify-keyspace-events Ex", "+OK\r\n")
		ear.ask("SUBSCRIBE __keyevent@0__:expired", "*3\r\n$9\r\nsubscribe\r\n$22\r\n__keyevent@0__:expired\r\n:1\r\n")
		w.ask("SET k 1 PX 1000", "+OK\r\n")
		cache.hello()
		cache.ask("CLIENT TRACKING on", "+OK\r\n")
		cache.ask("GET k", "$1\r\n1\r\n")
		time.Sleep(2 * time.Second)
		b.silent(ear, "although nobody has asked for the key")
		w.ask("DBSIZE", ":1\r\n")
		w.ask("EXISTS k", ":0\r\n")
		ear.expect("*3\r\n$7\r\nmessage\r\n$22\r\n__keyevent@0__:expired\r\n$1\r\nk\r\n")
		cache.expect(invalidated("k"))
		w.ask("DBSIZE", ":0\r\n")
		w.ask("DEBUG SET-ACTIVE-EXPIRE 1", "+OK\r\n")
		w.ask("SET k 1 PX 1000", "+OK\r\n")
		cache.ask("GET k", "$1\r\n1\r\n")
		time.Sleep(2 * time.Second)
		ear.expect("*3\r\n$7\r\nmessage\r\n$22\r\n__keyevent@0__:expired\r\n$1\r\nk\r\n")
		cache.expect(invalidated("k"))
	})
}

// A subscriber that does not read is cut off, and never slows down who publishes.
func TestSlowSubscriberIsCutOff(t *testing.T) {
	inBubble(t, func(b *bubble) {
		slow, w := b.dial(), b.dial()
		w.ask(`CONFIG SET client-output-buffer-limit "pubsub 1mb 0 0"`, "+OK\r\n")
		slow.ask("SUBSCRIBE ch", "*3\r\n$9\r\nsubscribe\r\n$2\r\nch\r\n:1\r\n")
		message := strings.Repeat("x", 10_000)
		publish := fmt.Sprintf("*3\r\n$7\r\nPUBLISH\r\n$2\r\nch\r\n$%d\r\n%s\r\n", len(message), message)
		began := time.Now()
		sent := 0
		for {
			w.send(publish)
			line, err := w.r.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if line == ":0\r\n" {
				break
			}
			if sent++; sent > 200 {
				t.Fatal("2 MB wait for a subscriber, whose limit is 1 MB")
			}
			synctest.Wait()
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("publishing took %v although it waits for nobody", took)
		}
		if sent < 100 {
			t.Errorf("cut off after %d messages, long before the limit", sent)
		}
		w.send("INFO stats\r\n")
		if !strings.Contains(w.bulk(), "client_output_buffer_limit_disconnections:1\r\n") {
			t.Error("INFO does not tell")
		}
		if !strings.Contains(b.log.String(), "does not read") {
			t.Errorf("the log does not tell:\n%s", b.log)
		}
	})
}

// Pushes and replies never mix, in whatever pieces the client takes them.
func TestPushesStandBetweenReplies(t *testing.T) {
	inBubble(t, func(b *bubble) {
		ear, w := b.dial(), b.dial()
		ear.hello()
		ear.ask("SUBSCRIBE ch", ">3\r\n$9\r\nsubscribe\r\n$2\r\nch\r\n:1\r\n")
		value := strings.Repeat("v", 200_000)
		w.send(fmt.Sprintf("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n%s\r\n", len(value), value))
		w.expect("+OK\r\n")
		ear.send(strings.Repeat("GET k\r\n", 5)) // nobody reads yet: the first write has to give up
		synctest.Wait()
		w.ask("PUBLISH ch 1", ":1\r\n") // while it is tried
		time.Sleep(time.Second)
		ear.send("GET k\r\n")
		reply := fmt.Sprintf("$%d\r\n%s\r\n", len(value), value)
		ear.expect(strings.Repeat(reply, 5) + push("message", "ch", "1") + reply)
	})
}

// One who is told a lot at once keeps its place in memory small: what is queued is shared, and a
// large message is not copied for each subscriber.
func TestLargeMessagesAreShared(t *testing.T) {
	r := start(t, nil)
	const listeners, size = 100, 1 << 20
	ears := make([]*wire, listeners)
	for i := range ears {
		ears[i] = dial(t, r.addr)
		ears[i].ask("SUBSCRIBE ch", "*3\r\n$9\r\nsubscribe\r\n$2\r\nch\r\n:1\r\n")
	}
	w := dial(t, r.addr)
	before := memoryOf(w)
	message := strings.Repeat("x", size)
	for range 10 {
		w.send(fmt.Sprintf("*3\r\n$7\r\nPUBLISH\r\n$2\r\nch\r\n$%d\r\n%s\r\n", size, message))
		w.expect(fmt.Sprintf(":%d\r\n", listeners))
	}
	if grown := memoryOf(w) - before; grown > 300<<20 { // 1 GB if each had its own
		t.Errorf("10 messages of 1 MB to %d listeners who do not read take %d MB", listeners, grown>>20)
	}
	for _, ear := range ears[:3] {
		for range 10 {
			ear.expect(fmt.Sprintf("*3\r\n$7\r\nmessage\r\n$2\r\nch\r\n$%d\r\n", size))
			ear.expect(message + "\r\n")
		}
	}
}

// memoryOf returns the memory that the server uses.
func memoryOf(w *wire) (n int64) {
	w.t.Helper()
	w.send("INFO memory\r\n")
	text := w.bulk()
	_, rest, _ := strings.Cut(text, "used_memory:")
	if _, err := fmt.Sscan(rest, &n); err != nil {
		w.t.Fatal(err)
	}
	return n
}

// Who listens from a command on that stands behind a PUBLISH does not hear what that says, however late it is said.
func TestSubscribeBehindPublish(t *testing.T) {
	inBubble(t, func(b *bubble) {
		w := b.dial()
		b.engine.close()
		w.send("SET k 1\r\nPUBLISH ch 1\r\nSUBSCRIBE ch\r\n")
		b.silent(w, "before the sync")
		b.engine.open(nil)
		w.expect("+OK\r\n:0\r\n*3\r\n$9\r\nsubscribe\r\n$2\r\nch\r\n:1\r\n")
		b.silent(w, "behind the PUBLISH")
	})
}

// Subscriptions begin and end where PUBLISH is carried out, so that it does not overtake them. A great many do so elsewhere.
func TestSubscriptionsAreNotOvertaken(t *testing.T) {
	s := start(t, nil).srv
	many := make([]string, 1000)
	for i := range many {
		many[i] = fmt.Sprint("ch", i)
	}
	for _, name := range []string{"SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE", "UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE"} {
		if server.Lingers(s, name, "ch", "other") || server.Lingers(s, "PUBLISH", "ch", "m") {
			t.Errorf("%s can be overtaken by a PUBLISH of another connection", name)
		}
		if !server.Lingers(s, append([]string{name}, many...)...) {
			t.Errorf("%s of %d channels holds up others", name, len(many))
		}
	}
	if server.Lingers(s, "PUNSUBSCRIBE") {
		t.Error("PUNSUBSCRIBE without arguments can be overtaken")
	}
}

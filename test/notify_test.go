package test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/elastickv/elastickv/internal/resp"
	"github.com/elastickv/elastickv/internal/testkit"
)

// notKeys are the families of scripts that say nothing about events of keys.
var notKeys = []string{"connection", "server", "transactions", "pubsub"}

// otherEvents are calls whose events differ on purpose, and why.
var otherEvents = map[string]string{
	"XAUTOCLAIM none g c abc 0": "what is wrong in itself does not ask for keys",
}

// ofConsumer reports whether an event is about a consumer of a stream. In 7.0 one comes to be when it gets something, since 7.2
// when it is named: only a server of 7.2 is asked for these events.
func ofConsumer(event string) bool { return strings.Contains(event, "consumer") }

// TestKeyEvents carries out the commands of all scripts about keys here and on a real
// redis-server, and compares the events that they publish. When keys expire by
// themselves is left out, for that nobody can foretell.
func TestKeyEvents(t *testing.T) {
	testkit.Single(t)
	redis, ours := testkit.Redis(t).Addr, testkit.Memory(t)
	version := redisVersion(t, redis)
	eachScript(t, func(t *testing.T, path string) {
		if slices.Contains(notKeys, strings.Split(path, "/")[1]) {
			t.Skip("not about keys")
		}
		here, there := listen(t, ours), listen(t, redis)
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			b := parseBlock(t, d)
			if b.ours || b.only == 3 || b.redis != "" && b.redis != version {
				return d.Expected
			}
			for _, c := range b.calls {
				got, want := here.events(t, b, c), there.events(t, b, c)
				// What a connection sent behind a call that waited is carried out when its reply has left.
				for range 1000 {
					if len(got) >= len(want) {
						break
					}
					got = append(got, here.heard(t)...)
				}
				if version != "7.2" {
					got, want = slices.DeleteFunc(got, ofConsumer), slices.DeleteFunc(want, ofConsumer)
				}
				if !slices.Equal(got, want) && otherEvents[strings.Join(c.args, " ")] == "" {
					t.Errorf("%q: got events\n%s\nwant\n%s", c.args, strings.Join(got[:min(len(got), 20)], "\n"), strings.Join(want[:min(len(want), 20)], "\n"))
				}
			}
			return d.Expected
		})
	})
}

// listener is a server whose events are heard.
type listener struct {
	door    *door
	ear     *testkit.Client
	control *testkit.Client
	marks   int
}

// listen empties a server and hears every event from then on.
func listen(t *testing.T, addr string) *listener {
	l := &listener{
		door: &door{kind: direct2, addr: addr, protocol: 2, conns: make(map[string]*session)},
		ear:  testkit.Dial(t, addr, 3), control: testkit.Dial(t, addr, 2),
	}
	l.control.MustDo(t, "FLUSHALL")
	l.control.MustDo(t, "CONFIG", "SET", "notify-keyspace-events", "KEAmn")
	if err := l.ear.Send("PSUBSCRIBE", "*"); err != nil {
		t.Fatal(err)
	}
	if v, err := l.ear.Receive(); err != nil || v.Kind != resp.KindPush {
		t.Fatalf("PSUBSCRIBE: %v, %v", v, err)
	}
	t.Cleanup(func() {
		for _, s := range l.door.conns {
			s.hangUp()
		}
	})
	return l
}

// events carries out a call and returns the events up to its end.
func (l *listener) events(t *testing.T, b *block, c call) (out []string) {
	t.Helper()
	if _, err := b.call(l.door, c); err != nil {
		t.Fatalf("%q: %v", c.args, err)
	}
	return l.heard(t)
}

// heard returns the events up to now.
func (l *listener) heard(t *testing.T) (out []string) {
	t.Helper()
	l.marks++
	mark := fmt.Sprint(l.marks)
	l.control.MustDo(t, "PUBLISH", "mark", mark)
	for {
		v, err := l.ear.Receive()
		if err != nil || len(v.Elems) != 4 {
			t.Fatalf("got %v, %v, want a message", v, err)
		}
		channel, message := v.Elems[2].Str, v.Elems[3].Str
		switch {
		case channel == "mark" && message == mark:
			return out
		case message == "expired" || strings.HasSuffix(channel, ":expired"):
		default:
			out = append(out, channel+" "+message)
		}
	}
}

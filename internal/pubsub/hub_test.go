package pubsub

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// glob is enough of a matcher for these tests.
func glob(pattern, name []byte) bool {
	ok, err := path.Match(string(pattern), string(name))
	return ok && err == nil
}

// ear remembers what it is told, in protocol 2.
type ear struct {
	mu    sync.Mutex
	heard []string
}

func (e *ear) Deliver(m *Message) {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := fmt.Sprintf("%s:%s", m.Channel, m.Payload)
	if m.Kind == Pattern {
		s = m.Pattern + "<" + s
	}
	e.heard = append(e.heard, s)
}

func (e *ear) take() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	h := e.heard
	e.heard = nil
	return h
}

// A message reaches exactly those whose subscriptions match, whatever was subscribed and ended before.
func TestModel(t *testing.T) {
	name := rapid.SampledFrom([]string{"a", "ab", "b.1", "b.2", "c"})
	pattern := rapid.SampledFrom([]string{"*", "a*", "a?", "b.*", "b.[12]", "[ac]", "c"})
	topic := func(t *rapid.T, k Kind) string {
		if k == Pattern {
			return pattern.Draw(t, "pattern")
		}
		return name.Draw(t, "name")
	}
	rapid.Check(t, func(t *rapid.T) {
		h := NewHub(glob)
		const clients = 3
		var ears [clients]ear
		var cs [clients]*Client
		var model [clients][Kinds]map[string]bool
		for i := range cs {
			cs[i] = h.NewClient(&ears[i])
			for k := range model[i] {
				model[i][k] = make(map[string]bool)
			}
		}
		who := rapid.IntRange(0, clients-1)
		kind := rapid.SampledFrom([]Kind{Channel, Pattern, Shard})
		t.Repeat(map[string]func(*rapid.T){
			"subscribe": func(t *rapid.T) {
				i, k := who.Draw(t, "who"), kind.Draw(t, "kind")
				n := topic(t, k)
				cs[i].Subscribe(k, n)
				model[i][k][n] = true
			},
			"unsubscribe": func(t *rapid.T) {
				i, k := who.Draw(t, "who"), kind.Draw(t, "kind")
				n := topic(t, k)
				cs[i].Unsubscribe(k, n)
				delete(model[i][k], n)
			},
			"drop": func(t *rapid.T) {
				i := who.Draw(t, "who")
				cs[i].Drop()
				for k := range model[i] {
					clear(model[i][k])
				}
			},
			"publish": func(t *rapid.T) {
				k := rapid.SampledFrom([]Kind{Channel, Shard}).Draw(t, "kind")
				n := name.Draw(t, "channel")
				want := 0
				audience := h.Audience(k, []byte(n))
				got := h.Publish(k, []byte(n), []byte("x"), Own{})
				for i := range cs {
					var expect []string
					if model[i][k][n] {
						expect = append(expect, n+":x")
					}
					for p := range model[i][Pattern] {
						if k == Channel && glob([]byte(p), []byte(n)) {
							expect = append(expect, p+"<"+n+":x")
						}
					}
					want += len(expect)
					heard := ears[i].take()
					slices.Sort(heard)
					slices.Sort(expect)
					if !slices.Equal(heard, expect) {
						t.Fatalf("client %d heard %q, want %q", i, heard, expect)
					}
				}
				if got != want || audience != want {
					t.Fatalf("Publish says %d, Audience %d, want %d", got, audience, want)
				}
			},
			"": func(t *rapid.T) {
				for k := range Kinds {
					all := make(map[string]int)
					for i := range cs {
						for n := range model[i][k] {
							all[n]++
						}
						if c := cs[i].Count(k); c != len(model[i][k]) {
							t.Fatalf("client %d has %d subscriptions, want %d", i, c, len(model[i][k]))
						}
					}
					if got, want := h.Names(k), slices.Sorted(maps.Keys(all)); !slices.Equal(got, want) || h.Topics(k) != len(want) {
						t.Fatalf("names %q, want %q", got, want)
					}
					for n, c := range all {
						if got := h.Subscribers(k, []byte(n)); got != c {
							t.Fatalf("%q has %d subscribers, want %d", n, got, c)
						}
					}
				}
			},
		})
		for _, c := range cs {
			c.Drop()
		}
		if h.Active() || h.mu.patterns.Len() != 0 {
			t.Fatal("something is left of subscriptions that have ended")
		}
	})
}

func TestNamesAreInOrder(t *testing.T) {
	h := NewHub(glob)
	c := h.NewClient(&ear{})
	for _, n := range []string{"z", "a", "m"} {
		c.Subscribe(Channel, n)
	}
	c.Unsubscribe(Channel, "a")
	c.Subscribe(Channel, "a")
	if got := c.Names(Channel); !slices.Equal(got, []string{"z", "m", "a"}) {
		t.Errorf("names %q, want those subscribed to first in front", got)
	}
}

// A publisher hears its own message where it wants to.
func TestOwnMessages(t *testing.T) {
	h := NewHub(glob)
	var mine, others ear
	me, you := h.NewClient(&mine), h.NewClient(&others)
	me.Subscribe(Channel, "c")
	me.Subscribe(Pattern, "*")
	you.Subscribe(Channel, "c")
	var own ear
	if n := h.Publish(Channel, []byte("c"), []byte("x"), Own{me, own.Deliver}); n != 3 {
		t.Errorf("reached %d, want 3", n)
	}
	if len(mine.take()) != 0 || !slices.Equal(own.take(), []string{"c:x", "*<c:x"}) || len(others.take()) != 1 {
		t.Error("the publisher's messages went the wrong way")
	}
}

// All hear messages of different publishers in one order.
func TestOneOrderForAll(t *testing.T) {
	h := NewHub(glob)
	var a, b ear
	h.NewClient(&a).Subscribe(Channel, "c")
	h.NewClient(&b).Subscribe(Pattern, "*")
	var all sync.WaitGroup
	for p := range 4 {
		all.Go(func() {
			for i := range 200 {
				h.Publish(Channel, []byte("c"), fmt.Appendf(nil, "%d.%d", p, i), Own{})
			}
		})
	}
	all.Wait()
	x, y := a.take(), b.take()
	for i := range x {
		if "*<"+x[i] != y[i] {
			t.Fatalf("message %d is %q for one and %q for the other", i, x[i], y[i])
		}
	}
}

func TestEncoded(t *testing.T) {
	for _, tc := range []struct {
		m    Message
		want [2]string
	}{
		{Message{Kind: Channel, Channel: []byte("c"), Payload: []byte("hi")},
			[2]string{"*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$2\r\nhi\r\n", ">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$2\r\nhi\r\n"}},
		{Message{Kind: Pattern, Pattern: "*", Channel: []byte("c"), Payload: nil},
			[2]string{"*4\r\n$8\r\npmessage\r\n$1\r\n*\r\n$1\r\nc\r\n$0\r\n\r\n", ">4\r\n$8\r\npmessage\r\n$1\r\n*\r\n$1\r\nc\r\n$0\r\n\r\n"}},
		{Message{Kind: Shard, Channel: []byte("s"), Payload: []byte("x")},
			[2]string{"*3\r\n$8\r\nsmessage\r\n$1\r\ns\r\n$1\r\nx\r\n", ">3\r\n$8\r\nsmessage\r\n$1\r\ns\r\n$1\r\nx\r\n"}},
	} {
		for i, want := range tc.want {
			if got := string(tc.m.Encoded(i + 2)); got != want {
				t.Errorf("protocol %d: %q, want %q", i+2, got, want)
			}
			if first, again := tc.m.Encoded(i+2), tc.m.Encoded(i+2); &first[0] != &again[0] {
				t.Error("encoded twice")
			}
		}
	}
}

// BenchmarkPublish is a message to one of many channels, past many patterns that do not match.
func BenchmarkPublish(b *testing.B) {
	h := NewHub(glob)
	var nobody silence
	for i := range 10_000 {
		c := h.NewClient(nobody)
		c.Subscribe(Channel, fmt.Sprintf("channel:%d", i))
		c.Subscribe(Pattern, fmt.Sprintf("user:%d:*", i))
	}
	channel, payload := []byte("user:77:name"), []byte("x")
	b.ReportAllocs()
	for b.Loop() {
		h.Publish(Channel, channel, payload, Own{})
	}
}

type silence struct{}

func (silence) Deliver(*Message) {}

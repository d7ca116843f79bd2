package tracking

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// keys are those of the model.
var keys = []string{"a", "b"}

// client is a model of one that keeps copies: of each key the version that it has read.
type client struct {
	id      ID
	mode    Mode
	copies  map[string]int
	reading string // a key that is being read on a snapshot, "" if none
	held    [][]string
}

// world is a model of who reads and who writes. Versions count up; changes are made one after
// the other, and can be seen by everybody when they are settled, in the same order.
type world struct {
	t       *Table
	clients []*client
	latest  map[string]int
	durable map[string]int
	settled map[string]int
	due     []*pending
}

type pending struct {
	due      Due
	versions map[string]int // that it has made
	seen     bool           // everybody can see them
}

func (w *world) tell(all []Notice) {
	for _, n := range all {
		var names []string
		for _, k := range n.Keys {
			names = append(names, string(k))
		}
		if n.Keys == nil {
			names = keys
		}
		for _, to := range n.To {
			c := w.clients[to.ID-1]
			if c.reading != "" { // what it is told comes behind the reply
				c.held = append(c.held, names)
				continue
			}
			c.forget(names)
		}
	}
}

func (c *client) forget(names []string) {
	for _, n := range names {
		delete(c.copies, n)
	}
}

// keep puts a version into the client's cache. Of two the older is what can go wrong.
func (c *client) keep(key string, version int) {
	if old, ok := c.copies[key]; ok {
		version = min(version, old)
	}
	c.copies[key] = version
}

// finishRead gives the client what it has asked for, and then what it was told meanwhile.
func (w *world) finishRead(c *client) {
	c.keep(c.reading, w.durable[c.reading])
	c.reading = ""
	for _, names := range c.held {
		c.forget(names)
	}
	c.held = nil
}

// A client never keeps a copy of what has changed: it is told of each change that everybody can see,
// however reads, changes and what makes these durable interleave.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{t: NewTable(), latest: make(map[string]int), durable: make(map[string]int), settled: make(map[string]int)}
		for i := range 2 {
			c := &client{id: ID(i + 1), copies: make(map[string]int)}
			if i == 1 {
				c.mode.NoLoop = true
			}
			w.clients = append(w.clients, c)
			w.t.Enable(c.id, c.mode)
		}
		w.tell(w.t.Limit(rapid.IntRange(0, 2).Draw(t, "limit")))
		key := rapid.SampledFrom([]string{"a", "a", "a", "b"}) // most meet at one key
		who := rapid.SampledFrom(w.clients)
		actions := map[string]func(*rapid.T){
			"begin to read": func(t *rapid.T) {
				c := who.Draw(t, "who")
				writes := slices.ContainsFunc(w.due, func(p *pending) bool { return p.due.by == c.id }) // and waits for that
				if c.reading == "" && !writes {
					c.reading = key.Draw(t, "key")
					w.tell(w.t.Remember(c.id, Durable, []byte(c.reading)))
				}
			},
			"end to read": func(t *rapid.T) {
				if c := who.Draw(t, "who"); c.reading != "" {
					w.finishRead(c)
				}
			},
			"read the latest": func(t *rapid.T) {
				c, k := who.Draw(t, "who"), key.Draw(t, "key")
				if c.reading != "" {
					return
				}
				notices := w.t.Remember(c.id, Latest, []byte(k))
				c.keep(k, w.latest[k])
				w.tell(notices)
			},
			"change": func(t *rapid.T) {
				if len(w.due) > 3 {
					return
				}
				k := key.Draw(t, "key")
				p := &pending{versions: map[string]int{k: w.latest[k] + 1}}
				var by ID
				if c := who.Draw(t, "who"); c.reading == "" {
					by = c.id
					if c.mode.NoLoop { // it knows what it does
						delete(c.copies, k)
					}
				}
				w.latest[k]++
				w.t.Collect(&p.due, by, Change{Key: []byte(k)})
				w.due = append(w.due, p)
			},
			"flush": func(t *rapid.T) {
				if len(w.due) > 3 {
					return
				}
				p := &pending{versions: make(map[string]int)}
				for _, k := range keys {
					w.latest[k]++
					p.versions[k] = w.latest[k]
				}
				w.t.Collect(&p.due, 0, Change{})
				w.due = append(w.due, p)
			},
			"see": func(t *rapid.T) { // a change can be seen, but nobody is told yet
				for _, p := range w.due {
					if !p.seen {
						p.seen = true
						maps.Copy(w.durable, p.versions)
						return
					}
				}
			},
			"settle": func(t *rapid.T) {
				if len(w.due) > 0 && w.due[0].seen {
					read, broadcast := w.t.Settle(&w.due[0].due)
					maps.Copy(w.settled, w.due[0].versions)
					w.due = w.due[1:]
					w.tell(read)
					w.tell(broadcast)
				}
			},
			"leave and come again": func(t *rapid.T) {
				c := who.Draw(t, "who")
				w.t.Disable(c.id)
				clear(c.copies)
				c.reading, c.held = "", nil
				w.t.Enable(c.id, c.mode)
			},
			"": func(t *rapid.T) {
				w.t.check(t)
				for _, c := range w.clients {
					for k, v := range c.copies {
						if c.reading == "" && v < w.settled[k] { // else it has not been told yet
							t.Fatalf("client %d keeps version %d of %q, which has been told to be at %d", c.id, v, k, w.settled[k])
						}
					}
				}
			},
		}
		for range 20 { // one run of these is too short for most of what can happen
			t.Repeat(actions)
		}
	})
}

// check holds the table's own figures to its content.
func (t *Table) check(f *rapid.T) {
	items := 0
	for k, all := range t.mu.readers {
		items += len(all)
		if len(all) == 0 || !slices.IsSortedFunc(all, func(a, b reader) int { return int(a.id - b.id) }) {
			f.Fatalf("the readers of %q are %v", k, all)
		}
	}
	if got := t.Figures(); got.Items != items || t.mu.most > 0 && got.Keys > t.mu.most {
		f.Fatalf("figures %+v, want %d items and at most %d keys", got, items, t.mu.most)
	}
}

func ids(all []Notice) (out []string) {
	for _, n := range all {
		s := fmt.Sprintf("%q:", n.Keys)
		for _, to := range n.To {
			s += fmt.Sprintf(" %d", to.ID)
		}
		out = append(out, s)
	}
	return out
}

func expect(t *testing.T, what string, got []Notice, want ...string) {
	t.Helper()
	if s := ids(got); !slices.Equal(s, want) {
		t.Errorf("%s: told %q, want %q", what, s, want)
	}
}

func changes(names ...string) (out []Change) {
	for _, n := range names {
		out = append(out, Change{Key: []byte(n)})
	}
	return out
}

func TestBroadcast(t *testing.T) {
	table := NewTable()
	table.Enable(1, Mode{Broadcast: true})
	table.Enable(2, Mode{Broadcast: true, Prefixes: []string{"b:", "a"}, NoLoop: true})
	table.Enable(2, Mode{Broadcast: true, Prefixes: []string{"x"}, NoLoop: true, Redirect: 1})
	m, ok := table.Mode(2)
	if !ok || !slices.Equal(m.Prefixes, []string{"a", "b:", "x"}) || m.Redirect != 1 {
		t.Errorf("mode %+v, want all prefixes that were given", m)
	}
	settle := func(by ID, all ...Change) []Notice {
		var d Due
		table.Collect(&d, by, all...)
		read, broadcast := table.Settle(&d)
		expect(t, "readers", read)
		return broadcast
	}
	expect(t, "several keys", settle(7, changes("b:2", "c", "b:1", "a", "b:2")...),
		`["a" "b:1" "b:2" "c"]: 1`, `["a"]: 2`, `["b:1" "b:2"]: 2`)
	expect(t, "its own", settle(2, changes("a")...), `["a"]: 1`)
	expect(t, "its own that expired", settle(2, Change{Key: []byte("ab"), Expired: true}), `["ab"]: 1`, `["ab"]: 2`)
	expect(t, "its own and another", settle(2, Change{Key: []byte("a1"), Expired: true}, Change{Key: []byte("a2")}), `["a1" "a2"]: 1`, `["a1"]: 2`)
	table.Disable(1)
	expect(t, "one who has left", settle(7, changes("c")...))
	table.Disable(2)
	if f := table.Figures(); f != (Figures{}) {
		t.Errorf("left over: %+v", f)
	}
}

// Keys that nobody changes are given up beyond the limit, and whoever has read them is told.
func TestLimit(t *testing.T) {
	table := NewTable()
	table.Limit(10)
	table.Enable(1, Mode{})
	table.Enable(2, Mode{})
	told := make(map[string]int)
	count := func(all []Notice) {
		for _, n := range all {
			told[string(n.Keys[0])] += len(n.To)
		}
	}
	for i := range 1000 {
		k := fmt.Appendf(nil, "k%d", i)
		count(table.Remember(1, Durable, k))
		count(table.Remember(2, Durable, k))
	}
	f := table.Figures()
	total := 0
	for _, n := range told {
		total += n
	}
	if f.Keys != 10 || f.Items+total < 2000-10 {
		t.Errorf("%+v are left, %d were told: somebody was forgotten", f, total)
	}
	count(table.Limit(1))
	if f := table.Figures(); f.Keys != 1 {
		t.Errorf("%d keys after the limit was lowered to 1", f.Keys)
	}
}

// Clients that come, read and go leave no more behind for a key than there are clients.
func TestClientsThatHaveLeftAreForgotten(t *testing.T) {
	table := NewTable()
	table.Enable(1, Mode{})
	for i := range ID(100_000) {
		id := i + 2
		table.Enable(id, Mode{})
		table.Remember(id, Durable, []byte("k"))
		table.Disable(id)
	}
	if f := table.Figures(); f.Items > 16 || f.Clients != 1 {
		t.Errorf("%+v, want but a few items for one client", f)
	}
	table.Disable(1)
	if f := table.Figures(); f != (Figures{}) {
		t.Errorf("left over: %+v", f)
	}
}

// A script that has read nothing takes back its keys.
func TestForget(t *testing.T) {
	table := NewTable()
	table.Enable(1, Mode{})
	table.Enable(2, Mode{})
	a, b := []byte("a"), []byte("b")
	table.Remember(1, Durable, a, b)
	table.Remember(2, Durable, b)
	table.Forget(1, a, b, []byte("c"))
	if table.Knows(1, a) || table.Knows(1, b) || !table.Knows(2, b) || table.Figures().Items != 1 {
		t.Errorf("%+v, want only client 2 at b", table.Figures())
	}
}

// A client that does not want to know of its own changes is told of the next one by another, if it
// has read the key behind its own.
func TestReadBehindOwnChange(t *testing.T) {
	table := NewTable()
	table.Enable(1, Mode{NoLoop: true})
	k := []byte("k")
	var own, other Due
	table.Remember(1, Durable, k)
	table.Collect(&own, 1, Change{Key: k})
	table.Remember(1, Latest, k)
	read, _ := table.Settle(&own)
	expect(t, "its own", read)
	table.Collect(&other, 2, Change{Key: k})
	read, _ = table.Settle(&other)
	expect(t, "another's", read, `["k"]: 1`)

	table.Remember(1, Durable, k)
	table.Collect(&own, 1, Change{Key: k})
	read, _ = table.Settle(&own)
	expect(t, "its own again", read)
	if table.Knows(1, k) {
		t.Error("a client that has changed a key counts as one that has read it")
	}
}

// A key that expires is changed by nobody: who finds that out, and so has it removed, has read that it is gone, and is told like all
// others, for it is forgotten that they have read it.
func TestOwnFindOfExpiredKey(t *testing.T) {
	table := NewTable()
	table.Enable(1, Mode{NoLoop: true})
	table.Remember(1, Durable, []byte("a"))
	var due Due
	table.Collect(&due, 1, Change{Key: []byte("a"), Expired: true})
	read, _ := table.Settle(&due)
	if len(read) != 1 || len(read[0].To) != 1 || read[0].To[0].ID != 1 {
		t.Errorf("told %v, want the client that has read the key", read)
	}
}

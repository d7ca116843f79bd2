package test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

// appendTx is a transaction of appends to lists and readings of lists. What is appended is never appended again, anywhere.
type appendTx struct {
	client           int
	at               string // the address that was asked
	acts             []appendAct
	called, returned time.Duration
	outcome          appendOutcome
	told             string // in words, if it was refused
	near             *appendNear
	watches          bool // what it reads was watched, and read before all that it writes
}

// appendNear is said of a transaction that has read what was there some time ago.
type appendNear struct {
	session string        // one connection, on which time does not go back
	age     time.Duration // at most
}

type appendAct struct {
	list  string
	added string   // "" if it reads
	size  int      // of the list after it was appended to, as far as that was told
	read  []string // the list
}

type appendOutcome int

const (
	txDone    appendOutcome = iota
	txUnknown               // it has taken effect, or will, or never will
	txRefused               // it never will
)

func (x *appendTx) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "client %d at %s, %v to %v, %v:", x.client, x.at, x.called, x.returned, []string{"done", "unknown", "refused: " + x.told}[x.outcome])
	for _, a := range x.acts {
		if a.added != "" {
			fmt.Fprintf(&b, " append %s to %s (%d);", a.added, a.list, a.size)
		} else {
			fmt.Fprintf(&b, " read %s: %v;", a.list, a.read)
		}
	}
	return b.String()
}

// checkAppends returns an error if no order of the transactions explains what each has seen, or only one in which a transaction
// comes before another that had ended when it began: that is, unless they are strictly serializable. One that is near comes behind what had ended its age before it began, and behind
// those of its session. The lists themselves tell in which order they were written. The last transactions have to read all lists.
//
// Between transactions there are edges from a writer to the next one of a list (ww), from a writer to who has read what it wrote
// (wr), from a reader to the writer of what it has not seen (rw), and from one that has ended to those that began
// later (time), and within a session (session). A cycle is what must not be. The kinds of faults are those of Adya, and the way to find them that of Elle.
func checkAppends(all []*appendTx) error {
	g := &appendGraph{writers: map[string]*appendTx{}, orders: map[string][]string{}, edges: map[appendNode][]appendEdge{}}
	for _, step := range []func([]*appendTx) error{g.gatherWriters, g.gatherOrders, g.checkOrders, g.checkEach} {
		if err := step(all); err != nil {
			return err
		}
	}
	g.joinLists()
	g.joinReads(all)
	g.joinTime(all)
	g.joinSessions(all)
	return g.findCycle(all)
}

// appendNode is a transaction, or a moment.
type appendNode any

type appendMoment int

type appendEdge struct {
	to  appendNode
	why string
}

type appendGraph struct {
	writers map[string]*appendTx // of each element
	orders  map[string][]string  // of each list: all that was ever seen in it
	edges   map[appendNode][]appendEdge
}

func (g *appendGraph) gatherWriters(all []*appendTx) error {
	for _, x := range all {
		for _, a := range x.acts {
			if a.added == "" {
				continue
			}
			if g.writers[a.added] != nil {
				return fmt.Errorf("%s is appended twice by the clients", a.added)
			}
			g.writers[a.added] = x
		}
	}
	return nil
}

func (g *appendGraph) gatherOrders(all []*appendTx) error {
	for _, x := range all {
		for _, a := range x.acts {
			if x.outcome == txDone && a.added == "" && len(a.read) > len(g.orders[a.list]) {
				g.orders[a.list] = a.read
			}
		}
	}
	for _, x := range all {
		for _, a := range x.acts {
			if order := g.orders[a.list]; x.outcome == txDone && a.added == "" && !slices.Equal(a.read, order[:len(a.read)]) {
				return fmt.Errorf("list %s is %v for one reader, and %v for another:\n%v", a.list, order, a.read, x)
			}
		}
	}
	return nil
}

// checkOrders looks for what is in a list and should not be, or is not and should.
func (g *appendGraph) checkOrders(all []*appendTx) error {
	seen := map[string]bool{}
	for list, order := range g.orders {
		for _, e := range order {
			switch x := g.writers[e]; {
			case x == nil:
				return fmt.Errorf("%s is in list %s, and nobody has appended it", e, list)
			case seen[e]:
				return fmt.Errorf("%s was appended once and is there twice", e)
			case x.outcome == txRefused:
				return fmt.Errorf("%s is in list %s, and was refused:\n%v", e, list, x)
			case !slices.ContainsFunc(x.acts, func(a appendAct) bool { return a.added == e && a.list == list }):
				return fmt.Errorf("%s is in list %s, and was appended to another:\n%v", e, list, x)
			}
			seen[e] = true
		}
	}
	for _, x := range all {
		whole, some := true, false
		for _, a := range x.acts {
			if a.added != "" {
				whole, some = whole && seen[a.added], some || seen[a.added]
			}
		}
		if x.outcome == txDone && !whole {
			return fmt.Errorf("what was acknowledged is lost:\n%v", x)
		}
		if some && !whole {
			return fmt.Errorf("a transaction is there in part:\n%v", x)
		}
	}
	return nil
}

// checkEach looks at what each transaction has seen of itself, and of the middle of others.
func (g *appendGraph) checkEach(all []*appendTx) error {
	for _, x := range all {
		if x.outcome != txDone {
			continue
		}
		own := map[string][]string{}
		for _, a := range x.acts {
			if a.added != "" {
				own[a.list] = append(own[a.list], a.added)
				if at := slices.Index(g.orders[a.list], a.added); a.size != at+1 {
					return fmt.Errorf("%s is number %d of list %s, and its writer was told %d:\n%v", a.added, at+1, a.list, a.size, x)
				}
				continue
			}
			mine := own[a.list]
			if len(a.read) < len(mine) || !slices.Equal(a.read[len(a.read)-len(mine):], mine) {
				return fmt.Errorf("a transaction does not see what it has written itself, and nothing else behind it:\n%v", x)
			}
			others := a.read[:len(a.read)-len(mine)]
			if n := len(others); n > 0 && n < len(g.orders[a.list]) && g.writers[others[n-1]] == g.writers[g.orders[a.list][n]] {
				return fmt.Errorf("a transaction sees the middle of another:\n%v\n%v", x, g.writers[others[n-1]])
			}
		}
	}
	return nil
}

func (g *appendGraph) join(from, to appendNode, why string) {
	if from != to {
		g.edges[from] = append(g.edges[from], appendEdge{to, why})
	}
}

func (g *appendGraph) joinLists() {
	for list, order := range g.orders {
		for i := 1; i < len(order); i++ {
			g.join(g.writers[order[i-1]], g.writers[order[i]], "ww "+list)
		}
	}
}

func (g *appendGraph) joinReads(all []*appendTx) {
	for _, x := range all {
		own := map[string]int{}
		for _, a := range x.acts {
			if a.added != "" {
				own[a.list]++
				continue
			}
			if x.outcome != txDone {
				continue
			}
			n, order := len(a.read)-own[a.list], g.orders[a.list]
			if n > 0 {
				g.join(g.writers[order[n-1]], x, "wr "+a.list)
			}
			if n < len(order) {
				g.join(x, g.writers[order[n]], "rw "+a.list)
			}
		}
	}
}

// joinTime joins those that have ended to those that began later, by way of the moments at which something ended.
func (g *appendGraph) joinTime(all []*appendTx) {
	var ended []*appendTx
	for _, x := range all {
		if x.outcome == txDone {
			ended = append(ended, x)
		}
	}
	slices.SortFunc(ended, func(a, b *appendTx) int { return int(a.returned - b.returned) })
	for i, x := range ended {
		g.join(x, appendMoment(i), "time")
		if i > 0 {
			g.join(appendMoment(i-1), appendMoment(i), "time")
		}
	}
	for _, x := range all {
		asOf := x.called
		if x.near != nil {
			asOf -= x.near.age
		}
		// How many had ended then.
		n, _ := slices.BinarySearchFunc(ended, asOf, func(e *appendTx, at time.Duration) int {
			if e.returned < at {
				return -1
			}
			return 1
		})
		if n > 0 && x.outcome != txRefused {
			g.join(appendMoment(n-1), x, "time")
		}
	}
}

// joinSessions joins those that are near to those that came later on the same connection.
func (g *appendGraph) joinSessions(all []*appendTx) {
	last := map[string]*appendTx{}
	for _, x := range all {
		if x.near == nil || x.outcome != txDone {
			continue
		}
		if before := last[x.near.session]; before != nil {
			g.join(before, x, "session "+x.near.session)
		}
		last[x.near.session] = x
	}
}

// findCycle walks in depth, without recursion: histories are long.
func (g *appendGraph) findCycle(all []*appendTx) error {
	type visit struct {
		node appendNode
		why  string // of the edge that led here
		next int    // edge
	}
	const entered, left = 1, 2
	state := map[appendNode]int{}
	for _, x := range all {
		if state[x] != 0 {
			continue
		}
		path := []visit{{node: x}}
		state[x] = entered
		for len(path) > 0 {
			at := &path[len(path)-1]
			if at.next == len(g.edges[at.node]) {
				state[at.node] = left
				path = path[:len(path)-1]
				continue
			}
			e := g.edges[at.node][at.next]
			at.next++
			switch state[e.to] {
			case 0:
				state[e.to] = entered
				path = append(path, visit{node: e.to, why: e.why})
			case entered:
				i := slices.IndexFunc(path, func(v visit) bool { return v.node == e.to })
				var b strings.Builder
				for _, v := range path[i+1:] {
					if x, ok := v.node.(*appendTx); ok {
						fmt.Fprintf(&b, "\n  by %s: %v", v.why, x)
					}
				}
				if x, ok := e.to.(*appendTx); ok {
					fmt.Fprintf(&b, "\n  by %s: %v", e.why, x)
				}
				return fmt.Errorf("a cycle:%s", b.String())
			}
		}
	}
	return nil
}

// The check of transactions finds each kind of fault, and nothing else.
func TestCheckAppends(t *testing.T) {
	add := func(list, e string, size int) appendAct { return appendAct{list: list, added: e, size: size} }
	read := func(list, elements string) appendAct { return appendAct{list: list, read: strings.Fields(elements)} }
	tx := func(called, returned time.Duration, acts ...appendAct) *appendTx {
		return &appendTx{called: called, returned: returned, acts: acts}
	}
	near := func(x *appendTx, session string, age time.Duration) *appendTx {
		x.near = &appendNear{session, age}
		return x
	}
	with := func(x *appendTx, o appendOutcome) *appendTx { x.outcome = o; return x }
	last := func(lists ...string) *appendTx { // what is there in the end
		x := tx(1000, 1001)
		for i := 0; i < len(lists); i += 2 {
			x.acts = append(x.acts, read(lists[i], lists[i+1]))
		}
		return x
	}
	for _, c := range []struct {
		name, fault string // "": none
		all         []*appendTx
	}{
		{"one after the other", "", []*appendTx{tx(0, 1, add("a", "1", 1), add("b", "2", 1)), tx(2, 3, read("a", "1"), add("a", "3", 2), read("a", "1 3")), last("a", "1 3", "b", "2")}},
		{"at once, either way", "", []*appendTx{tx(0, 9, add("a", "1", 2)), tx(0, 9, add("a", "2", 1)), tx(5, 6, read("a", "2")), last("a", "2 1")}},
		{"unknown and done", "", []*appendTx{with(tx(0, 1, add("a", "1", 0), add("b", "2", 0)), txUnknown), last("a", "1", "b", "2")}},
		{"unknown, done very late", "", []*appendTx{with(tx(0, 1, add("a", "1", 0)), txUnknown), tx(2, 3, read("a", "")), last("a", "1")}},
		{"unknown and not done", "", []*appendTx{with(tx(0, 1, add("a", "1", 0)), txUnknown), last("a", "")}},
		{"refused", "", []*appendTx{with(tx(0, 1, add("a", "1", 0)), txRefused), last("a", "")}},
		{"refused and done", "was refused", []*appendTx{with(tx(0, 1, add("a", "1", 0)), txRefused), last("a", "1")}},
		{"lost", "is lost", []*appendTx{tx(0, 1, add("a", "1", 1)), last("a", "")}},
		{"in part", "in part", []*appendTx{with(tx(0, 1, add("a", "1", 0), add("b", "2", 0)), txUnknown), last("a", "1", "b", "")}},
		{"out of nowhere", "nobody has appended", []*appendTx{last("a", "1")}},
		{"twice", "there twice", []*appendTx{with(tx(0, 1, add("a", "1", 0)), txUnknown), last("a", "1 1")}},
		{"in another list", "to another", []*appendTx{tx(0, 1, add("a", "1", 1)), last("b", "1")}},
		{"a read that was lost", "for one reader", []*appendTx{with(tx(0, 9, add("a", "1", 0)), txUnknown), tx(0, 9, add("a", "2", 1)), tx(3, 4, read("a", "1")), last("a", "2")}},
		{"a wrong length", "was told", []*appendTx{tx(0, 1, add("a", "1", 1)), tx(2, 3, add("a", "2", 1)), last("a", "1 2")}},
		{"blind to itself", "itself", []*appendTx{tx(0, 1, add("a", "1", 1), read("a", "")), last("a", "1")}},
		{"the middle of another", "the middle", []*appendTx{tx(0, 9, add("a", "1", 1), add("a", "2", 2)), tx(3, 4, read("a", "1")), last("a", "1 2")}},
		{"a stale read", "by time", []*appendTx{tx(0, 1, add("a", "1", 1)), tx(2, 3, read("a", "")), last("a", "1")}},
		{"near, and not too late", "", []*appendTx{tx(0, 1, add("a", "1", 1)), near(tx(4, 5, read("a", "")), "s", 4), last("a", "1")}},
		{"near, and too late", "by time", []*appendTx{tx(0, 1, add("a", "1", 1)), near(tx(4, 5, read("a", "")), "s", 2), last("a", "1")}},
		{"near, and out of the future", "by time", []*appendTx{near(tx(0, 1, read("a", "1")), "s", 9), tx(2, 3, add("a", "1", 1)), last("a", "1")}},
		{"near, and back", "by session s", []*appendTx{tx(0, 9, add("a", "1", 1)), near(tx(2, 3, read("a", "1")), "s", 9), near(tx(4, 5, read("a", "")), "s", 9), last("a", "1")}},
		{"near, and back elsewhere", "", []*appendTx{tx(0, 9, add("a", "1", 1)), near(tx(2, 3, read("a", "1")), "s", 9), near(tx(4, 5, read("a", "")), "r", 9), last("a", "1")}},
		{"writes in two orders", "ww", []*appendTx{tx(0, 9, add("a", "1", 1), add("b", "2", 2)), tx(0, 9, add("a", "3", 2), add("b", "4", 1)), last("a", "1 3", "b", "4 2")}},
		{"a lost update", "rw", []*appendTx{tx(0, 9, read("a", ""), add("a", "1", 1)), tx(0, 9, read("a", ""), add("a", "2", 2)), last("a", "1 2")}},
		{"write skew", "rw", []*appendTx{tx(0, 9, read("a", ""), add("b", "1", 1)), tx(0, 9, read("b", ""), add("a", "2", 1)), last("a", "2", "b", "1")}},
		{"a torn view", "rw", []*appendTx{tx(0, 9, add("a", "1", 1), add("b", "2", 1)), tx(0, 9, read("a", "1"), read("b", "")), last("a", "1", "b", "2")}},
		{"two views of two orders", "rw", []*appendTx{tx(0, 9, add("a", "1", 1)), tx(0, 9, add("b", "2", 1)), tx(0, 9, read("a", "1"), read("b", "")),
			tx(0, 9, read("a", ""), read("b", "2")), last("a", "1", "b", "2")}},
		{"information in a circle", "wr", []*appendTx{tx(0, 9, add("a", "1", 1), read("b", "2")), tx(0, 9, add("b", "2", 1), read("a", "1")), last("a", "1", "b", "2")}},
	} {
		switch err := checkAppends(c.all); {
		case c.fault == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.fault != "" && (err == nil || !strings.Contains(err.Error(), c.fault)):
			t.Errorf("%s: %v", c.name, err)
		}
	}
	// A long history is no trouble.
	var all []*appendTx
	var whole []string
	for i := range 5000 {
		whole = append(whole, fmt.Sprint(i))
		at := time.Duration(2 * i)
		all = append(all, tx(at, at+1, add("a", fmt.Sprint(i), i+1)))
	}
	if err := checkAppends(append(all, tx(math.MaxInt32, math.MaxInt32, read("a", strings.Join(whole, " "))))); err != nil {
		t.Error(err)
	}
}

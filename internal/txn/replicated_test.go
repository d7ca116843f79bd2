package txn_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/elastickv/elastickv/internal/txn"
	"github.com/elastickv/elastickv/store"
)

// TestReplicatedHistories has clients at all nodes of a group write and read while leaders change. The one
// thing there is is a list that everybody appends to, in two rows and a span of rows that are always written together. In the end it says
// in which order the appends came; so it is known what each operation has seen, and whether that was the present.
func TestReplicatedHistories(t *testing.T) {
	for seed := range uint64(16) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { playHistory(t, seed, groupRules{}) })
		})
	}
}

// Whatever the log does not keep of its promises, a history shows.
func TestReplicatedNotices(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long, and what is broken on purpose need not be watched for races")
	}
	for name, rules := range map[string]groupRules{
		"proposals at any place":                {anyPlace: true},
		"a lead without what was before":        {earlyLead: true},
		"an end before the entry is committed":  {early: true},
		"a failure instead of not knowing":      {noUnknown: true},
		"reads that ask nobody":                 {noQuestion: true},
		"reads that do not wait for the answer": {noCatchUp: true},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(40) {
				r := &faults{TB: t}
				synctest.Test(t, func(t *testing.T) { r.record(func() { playHistory(r, seed, rules) }) })
				if first := r.text(); first != "" {
					t.Logf("seed %d: %s", seed, first)
					return
				}
			}
			t.Error("nothing was noticed")
		})
	}
}

// faults takes note of failures, which are wanted.
type faults struct {
	testing.TB
	mu    sync.Mutex
	first string
}

// errRecorded ends what cannot go on.
var errRecorded = errors.New("a failure that is wanted")

func (r *faults) record(play func()) {
	defer func() {
		if p := recover(); p != nil && p != errRecorded {
			panic(p)
		}
	}()
	play()
}

func (r *faults) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.first
}

func (r *faults) Error(args ...any) { r.Errorf("%s", fmt.Sprint(args...)) }

func (r *faults) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.first == "" {
		r.first = fmt.Sprintf(format, args...)
	}
}

func (r *faults) Fatal(args ...any) {
	r.Error(args...)
	panic(errRecorded)
}

func (r *faults) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	panic(errRecorded)
}

// operation is what a client has done.
type operation struct {
	id         string // what it has appended; "" if it has read
	saw        string // the list that it has found
	began, end time.Duration
	stale      bool
	err        error
	node       int
}

func (o *operation) version() int { return strings.Count(o.saw, ",") }

type historian struct {
	g     *group
	began time.Time
	mu    sync.Mutex
	ops   []operation
}

func playHistory(t testing.TB, seed uint64, rules groupRules) {
	h := &historian{g: newGroup(t, seed, 3, rules), began: time.Now()}
	h.g.elect(h.g.nodes[0])
	var clients sync.WaitGroup
	over := make(chan struct{})
	for c := range 9 {
		clients.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-over:
					return
				default:
				}
				h.step(t, c%3, fmt.Sprintf("%d.%d", c, i))
				h.g.pause(5 * time.Millisecond)
			}
		})
	}
	for range 10 {
		h.g.pause(150 * time.Millisecond)
		h.g.mu.Lock()
		n := h.g.nodes[h.g.draw.IntN(3)]
		h.g.mu.Unlock()
		if h.g.chance(25) {
			n.restart()
		}
		h.g.elect(n)
		h.g.pause(50 * time.Millisecond)
		h.g.notice()
	}
	close(over)
	clients.Wait()
	h.g.close()
	h.check(t)
}

// step carries out one operation at a node.
func (h *historian) step(t testing.TB, node int, id string) {
	op := operation{node: node, began: time.Since(h.began)}
	db := h.g.nodes[node].db.Load()
	ctx := context.Background()
	look := func(tx *txn.Tx) error {
		var err error
		op.saw, err = readList(tx)
		return err
	}
	var mine [][]byte // what is the caller's again when the call has returned
	write := func(tx *txn.Tx) error {
		op.id = id
		err := look(tx)
		if err == nil {
			mine, err = appendList(tx, op.saw, id)
		}
		return err
	}
	h.g.mu.Lock()
	kind := h.g.draw.IntN(9)
	h.g.mu.Unlock()
	switch kind {
	case 0:
		op.err = db.View(ctx, look)
	case 1:
		op.stale = true
		op.err = db.ViewStale(ctx, time.Second, look)
	case 2:
		op.err = db.Sequence(ctx, func(s *txn.Seq) {
			if err := s.Do(look); err != nil {
				t.Error(err)
			}
		})
	case 3, 4:
		var tx *txn.Tx
		do := write
		if kind == 4 {
			do = look
		}
		if tx, op.err = db.Begin(ctx); op.err == nil {
			if op.err = do(tx); op.err == nil {
				h.g.pause(3 * time.Millisecond)
				op.err = db.Commit(ctx, tx)
			}
		}
	default:
		op.err = db.Update(ctx, write)
	}
	op.end = time.Since(h.began)
	for _, b := range mine {
		for i := range b {
			b[i] = '#'
		}
	}
	switch err := op.err; {
	case err == nil, errors.Is(err, txn.ErrNotLeader), errors.Is(err, txn.ErrNotCommitted), errors.Is(err, store.ErrWriteConflict),
		errors.Is(err, txn.ErrNoMajority), errors.Is(err, txn.ErrClosed), op.id != "" && errors.Is(err, txn.ErrUnknown):
	default:
		t.Errorf("%s at node %d: %v", id, node, err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, op)
}

// spanRows are more than are deleted one by one.
const spanRows = 70

func readList(tx *txn.Tx) (string, error) {
	a, b := lookUp(tx, "a"), lookUp(tx, "b")
	if a == "-" {
		a = ""
	}
	last := a[strings.LastIndex(strings.TrimSuffix(a, ","), ",")+1:]
	if last != "" && b != last || last == "" && b != "-" {
		return "", fmt.Errorf("the list ends in %q, and the other row is %q", last, b)
	}
	rows := 0
	var wrong string
	err := tx.Walk(store.PrefixSpan([]byte("rows|")), store.Ascending, func(key []byte, r txn.Row) bool {
		if rows++; string(r.Value) != last {
			wrong = string(key) + " is " + string(r.Value)
		}
		return true
	})
	if wrong != "" || last != "" && rows != spanRows {
		return "", fmt.Errorf("of %d rows, %s, and the list ends in %q", rows, wrong, last)
	}
	return a, err
}

// appendList returns what it has handed over.
func appendList(tx *txn.Tx, list, id string) (mine [][]byte, err error) {
	write := func(key, value string) {
		k, v := []byte(key), []byte(value)
		mine = append(mine, k, v)
		err = errors.Join(err, tx.Put(k, v, 0))
	}
	write("a", list+id+",")
	write("b", id+",")
	err = errors.Join(err, tx.DeletePrefix([]byte("rows|")))
	for i := range spanRows {
		write(fmt.Sprint("rows|", i), id+",")
	}
	return mine, err
}

// check compares what the clients were told with what has become of the list.
func (h *historian) check(t testing.TB) {
	var final string
	for i, n := range h.g.nodes {
		list := listAt(t, n.engine)
		if i > 0 && list != final {
			t.Fatalf("node %d has %q, node 0 has %q", i, list, final)
		}
		final = list
	}
	last := uint64(0)
	for i, e := range h.g.log {
		for _, c := range e.commits {
			if c.TS <= last {
				t.Errorf("entry %d commits at %d, behind %d", i, c.TS, last)
			}
			last = c.TS
		}
	}
	place := map[string]int{}
	for i, id := range strings.Split(strings.TrimSuffix(final, ","), ",") {
		place[id] = i
	}
	done := 0
	for i := range h.ops {
		o := &h.ops[i]
		at, there := place[o.id]
		switch {
		case o.err == nil && !strings.HasPrefix(final, o.saw):
			t.Errorf("node %d: has seen %q, which is no state of %q", o.node, o.saw, final)
		case o.err == nil && o.id != "" && (!there || at != o.version()):
			t.Errorf("%s was acknowledged behind %q, and is not there in %q", o.id, o.saw, final)
		case o.err != nil && !errors.Is(o.err, txn.ErrUnknown) && there:
			t.Errorf("%s has failed with %v, and is there", o.id, o.err)
		}
		if o.err == nil && o.id != "" {
			done++
		}
	}
	if done < 20 {
		t.Errorf("%d appends of %d operations", done, len(h.ops))
	}
	h.checkOrder(t)
}

// checkOrder looks for operations that have not seen what had been acknowledged, or read, before they began.
func (h *historian) checkOrder(t testing.TB) {
	ops := slices.DeleteFunc(slices.Clone(h.ops), func(o operation) bool { return o.err != nil })
	for i := range ops {
		for j := range ops {
			before, o := &ops[i], &ops[j]
			since := o.began
			if o.stale {
				since -= time.Second
			}
			if before.stale || before.end >= since {
				continue
			}
			least := before.version()
			if before.id != "" {
				least++
			}
			if o.version() < least {
				t.Fatalf("node %d, from %v to %v: has seen version %d, and version %d had been told of at %v by node %d (%+v, %+v)",
					o.node, o.began, o.end, o.version(), least, before.end, before.node, before, o)
			}
		}
	}
}

func listAt(t testing.TB, e store.Engine) string {
	v, ok, err := e.VersionAt(t.Context(), []byte("a"), e.LastCommitTS())
	if err != nil || !ok {
		t.Fatal("no list", err)
	}
	return string(bytes.Clone(v.Value))
}

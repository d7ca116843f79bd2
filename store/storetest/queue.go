package storetest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/elastickv/elastickv/store"
)

// ticking is a clock for many goroutines.
type ticking struct{ last atomic.Uint64 }

func (c *ticking) Now() uint64 { return c.last.Add(1) }

// listOp is a push or a pop that was committed at ts.
type listOp struct {
	ts       uint64
	end      store.ListEnd
	pushed   []string
	popped   []string // no more than wanted
	popsMost int      // 0 is a push
}

// queue is a list that many use at once, and what they have done with it.
type queue struct {
	t     *testing.T
	e     store.Engine
	c     *store.Committer
	key   []byte
	news  chan struct{}  // something was pushed since the last who found nothing
	over  chan struct{}  // closed when nobody pushes any more
	ticks chan time.Time // something was done since the last fold

	mu  sync.Mutex
	ops []listOp
}

func newQueue(t *testing.T, e store.Engine, as store.MVCCStore) *queue {
	return &queue{
		t: t, e: e, c: store.NewCommitter(as, &ticking{}), key: []byte("queue"),
		news: make(chan struct{}, 1), over: make(chan struct{}), ticks: make(chan time.Time, 1),
	}
}

// testQueue: elements are pushed and popped at both ends by many at once, while
// deltas are folded. In the order of commit timestamps it is as if one had done it
// all, alone, and every timestamp shows the list as it was.
func testQueue(t *testing.T, open Open) {
	e := open(t)
	q := newQueue(t, e, e)
	q.run()
	q.check()
}

// testPlainQueue is the same over a store that can no more than an MVCCStore.
func testPlainQueue(t *testing.T, open Open) {
	e := open(t)
	q := newQueue(t, e, struct{ store.MVCCStore }{e})
	q.run()
	q.check()
}

const (
	queuePushers = 3
	queuePoppers = 6
)

// queuePushes is how often each pusher pushes: a multiple of three, for every third time it is
// three elements.
func queuePushes() int { return fewer(72) }

// fewer returns n, or an eighth of it in a short run: engines that check themselves at every
// step, as they do under the race detector, take long for one.
func fewer(n int) int {
	if testing.Short() {
		return n / 8
	}
	return n
}

func (q *queue) run() {
	done, stop := context.WithCancel(ctx)
	var pushers, poppers, others sync.WaitGroup
	for p := range queuePushers {
		pushers.Go(func() { q.push(p) })
	}
	for p := range queuePoppers {
		poppers.Go(func() { q.pop(p) })
	}
	others.Go(func() { q.fold(done) })
	others.Go(func() { q.read(done) })
	pushers.Wait()
	close(q.over)
	poppers.Wait()
	stop()
	others.Wait()
}

// push alternates between the ends, one to three elements at a time; all but the
// first pusher stay at the tail.
func (q *queue) push(pusher int) {
	for i := range queuePushes() {
		end := store.ListEnd(pusher > 0 || i%2 == 0)
		op := listOp{end: end}
		var elements [][]byte
		for j := range 1 + i%3 {
			op.pushed = append(op.pushed, fmt.Sprintf("%d/%d/%d", pusher, i, j))
			elements = append(elements, []byte(op.pushed[j]))
		}
		q.do(op, func() (uint64, [][]byte, error) {
			ts, err := q.c.PushList(ctx, q.key, end, elements...)
			return ts, nil, err
		})
	}
}

// pop takes until the queue is empty and nobody pushes any more.
func (q *queue) pop(popper int) {
	for last := false; !q.t.Failed(); {
		op := listOp{end: popper%3 == 0, popsMost: 1 + popper%2}
		popped := q.do(op, func() (uint64, [][]byte, error) {
			popped, ts, err := q.c.PopList(ctx, q.key, op.end, op.popsMost)
			return ts, popped, err
		})
		if len(popped) > 0 {
			continue
		}
		if last {
			return
		}
		select {
		case <-q.news:
		case <-q.over:
			last = true
		}
	}
}

// do runs an operation and writes it down. If there are too many deltas, it folds.
func (q *queue) do(op listOp, run func() (uint64, [][]byte, error)) [][]byte {
	for {
		ts, popped, err := run()
		if errors.Is(err, store.ErrDeltaScanTruncated) {
			_, err = q.c.Fold(ctx, store.CollectionList, q.key)
			if err == nil {
				continue
			}
		}
		if err != nil {
			q.t.Errorf("%+v: %v", op, err)
			return nil
		}
		op.ts = ts
		for _, element := range popped {
			op.popped = append(op.popped, string(element))
		}
		q.mu.Lock()
		q.ops = append(q.ops, op)
		q.mu.Unlock()
		if op.popsMost == 0 {
			offer(q.news, struct{}{})
		}
		offer(q.ticks, time.Time{})
		return popped
	}
}

// offer sends v unless something waits there already.
func offer[T any](c chan<- T, v T) {
	select {
	case c <- v:
	default:
	}
}

// fold has a DeltaFolder fold whenever something was done.
func (q *queue) fold(done context.Context) {
	f, err := store.NewDeltaFolder(q.c, store.DeltaFolderOptions{LeastDeltas: 5, OnPass: func(r store.FoldReport, err error) {
		if err != nil && !errors.Is(err, context.Canceled) {
			q.t.Errorf("FoldOnce: %+v, %v", r, err)
		}
	}})
	if err == nil {
		err = f.Run(done, q.ticks)
	}
	if err != nil {
		q.t.Error(err)
	}
}

// read looks at moments at which everything is durable, and at the newest. Every
// element of the list must be there.
func (q *queue) read(done context.Context) {
	for done.Err() == nil && !q.t.Failed() {
		ts := q.e.LastCommitTS()
		m, err := store.ListMetaAt(ctx, q.e, q.key, ts)
		if err == nil {
			q.checkRows(ts, m)
			_, err = store.ListMetaAt(ctx, q.e, q.key, math.MaxUint64)
		}
		if err != nil && !errors.Is(err, store.ErrDeltaScanTruncated) {
			q.t.Errorf("ListMetaAt: %v", err)
		}
	}
}

// checkRows fails unless the elements at ts are those of m, and returns them.
func (q *queue) checkRows(ts uint64, m store.ListMeta) []string {
	rows, err := q.e.ScanAt(ctx, []byte(store.ListItemPrefix), store.PrefixScanEnd([]byte(store.ListItemPrefix)), math.MaxInt, ts)
	if err != nil {
		q.t.Error(err)
		return nil
	}
	var elements []string
	for i, row := range rows {
		if seq, ok := store.ExtractListItemSeq(row.Key, q.key); !ok || seq != m.Head+int64(i) {
			q.t.Errorf("at %d element %d has the key %q, the list is %+v", ts, i, row.Key, m)
		}
		elements = append(elements, string(row.Value))
	}
	if int64(len(rows)) != m.Len || m.Tail != m.Head+m.Len {
		q.t.Errorf("at %d there are %d elements, the list is %+v", ts, len(rows), m)
	}
	return elements
}

// check plays the operations on a slice, in the order of their timestamps, and
// compares what they returned and what every timestamp shows.
func (q *queue) check() {
	slices.SortFunc(q.ops, func(a, b listOp) int { return int(int64(a.ts - b.ts)) })
	var list []string
	taken, truncated, next := map[string]bool{}, 0, 0
	last := q.e.LastCommitTS()
	for ts := uint64(0); ts <= last && !q.t.Failed(); ts++ {
		for ; next < len(q.ops) && q.ops[next].ts == ts; next++ {
			list = q.play(list, q.ops[next], taken)
		}
		m, err := store.ListMetaAt(ctx, q.e, q.key, ts)
		if errors.Is(err, store.ErrDeltaScanTruncated) {
			truncated++
			continue
		}
		must(q.t, err)
		if m.Len != int64(len(list)) {
			q.t.Errorf("at %d the list is %+v, want %d elements", ts, m, len(list))
		}
		if ts%7 == 0 {
			if rows := q.checkRows(ts, m); !slices.Equal(rows, list) {
				q.t.Errorf("at %d the elements are %q, want %q", ts, rows, list)
			}
		}
	}
	if pushed := queuePushers * queuePushes() * 2; len(taken) != pushed || len(list) != 0 {
		q.t.Errorf("%d elements were taken and %d are left, of %d", len(taken), len(list), pushed)
	}
	q.t.Logf("%d operations up to %d, %d moments with too many deltas, conflicts %v",
		len(q.ops), last, truncated, q.e.WriteConflictCountsByPrefix())
}

// play applies one operation to the list.
func (q *queue) play(list []string, op listOp, taken map[string]bool) []string {
	for _, element := range op.pushed {
		if op.end == store.ListTail {
			list = append(list, element)
		} else {
			list = slices.Insert(list, 0, element)
		}
	}
	var want []string
	for len(want) < op.popsMost && len(list) > 0 {
		i := 0
		if op.end == store.ListTail {
			i = len(list) - 1
		}
		want, list = append(want, list[i]), slices.Delete(list, i, i+1)
	}
	if !slices.Equal(op.popped, want) {
		q.t.Errorf("%+v: want %q", op, want)
	}
	for _, element := range op.popped {
		if taken[element] {
			q.t.Errorf("%q is taken twice", element)
		}
		taken[element] = true
	}
	return list
}

// testRemovedList: a push that has found a list empty, but not where lists begin,
// does not go on where the list was when somebody has removed it.
func testRemovedList(t *testing.T, open Open) {
	e, k := interrupt(open(t)), []byte("list")
	c := store.NewCommitter(e, &ticking{})
	push := func(element string) {
		t.Helper()
		if _, err := c.PushList(ctx, k, store.ListTail, []byte(element)); err != nil {
			t.Fatal(err)
		}
	}
	pop := func(want string) {
		t.Helper()
		popped, _, err := c.PopList(ctx, k, store.ListHead, 1)
		if err != nil || len(popped) != 1 || string(popped[0]) != want {
			t.Errorf("pop: %q, %v; want %s", popped, err, want)
		}
	}
	push("a")
	pop("a")
	e.before("ScanAt", func() {}) // of the deltas
	e.before("ScanAt", func() {   // of the claims, when the push knows its number
		var gone []*store.KVPairMutation
		for _, key := range [][]byte{
			store.ListMetaKey(k), store.ListClaimKey(k, 0), store.ListMetaDeltaKey(k, 2, 0), store.ListMetaDeltaKey(k, 4, 0),
		} {
			gone = append(gone, &store.KVPairMutation{Op: store.OpTypeDelete, Key: key})
		}
		_, err := c.Update(ctx, func(uint64) (store.Change, error) {
			return store.Change{Mutations: func(uint64) []*store.KVPairMutation { return gone }}, nil
		})
		must(t, err)
	})
	push("b")
	if m, err := store.ListMetaAt(ctx, e, k, math.MaxUint64); err != nil || m != (store.ListMeta{Tail: 1, Len: 1}) {
		t.Errorf("after the removal the list is %+v, %v; want it to begin at 0", m, err)
	}
	pop("b")
}

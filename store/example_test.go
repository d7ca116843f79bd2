package store_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strconv"
	"strings"

	"github.com/elastickv/elastickv/store"
)

// Every write is a version; a read names the moment that it wants to see.
func Example() {
	ctx := context.Background()
	s := store.NewMVCCStore()
	defer s.Close()

	check(s.PutAt(ctx, []byte("city"), []byte("Edo"), 100, 0))
	check(s.PutAt(ctx, []byte("city"), []byte("Tokyo"), 200, 0))
	check(s.DeleteAt(ctx, []byte("city"), 300))

	for _, ts := range []uint64{50, 100, 250, 300} {
		v, err := s.GetAt(ctx, []byte("city"), ts)
		if errors.Is(err, store.ErrKeyNotFound) {
			fmt.Println(ts, err)
			continue
		}
		check(err)
		fmt.Printf("%d %s\n", ts, v)
	}
	// Output:
	// 50 not found
	// 100 Edo
	// 250 Tokyo
	// 300 not found
}

// A value with an expiry is there for reads before it, whatever the time is
// when they are made.
func ExampleMVCCStore_expiry() {
	ctx := context.Background()
	s := store.NewMVCCStore()
	defer s.Close()

	check(s.PutWithTTLAt(ctx, []byte("session"), []byte("alice"), 100, 200))
	check(s.ExpireAt(ctx, []byte("session"), 400, 150))
	for _, ts := range []uint64{199, 200, 399, 400} {
		there, err := s.ExistsAt(ctx, []byte("session"), ts)
		check(err)
		fmt.Println(ts, there)
	}
	// Output:
	// 199 true
	// 200 true
	// 399 true
	// 400 false
}

// An optimistic transaction reads at one moment, and commits only if nothing
// that it read or writes has changed since. If something has, it starts again.
func ExampleMVCCStore_ApplyMutations() {
	ctx := context.Background()
	s := store.NewMVCCStore()
	defer s.Close()
	check(s.PutAt(ctx, []byte("stock"), []byte("5"), 10, 0))
	check(s.PutAt(ctx, []byte("price"), []byte("3"), 10, 0))

	clock := uint64(10)
	interfere := func() { // another transaction, committing in between
		clock++
		check(s.PutAt(ctx, []byte("price"), []byte("4"), clock, 0))
	}
	for attempt := 1; ; attempt++ {
		startTS := s.LastCommitTS()
		stock := readNumber(ctx, s, "stock", startTS)
		price := readNumber(ctx, s, "price", startTS)
		if attempt == 1 {
			interfere()
		}
		clock++
		err := s.ApplyMutations(ctx, []*store.KVPairMutation{
			{Op: store.OpTypePut, Key: []byte("stock"), Value: strconv.AppendInt(nil, stock-1, 10)},
			{Op: store.OpTypePut, Key: []byte("paid"), Value: strconv.AppendInt(nil, price, 10)},
		}, [][]byte{[]byte("price")}, startTS, clock)
		if key, conflict := store.WriteConflictKey(err); conflict {
			fmt.Printf("attempt %d: %s has changed\n", attempt, key)
			continue
		}
		check(err)
		break
	}
	fmt.Println("stock", readNumber(ctx, s, "stock", clock), "paid", readNumber(ctx, s, "paid", clock))
	fmt.Println(s.WriteConflictCountsByPrefix())
	// Output:
	// attempt 1: price has changed
	// stock 4 paid 4
	// map[read|other:1]
}

// Scans go both ways and see one moment.
func ExampleMVCCStore_ScanAt() {
	ctx := context.Background()
	s := store.NewMVCCStore()
	defer s.Close()
	for i, fruit := range []string{"apple", "banana", "cherry", "damson"} {
		check(s.PutAt(ctx, []byte(fruit), []byte(strings.ToUpper(fruit[:1])), uint64(10+i), 0))
	}

	rows, err := s.ScanAt(ctx, []byte("b"), nil, 2, 13)
	check(err)
	printRows(rows)
	rows, err = s.ReverseScanAt(ctx, nil, []byte("damson"), 10, 11)
	check(err)
	printRows(rows)
	// Output:
	// banana=B cherry=C
	// banana=B apple=A
}

// A sorted set is one row for each member and one in the order of scores. The
// rows of a collection are neighbours, so a range of scores is one scan.
func ExampleZSetScoreKey() {
	ctx := context.Background()
	s := store.NewMVCCStore()
	defer s.Close()
	board := []byte("board")

	scores := map[string]float64{"ann": 12.5, "bob": -3, "cyd": 40}
	mutations := []*store.KVPairMutation{
		{Key: store.ZSetMetaKey(board), Value: store.MarshalZSetMeta(store.ZSetMeta{Len: int64(len(scores))})},
	}
	for member, score := range scores {
		mutations = append(mutations,
			&store.KVPairMutation{Key: store.ZSetMemberKey(board, []byte(member)), Value: store.MarshalZSetScore(score)},
			&store.KVPairMutation{Key: store.ZSetScoreKey(board, score, []byte(member))})
	}
	check(s.ApplyMutations(ctx, mutations, nil, 9, 10))

	from := store.ZSetScoreRangeScanPrefix(board, 0)
	to := store.PrefixScanEnd(store.ZSetScoreScanPrefix(board))
	rows, err := s.ScanAt(ctx, from, to, 10, 10)
	check(err)
	for _, row := range rows {
		score, member, _ := store.ExtractZSetScoreAndMember(row.Key, board)
		fmt.Printf("%s %g\n", member, score)
	}
	// Output:
	// ann 12.5
	// cyd 40
}

// Walking over a hash: the fields follow their common prefix.
func ExampleHashFieldKey() {
	ctx := context.Background()
	s := store.NewMVCCStore().(store.Engine)
	defer s.Close()
	user := []byte("user:1")
	check(s.PutAt(ctx, store.HashFieldKey(user, []byte("name")), []byte("Ann"), 10, 0))
	check(s.PutAt(ctx, store.HashFieldKey(user, []byte("age")), []byte("42"), 11, 0))
	check(s.PutAt(ctx, store.HashFieldKey([]byte("user:10"), []byte("name")), []byte("Bob"), 12, 0))

	fields := store.PrefixSpan(store.HashFieldScanPrefix(user))
	check(s.WalkAt(ctx, fields, store.Ascending, 20, func(key []byte, v store.VersionedValue) bool {
		fmt.Printf("%s = %s @%d\n", store.ExtractHashFieldName(key, user), v.Value, v.TS)
		return true
	}))
	// Output:
	// age = 42 @11
	// name = Ann @10
}

func printRows(rows []*store.KVPair) {
	texts := make([]string, len(rows))
	for i, row := range rows {
		texts[i] = fmt.Sprintf("%s=%s", row.Key, row.Value)
	}
	fmt.Println(strings.Join(texts, " "))
}

func readNumber(ctx context.Context, s store.MVCCStore, key string, ts uint64) int64 {
	b, err := s.GetAt(ctx, []byte(key), ts)
	check(err)
	n, err := strconv.ParseInt(string(b), 10, 64)
	check(err)
	return n
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

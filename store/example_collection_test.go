package store_test

import (
	"context"
	"fmt"

	"github.com/elastickv/elastickv/store"
)

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

// The length of a hash is that of its base meta and the sum of its deltas.
// Transactions that write deltas, each under a key of its own, do not conflict.
func ExampleHashMetaDeltaKey() {
	ctx := context.Background()
	s := store.NewMVCCStore()
	defer s.Close()
	user := []byte("user:1")
	base := store.MarshalHashMeta(store.HashMeta{Len: 2})
	check(s.PutAt(ctx, store.HashMetaKey(user), base, 10, 0))
	for commitTS, change := range map[uint64]int64{20: +3, 21: -1} {
		delta := &store.KVPairMutation{
			Key:   store.HashMetaDeltaKey(user, commitTS, 0),
			Value: store.MarshalHashMetaDelta(store.HashMetaDelta{LenDelta: change}),
		}
		check(s.ApplyMutations(ctx, []*store.KVPairMutation{delta}, nil, 15, commitTS))
	}

	b, err := s.GetAt(ctx, store.HashMetaKey(user), 30)
	check(err)
	meta, err := store.UnmarshalHashMeta(b)
	check(err)
	prefix := store.HashMetaDeltaScanPrefix(user)
	rows, err := s.ScanAt(ctx, prefix, store.PrefixScanEnd(prefix), store.MaxDeltaScanLimit, 30)
	check(err)
	for _, row := range rows {
		d, err := store.UnmarshalHashMetaDelta(row.Value)
		check(err)
		meta.Len += d.LenDelta
	}
	fmt.Println("length", meta.Len, "from", len(rows), "deltas")
	// Output:
	// length 4 from 2 deltas
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

// A list numbers its elements from Head on; pushing at the head counts down. An
// index is a sequence number away, a range one scan.
func ExampleListItemKey() {
	ctx := context.Background()
	s := store.NewMVCCStore()
	defer s.Close()
	queue := []byte("queue")

	meta := store.ListMeta{Head: -1, Len: 3}
	b, err := store.MarshalListMeta(meta) // Tail is Head+Len
	check(err)
	check(s.ApplyMutations(ctx, []*store.KVPairMutation{
		{Key: store.ListMetaKey(queue), Value: b},
		{Key: store.ListItemKey(queue, -1), Value: []byte("pushed at the head")},
		{Key: store.ListItemKey(queue, 0), Value: []byte("the first")},
		{Key: store.ListItemKey(queue, 1), Value: []byte("the second")},
	}, nil, 9, 10))

	b, err = s.GetAt(ctx, store.ListMetaKey(queue), 10)
	check(err)
	meta, err = store.UnmarshalListMeta(b)
	check(err)
	rows, err := s.ScanAt(ctx, store.ListItemKey(queue, meta.Head), store.ListItemKey(queue, meta.Tail), 10, 10)
	check(err)
	for _, row := range rows {
		seq, _ := store.ExtractListItemSeq(row.Key, queue)
		fmt.Printf("%d: %s\n", seq-meta.Head, row.Value)
	}
	// Output:
	// 0: pushed at the head
	// 1: the first
	// 2: the second
}

// The entries of a stream lie in the order of their IDs.
func ExampleStreamEntryKey() {
	ctx := context.Background()
	s := store.NewMVCCStore()
	defer s.Close()
	events := []byte("events")
	for seq, text := range []string{"started", "stopped"} {
		check(s.PutAt(ctx, store.StreamEntryKey(events, 1700, uint64(seq)), []byte(text), 10, 0))
	}
	check(s.PutAt(ctx, store.StreamEntryKey(events, 99, 7), []byte("created"), 10, 0))

	prefix := store.StreamEntryScanPrefix(events)
	rows, err := s.ScanAt(ctx, prefix, store.PrefixScanEnd(prefix), 10, 10)
	check(err)
	for _, row := range rows {
		ms, seq, _ := store.ExtractStreamEntryID(row.Key, events)
		fmt.Printf("%d-%d %s\n", ms, seq, row.Value)
	}
	// Output:
	// 99-7 created
	// 1700-0 started
	// 1700-1 stopped
}

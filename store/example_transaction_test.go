package store_test

import (
	"context"
	"fmt"
	"os"
	"strconv"

	"github.com/elastickv/elastickv/store"
)

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

// Many transactions become one write of the engine and share its fsync. Reads
// see them as soon as they are staged; after Wait no crash takes them back.
func ExampleEngine_Stage() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "store")
	check(err)
	defer os.RemoveAll(dir)
	s, err := store.NewPebbleStore(dir)
	check(err)
	defer s.Close()
	e := s.(store.Engine)

	put := func(key, value string) []*store.KVPairMutation {
		return []*store.KVPairMutation{{Op: store.OpTypePut, Key: []byte(key), Value: []byte(value)}}
	}
	staged, err := e.Stage(ctx, []store.Commit{
		{TS: 10, Mutations: put("a", "1")},
		{TS: 11, Mutations: put("b", "2"), Check: &store.Check{StartTS: 10, ReadKeys: [][]byte{[]byte("a")}}},
		{TS: 12, Mutations: put("a", "3")},
	})
	check(err)
	rows, err := e.ScanAt(ctx, nil, nil, 10, 12)
	check(err)
	printRows(rows)
	check(staged.Wait())
	fmt.Println("durable up to", e.LastCommitTS())
	// Output:
	// a=3 b=2
	// durable up to 12
}

// A replica applies the entries of a log. The index of the last one travels with
// the data, in the same write, so after a restart the log is replayed from there.
func ExampleMVCCStore_ApplyMutationsRaftAt() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "store")
	check(err)
	defer os.RemoveAll(dir)

	entries := []string{"Ann", "Bob", "Cyd", "Dan"} // entry i has index and timestamp i+1
	replay := func(s store.Engine, upTo uint64) {
		for index := s.LastAppliedIndex() + 1; index <= upTo; index++ {
			value := []byte(entries[index-1])
			check(s.ApplyMutationsRaftAt(ctx, []*store.KVPairMutation{
				{Op: store.OpTypePut, Key: []byte("leader"), Value: value},
			}, nil, index-1, index, index))
			fmt.Printf("applied %d: %s\n", index, value)
		}
	}
	open := func() store.Engine {
		s, err := store.NewPebbleStore(dir, store.WithFSMSyncMode(store.FSMNoSync))
		check(err)
		return s.(store.Engine)
	}

	s := open()
	replay(s, 2)
	check(s.Close())

	s = open()
	fmt.Println("opened again at index", s.LastAppliedIndex())
	replay(s, 4)
	check(s.Close())
	// Output:
	// applied 1: Ann
	// applied 2: Bob
	// opened again at index 2
	// applied 3: Cyd
	// applied 4: Dan
}

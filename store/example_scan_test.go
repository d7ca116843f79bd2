package store_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/elastickv/elastickv/store"
)

// fruits is a small store to scan.
func fruits(ctx context.Context) store.Engine {
	s := store.NewMVCCStore().(store.Engine)
	for i, fruit := range []string{"apple", "banana", "cherry", "damson"} {
		check(s.PutAt(ctx, []byte(fruit), []byte(strings.ToUpper(fruit[:1])), uint64(10+i), 0))
	}
	return s
}

// A scan covers the keys from start up to, but not with, end. A nil end is the
// end of all keys.
func ExampleMVCCStore_ScanAt() {
	ctx := context.Background()
	s := fruits(ctx) // apple at 10, banana at 11, cherry at 12, damson at 13
	defer s.Close()

	rows, err := s.ScanAt(ctx, []byte("b"), nil, 2, 13)
	check(err)
	printRows(rows)
	rows, err = s.ScanAt(ctx, nil, []byte("damson"), 10, 11)
	check(err)
	printRows(rows)
	// Output:
	// banana=B cherry=C
	// apple=A banana=B
}

// The same keys the other way round: the first row is the one below end.
func ExampleMVCCStore_ReverseScanAt() {
	ctx := context.Background()
	s := fruits(ctx) // apple at 10, banana at 11, cherry at 12, damson at 13
	defer s.Close()

	rows, err := s.ReverseScanAt(ctx, nil, []byte("damson"), 2, 13)
	check(err)
	printRows(rows)
	// The next page begins where this one has ended.
	rows, err = s.ReverseScanAt(ctx, nil, rows[len(rows)-1].Key, 2, 13)
	check(err)
	printRows(rows)
	// Output:
	// cherry=C banana=B
	// apple=A
}

// A walk hands out keys and versions one by one and ends when it is told to.
func ExampleEngine_WalkAt() {
	ctx := context.Background()
	s := fruits(ctx) // apple at 10, banana at 11, cherry at 12, damson at 13
	defer s.Close()

	from := store.Span{Start: []byte("b")}
	check(s.WalkAt(ctx, from, store.Ascending, 13, func(key []byte, v store.VersionedValue) bool {
		fmt.Printf("%s @%d\n", key, v.TS)
		return string(key) != "cherry"
	}))
	// Output:
	// banana @11
	// cherry @12
}

// Everything with a prefix goes at one moment; the moments before keep it.
func ExampleMVCCStore_DeletePrefixAt() {
	ctx := context.Background()
	s := store.NewMVCCStore()
	defer s.Close()
	for i, key := range []string{"tmp/a", "tmp/keep/b", "user/c"} {
		check(s.PutAt(ctx, []byte(key), []byte("1"), uint64(10+i), 0))
	}

	check(s.DeletePrefixAt(ctx, []byte("tmp/"), []byte("tmp/keep/"), 20))
	for _, ts := range []uint64{19, 20} {
		rows, err := s.ScanAt(ctx, nil, nil, 10, ts)
		check(err)
		printRows(rows)
	}
	// Output:
	// tmp/a=1 tmp/keep/b=1 user/c=1
	// tmp/keep/b=1 user/c=1
}

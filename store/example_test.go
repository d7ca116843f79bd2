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

// The history of a key, from its newest version to its oldest, tombstones included.
func ExampleEngine_VersionAt() {
	ctx := context.Background()
	s := store.NewMVCCStore().(store.Engine)
	defer s.Close()
	check(s.PutAt(ctx, []byte("city"), []byte("Edo"), 100, 0))
	check(s.DeleteAt(ctx, []byte("city"), 150))
	check(s.PutAt(ctx, []byte("city"), []byte("Tokyo"), 200, 0))

	for ts := s.LastCommitTS(); ; {
		v, ok, err := s.VersionAt(ctx, []byte("city"), ts)
		check(err)
		if !ok {
			break
		}
		fmt.Printf("%d %q deleted: %t\n", v.TS, v.Value, v.Tombstone)
		ts = v.TS - 1
	}
	// Output:
	// 200 "Tokyo" deleted: false
	// 150 "" deleted: true
	// 100 "Edo" deleted: false
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

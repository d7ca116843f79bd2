package store_test

import (
	"context"
	"fmt"
	"log"
	"math"
	"time"

	"github.com/elastickv/elastickv/hlc"
	"github.com/elastickv/elastickv/store"
)

// Many writers add fields to one hash. None of them writes the hash's length, over
// which all would conflict: each adds a delta, and readers add them up.
func ExampleHashLenAt() {
	ctx := context.Background()
	s := store.NewMVCCStore()
	defer s.Close()
	c := store.NewCommitter(s, hlc.New(time.Now))
	user := []byte("user:1")

	// Whether the field is new follows from the field's own key, which is written:
	// of two that add it at the same time, the later starts again.
	addField := func(name, value string) uint64 {
		key := store.HashFieldKey(user, []byte(name))
		commitTS, err := c.Update(ctx, func(startTS uint64) (store.Change, error) {
			exists, err := s.ExistsAt(ctx, key, startTS)
			return store.Change{Mutations: func(commitTS uint64) []*store.KVPairMutation {
				mutations := []*store.KVPairMutation{{Key: key, Value: []byte(value)}}
				if !exists {
					one := store.MarshalHashMetaDelta(store.HashMetaDelta{LenDelta: 1})
					mutations = append(mutations, &store.KVPairMutation{Key: store.HashMetaDeltaKey(user, commitTS, 0), Value: one})
				}
				return mutations
			}}, err
		})
		if err != nil {
			log.Fatal(err)
		}
		return commitTS
	}
	addField("name", "Ann")
	before := addField("age", "41")
	addField("age", "42")
	addField("town", "Turku")

	folded, err := c.Fold(ctx, store.CollectionHash, user)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("folded", folded.Deltas)
	for _, ts := range []uint64{before, math.MaxUint64} {
		n, err := store.HashLenAt(ctx, s, user, ts)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(n)
	}
	// Output:
	// folded 3
	// 2
	// 3
}

// A queue without an owner: whoever wants pushes, whoever wants pops, and no
// element is taken twice.
func ExampleCommitter_PopList() {
	ctx := context.Background()
	s := store.NewMVCCStore()
	defer s.Close()
	c := store.NewCommitter(s, hlc.New(time.Now))
	jobs := []byte("jobs")

	if _, err := c.PushList(ctx, jobs, store.ListTail, []byte("wash"), []byte("rinse"), []byte("spin")); err != nil {
		log.Fatal(err)
	}
	if _, err := c.PushList(ctx, jobs, store.ListHead, []byte("sort")); err != nil {
		log.Fatal(err)
	}
	for {
		popped, commitTS, err := c.PopList(ctx, jobs, store.ListHead, 2)
		if err != nil {
			log.Fatal(err)
		}
		if len(popped) == 0 {
			break
		}
		left, err := store.ListMetaAt(ctx, s, jobs, commitTS)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s, %d left\n", popped, left.Len)
	}
	// Output:
	// [sort wash], 2 left
	// [rinse spin], 0 left
}

// A program folds in the background, and stops when it ends.
func ExampleDeltaFolder() {
	s := store.NewMVCCStore()
	defer s.Close()
	c := store.NewCommitter(s, hlc.New(time.Now))
	folder, err := store.NewDeltaFolder(c, store.DeltaFolderOptions{
		LeastDeltas: 16,
		OnPass: func(r store.FoldReport, err error) {
			if err != nil {
				log.Printf("%d collections are left for the next pass: %v", r.Failed, err)
			}
		},
	})
	if err != nil {
		log.Fatal(err)
	}

	ctx, stop := context.WithCancel(context.Background())
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	ended := make(chan error)
	go func() { ended <- folder.Run(ctx, ticker.C) }()
	// … the program …
	stop()
	fmt.Println(<-ended)
	// Output: <nil>
}

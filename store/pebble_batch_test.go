package store

import (
	"bytes"
	"context"
	"testing"
)

// A large batch has room for its rows and little more, and a small one after it does not inherit that.
func TestBatchFits(t *testing.T) {
	s := openMem(t)
	for _, size := range []int{0, batchSizeKept - 1000, batchSizeKept, 5<<20 + 1, 100} {
		commits := []Commit{{TS: s.LastCommitTS() + 1, Mutations: []*KVPairMutation{
			{Op: OpTypePut, Key: []byte("k"), Value: bytes.Repeat([]byte("v"), size), ExpireAt: 1 << 60},
			{Op: OpTypePut, Key: []byte("l")},
		}}}
		estimate, err := commitsSize(commits, 0)
		if err != nil {
			t.Fatal(err)
		}
		b, err := s.newBatch(estimate)
		if err != nil {
			t.Fatal(err)
		}
		rows := s.newRowEncoder(directPath)
		for _, m := range commits[0].Mutations {
			if err := rows.put(b, m, commits[0].TS); err != nil {
				t.Fatal(err)
			}
		}
		if got := cap(b.Repr()); got > 2*estimate+(4<<10) || size >= batchSizeKept && got > estimate+estimate/16 {
			t.Errorf("a value of %d bytes: a batch of %d has room for %d", size, len(b.Repr()), got)
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		staged, err := s.Stage(context.Background(), commits)
		if err != nil {
			t.Fatal(err)
		}
		if err := staged.Wait(); err != nil {
			t.Fatal(err)
		}
		got, err := s.GetAt(context.Background(), []byte("k"), commits[0].TS)
		if err != nil || len(got) != size {
			t.Fatalf("a value of %d bytes: got %d, %v", size, len(got), err)
		}
	}
}

package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/elastickv/elastickv/store"
)

// What was written to a folder is there when it is opened again.
func ExampleNewPebbleStore() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "store")
	check(err)
	defer os.RemoveAll(dir)

	s, err := store.NewPebbleStore(dir)
	check(err)
	check(s.PutAt(ctx, []byte("k"), []byte("v"), 10, 0)) // durable when it returns
	if _, err := store.NewPebbleStore(dir); errors.Is(err, store.ErrFolderLocked) {
		fmt.Println("one at a time")
	}
	check(s.Close())

	s, err = store.NewPebbleStore(dir)
	check(err)
	defer s.Close()
	v, err := s.GetAt(ctx, []byte("k"), s.LastCommitTS())
	check(err)
	fmt.Printf("%s @%d\n", v, s.LastCommitTS())
	// Output:
	// one at a time
	// v @10
}

// A snapshot is an image of one moment, with its whole history. Any store can
// take over what any other has written.
func ExampleMVCCStore_Snapshot() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "store")
	check(err)
	defer os.RemoveAll(dir)
	memory := store.NewMVCCStore()
	defer memory.Close()
	folder, err := store.NewPebbleStore(dir)
	check(err)
	defer folder.Close()

	move := func(from, to store.MVCCStore) {
		image, err := from.Snapshot()
		check(err)
		check(from.PutAt(ctx, []byte("late"), nil, 99, 0)) // not in the image
		var stream bytes.Buffer
		_, err = image.WriteTo(&stream)
		check(err)
		check(image.Close())
		check(to.Restore(&stream))
	}
	check(memory.PutAt(ctx, []byte("city"), []byte("Edo"), 10, 0))
	check(memory.PutAt(ctx, []byte("city"), []byte("Tokyo"), 20, 0))
	move(memory, folder)
	check(folder.DeleteAt(ctx, []byte("city"), 30))
	move(folder, memory)

	for _, ts := range []uint64{10, 20, 30} {
		rows, err := memory.ScanAt(ctx, nil, nil, 10, ts)
		check(err)
		printRows(rows)
	}
	fmt.Println("last commit", memory.LastCommitTS())
	// Output:
	// city=Edo
	// city=Tokyo
	//
	// last commit 30
}

// A compaction to a moment drops what no read at or after it can see, and raises
// the retention floor: reads below it fail, because they might miss something.
func ExampleMVCCStore_Compact() {
	ctx := context.Background()
	s := store.NewMVCCStore()
	defer s.Close()
	for _, ts := range []uint64{10, 20, 30, 40} {
		check(s.PutAt(ctx, []byte("k"), fmt.Append(nil, "v", ts), ts, 0))
	}

	check(s.Compact(ctx, 25))
	fmt.Println("floor", s.(store.RetentionController).MinRetainedTS())
	for _, ts := range []uint64{10, 20, 30, 40} {
		kept, err := s.CommittedVersionAt(ctx, []byte("k"), ts)
		check(err)
		fmt.Println("version", ts, "kept:", kept)
	}
	v, err := s.GetAt(ctx, []byte("k"), 25)
	check(err)
	fmt.Printf("at 25: %s\n", v)
	if _, err := s.GetAt(ctx, []byte("k"), 24); errors.Is(err, store.ErrReadTSCompacted) {
		fmt.Println("at 24:", err)
	}
	// Output:
	// floor 25
	// version 10 kept: false
	// version 20 kept: true
	// version 30 kept: true
	// version 40 kept: true
	// at 25: v20
	// at 24: read timestamp has been compacted
}

package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/iotest"

	"github.com/elastickv/elastickv/store"
)

// takeSnapshot returns the bytes of a snapshot of this moment.
func takeSnapshot(e store.Engine) ([]byte, error) {
	snapshot, err := e.Snapshot()
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	n, err := snapshot.WriteTo(&b)
	if err == nil && n != int64(b.Len()) {
		err = fmt.Errorf("WriteTo returns %d, but has written %d bytes", n, b.Len())
	}
	return b.Bytes(), errors.Join(err, snapshot.Close())
}

// image is takeSnapshot for stores that must have one. Two stores with equal
// contents have equal images.
func image(t testing.TB, e store.Engine) []byte {
	t.Helper()
	b, err := takeSnapshot(e)
	must(t, err)
	return b
}

// fillSample writes a little of everything that a store can hold.
func fillSample(t testing.TB, e store.Engine) {
	t.Helper()
	must(t, e.PutAt(ctx, nil, nil, 10, 0))
	must(t, e.PutAt(ctx, []byte("a"), []byte("1"), 10, 0))
	must(t, e.PutAt(ctx, []byte("a"), []byte("overwritten"), 20, 0))
	must(t, e.PutAt(ctx, []byte("a"), []byte("2"), 20, 50))
	must(t, e.PutAt(ctx, []byte("a\x00"), bytes.Repeat([]byte("v"), 300), 30, 0))
	must(t, e.DeleteAt(ctx, []byte("a\xff"), 31))
	put := []*store.KVPairMutation{{Key: []byte("b"), Value: []byte("3")}}
	must(t, e.ApplyMutationsRaftAt(ctx, put, nil, 31, 32, 7))
	e.SetMinRetainedTS(5)
}

// testSnapshotImage: a snapshot shows the moment at which it was taken.
func testSnapshotImage(t *testing.T, open Open) {
	e := open(t)
	fillSample(t, e)
	want := image(t, e)
	snapshot, err := e.Snapshot()
	must(t, err)
	must(t, e.PutAt(ctx, []byte("a"), []byte("overwritten"), 20, 0))
	must(t, e.PutAt(ctx, []byte("late"), nil, 1, 0))
	must(t, e.DeletePrefixAt(ctx, nil, nil, 40))
	must(t, e.Compact(ctx, 45))

	var got bytes.Buffer
	_, err = snapshot.WriteTo(&got)
	must(t, err)
	must(t, snapshot.Close())
	if !bytes.Equal(got.Bytes(), want) {
		t.Error("later writes have changed the snapshot")
	}
	if _, err := snapshot.WriteTo(io.Discard); err == nil {
		t.Error("WriteTo after Close of the snapshot does not fail")
	}
	must(t, e.Restore(iotest.OneByteReader(bytes.NewReader(want))))
	if !bytes.Equal(image(t, e), want) {
		t.Error("the restored store has another image than the one it was restored from")
	}
}

// testSnapshotExchange: every store reads what another wrote.
func testSnapshotExchange(t *testing.T, open Open) {
	e, memory := open(t), store.NewMVCCStore().(store.Engine)
	fillSample(t, e)
	want := image(t, e)
	must(t, memory.Restore(bytes.NewReader(want)))
	if !bytes.Equal(image(t, memory), want) {
		t.Error("a memory store has another image than the one it was restored from")
	}
	must(t, memory.PutAt(ctx, []byte("more"), nil, 33, 0))
	want = image(t, memory)
	must(t, e.Restore(bytes.NewReader(want)))
	if !bytes.Equal(image(t, e), want) {
		t.Error("the store has another image than the memory store it was restored from")
	}
	if last, floor, index := e.LastCommitTS(), e.MinRetainedTS(), e.LastAppliedIndex(); last != 33 || floor != 5 || index != 7 {
		t.Errorf("last %d, floor %d, index %d; want 33, 5, 7", last, floor, index)
	}
}

// testDamagedSnapshots: a damaged stream is refused and changes nothing.
func testDamagedSnapshots(t *testing.T, open Open) {
	source, e := store.NewMVCCStore().(store.Engine), open(t)
	fillSample(t, source)
	good := image(t, source)
	must(t, e.PutAt(ctx, []byte("mine"), []byte("1"), 99, 0))
	want := image(t, e)

	refuse := func(what string, stream []byte) error {
		err := e.Restore(bytes.NewReader(stream))
		if err == nil {
			t.Fatalf("a snapshot with %s was restored", what)
		}
		return err
	}
	for n := 0; n < len(good); n += 1 + n/16 {
		refuse(fmt.Sprintf("%d of %d bytes", n, len(good)), good[:n])
	}
	refuse("its last byte missing", good[:len(good)-1])
	refuse("a byte too many", append(bytes.Clone(good), 0))
	for i := 0; i < len(good); i += 1 + i/16 {
		bad := bytes.Clone(good)
		bad[i] ^= 0x10
		refuse(fmt.Sprintf("byte %d changed", i), bad)
	}
	middle := bytes.Clone(good)
	middle[len(middle)/2] ^= 1
	if err := refuse("a changed value", middle); !errors.Is(err, store.ErrInvalidChecksum) {
		t.Errorf("a changed value: got %v, want %v", err, store.ErrInvalidChecksum)
	}
	broken := errors.New("broken pipe")
	if err := e.Restore(iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("a broken reader: got %v, want %v", err, broken)
	}
	if !bytes.Equal(image(t, e), want) {
		t.Error("refused snapshots have changed the store")
	}
	must(t, e.Restore(bytes.NewReader(good)))
	if !bytes.Equal(image(t, e), good) {
		t.Error("after refused snapshots a good one is not restored as it is")
	}
}

// testLargeSnapshot: values larger than any buffer and keys with many versions.
func testLargeSnapshot(t *testing.T, open Open) {
	inFull(t)
	e, other := open(t), open(t)
	fillKeys(t, e, 5_000)
	for i := range uint64(500) {
		must(t, stageAndWait(e, store.Commit{TS: 100 + i, Mutations: []*store.KVPairMutation{
			{Key: []byte("often"), Value: fmt.Append(nil, i), ExpireAt: i % 3 * 1000},
		}}))
	}
	must(t, e.PutAt(ctx, []byte("big"), bytes.Repeat([]byte("0123456789"), 300_000), 700, 0))
	want := image(t, e)
	must(t, other.Restore(bytes.NewReader(want)))
	if !bytes.Equal(image(t, other), want) {
		t.Error("the restored store has another image than the one it was restored from")
	}
}

func stageAndWait(e store.Engine, commits ...store.Commit) error {
	s, err := e.Stage(ctx, commits)
	if err != nil {
		return err
	}
	return s.Wait()
}

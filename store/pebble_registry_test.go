package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/elastickv/elastickv/encryption"
)

func openRegistry(t testing.TB, s MVCCStore) encryption.WriterRegistryStore {
	t.Helper()
	r, err := WriterRegistryFor(s)
	must(t, err)
	return r
}

func listRegistry(t testing.TB, r encryption.WriterRegistryStore) (text string) {
	t.Helper()
	must(t, r.WalkWriterRows(func(row encryption.WriterRow) error {
		text += fmt.Sprintf("%+v ", row)
		return nil
	}))
	return text
}

var registryRows = []encryption.WriterRow{
	{KeyID: 1, NodeID: 0, FirstEpoch: 0, LastEpoch: 0},
	{KeyID: 1, NodeID: 9, FirstEpoch: 1, LastEpoch: 7},
	{KeyID: 1, NodeID: 0xdeadbeef00000000, FirstEpoch: 65535, LastEpoch: 65535},
	{KeyID: 1, NodeID: 0x7c00},
	{KeyID: 2, NodeID: 9, FirstEpoch: 3, LastEpoch: 3},
	{KeyID: 0x7c7c7c7c, NodeID: 0x7c7c},
	{KeyID: 0xffffffff, NodeID: 0xffff, FirstEpoch: 1, LastEpoch: 2},
}

func TestWriterRegistry(t *testing.T) {
	mem := vfs.NewMem()
	s := openTest(t, "db", WithFS(mem))
	r := openRegistry(t, s)
	if _, ok, err := r.WriterRow(1, 9); ok || err != nil {
		t.Errorf("an empty registry: got %t, %v", ok, err)
	}
	want := ""
	for i, row := range registryRows {
		must(t, r.PutWriterRow(registryRows[len(registryRows)-1-i]))
		want += fmt.Sprintf("%+v ", row)
	}
	for range 2 {
		if got := listRegistry(t, r); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		for _, row := range registryRows {
			got, ok, err := r.WriterRow(row.KeyID, encryption.FoldNodeID(row.NodeID))
			if err != nil || !ok || got != row {
				t.Errorf("got %+v, %t, %v, want %+v", got, ok, err, row)
			}
		}
		must(t, s.Close())
		s = openTest(t, "db", WithFS(mem))
		r = openRegistry(t, s)
	}
	stop := errors.New("enough")
	calls := 0
	err := r.WalkWriterRows(func(encryption.WriterRow) error { calls++; return stop })
	if !errors.Is(err, stop) || calls != 1 {
		t.Errorf("a walk that is ended: %d calls, %v", calls, err)
	}
	if got := describe(t, s); got != describe(t, openMem(t)) {
		t.Errorf("the registry shows in the data: %s", got)
	}
}

func TestWriterRegistryRegisters(t *testing.T) {
	r := openRegistry(t, openMem(t))
	w := encryption.Writer{KeyID: 1, NodeID: 7, Epoch: 3}
	for range 2 {
		row, err := encryption.RegisterWriter(r, w)
		must(t, err)
		if got, _, _ := r.WriterRow(1, 7); got != row {
			t.Errorf("got %+v, want %+v", got, row)
		}
		w.Epoch++
	}
	if _, err := encryption.RegisterWriter(r, encryption.Writer{KeyID: 1, NodeID: 7, Epoch: 3}); !errors.As(err, new(*encryption.EpochError)) {
		t.Errorf("an earlier epoch: %v", err)
	}
}

// A restore brings back values. It does not unmake nonces.
func TestWriterRegistrySurvivesRestore(t *testing.T) {
	stream, want := sampleImage(t)
	mem := vfs.NewMem()
	s := openTest(t, "db", WithFS(mem))
	fillOld(t, s)
	r := openRegistry(t, s)
	for _, row := range registryRows {
		must(t, r.PutWriterRow(row))
	}
	rows := listRegistry(t, r)
	must(t, s.Restore(bytes.NewReader(stream)))
	for range 2 {
		if got := describe(t, s); got != want {
			t.Errorf("restored: got %s, want %s", got, want)
		}
		if got := listRegistry(t, openRegistry(t, s)); got != rows {
			t.Errorf("got %s, want %s", got, rows)
		}
		must(t, s.Close())
		s = openTest(t, "db", WithFS(mem))
	}
}

// A row is durable when PutWriterRow returns, also when Raft writes are not synced.
func TestWriterRegistryIsDurable(t *testing.T) {
	mem := vfs.NewCrashableMem()
	s := openTest(t, "db", WithFS(mem), WithFSMSyncMode(FSMNoSync))
	must(t, s.ApplyMutationsRaftAt(context.Background(), put("k", "v"), nil, 0, 1, 1))
	for i, row := range registryRows {
		must(t, openRegistry(t, s).PutWriterRow(row))
		crashed := openTest(t, "db", WithFS(mem.CrashClone(vfs.CrashCloneCfg{RNG: rand.New(rand.NewPCG(1, uint64(i)))})))
		got, ok, err := openRegistry(t, crashed).WriterRow(row.KeyID, encryption.FoldNodeID(row.NodeID))
		if err != nil || !ok || got != row {
			t.Errorf("after a crash: got %+v, %t, %v, want %+v", got, ok, err, row)
		}
	}
}

func TestWriterRegistryRefuses(t *testing.T) {
	for name, s := range map[string]MVCCStore{"memory": NewMVCCStore(), "a wrapper": NewRestless(t, openMem(t)), "nil": nil, "typed nil": (*pebbleStore)(nil)} {
		if _, err := WriterRegistryFor(s); !errors.Is(err, ErrUnsupportedStoreForWriterRegistry) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	s := openMem(t)
	r := openRegistry(t, s)
	if err := r.PutWriterRow(encryption.WriterRow{NodeID: 1}); !errors.Is(err, encryption.ErrKeyIDReserved) {
		t.Errorf("key id 0: got %v", err)
	}
	for name, row := range map[string]struct{ key, value []byte }{
		"a short row":            {appendWriterKey(nil, 1, 7), make([]byte, writerRowSize-1)},
		"a long row":             {appendWriterKey(nil, 1, 7), make([]byte, writerRowSize+1)},
		"another node's row":     {appendWriterKey(nil, 1, 7), appendWriterRow(nil, encryption.WriterRow{NodeID: 8})},
		"epochs in wrong order":  {appendWriterKey(nil, 1, 7), appendWriterRow(nil, encryption.WriterRow{NodeID: 7, FirstEpoch: 2, LastEpoch: 1})},
		"a row of no key":        {appendWriterKey(nil, 0, 7), appendWriterRow(nil, encryption.WriterRow{NodeID: 7})},
		"a key that is too long": {append([]byte("\x00!writer|too long"), 0), appendWriterRow(nil, encryption.WriterRow{NodeID: 7})},
	} {
		must(t, s.db.Set(row.key, row.value, pebble.NoSync))
		err := r.WalkWriterRows(func(encryption.WriterRow) error { return nil })
		if !errors.Is(err, errValueDamaged) {
			t.Errorf("%s: the walk returns %v", name, err)
		}
		if got, ok, err := r.WriterRow(1, 7); bytes.Equal(row.key, appendWriterKey(nil, 1, 7)) && (ok || !errors.Is(err, errValueDamaged)) {
			t.Errorf("%s: got %+v, %t, %v", name, got, ok, err)
		}
		must(t, s.db.Delete(row.key, pebble.NoSync))
	}
	must(t, s.Close())
	if err := r.PutWriterRow(encryption.WriterRow{KeyID: 1}); !errors.Is(err, ErrClosed) {
		t.Errorf("put after close: %v", err)
	}
	if _, _, err := r.WriterRow(1, 1); !errors.Is(err, ErrClosed) {
		t.Errorf("get after close: %v", err)
	}
	if err := r.WalkWriterRows(nil); !errors.Is(err, ErrClosed) {
		t.Errorf("walk after close: %v", err)
	}
}

// TestWriterRowBytes holds a row of the registry to its bytes.
func TestWriterRowBytes(t *testing.T) {
	w := encryption.WriterRow{KeyID: 0x01020304, NodeID: 0x0506070809, FirstEpoch: 0x1011, LastEpoch: 0x1213}
	key := appendWriterKey(nil, w.KeyID, encryption.FoldNodeID(w.NodeID))
	if want := "\x00!writer|\x01\x02\x03\x04\x0e\x0b\x00"; string(key) != want {
		t.Errorf("key: got %q, want %q", key, want)
	}
	row := appendWriterRow(nil, w)
	if want := "\x00\x00\x00\x05\x06\x07\x08\x09\x10\x11\x12\x13"; string(row) != want {
		t.Errorf("row: got %q, want %q", row, want)
	}
	if got, err := parseWriterRow(key, row); err != nil || got != w {
		t.Errorf("parsed: got %+v, %v", got, err)
	}
	for _, name := range [][]byte{metaLastCommitTS, metaRetentionFloor, metaAppliedIndex, metaCompactionCursor} {
		if compareKeys(name, metaWriterEnd) < 0 {
			t.Errorf("%q is not replaced by a restore", name)
		}
	}
}

package store

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/elastickv/elastickv/encryption"
)

// sealTestKey is the key with the given id in these tests.
func sealTestKey(id uint32) []byte {
	key := make([]byte, encryption.KeySize)
	for i := range key {
		key[i] = byte(i) + byte(id-1)
	}
	return key
}

func sealTestCipher(t testing.TB, ids ...uint32) *encryption.Cipher {
	t.Helper()
	c := encryption.NewCipher()
	for _, id := range ids {
		must(t, c.AddKey(id, sealTestKey(id)))
	}
	return c
}

// sealer is encryption as its tests set it: the answers of the gates, and how many more
// nonces there are.
type sealer struct {
	cipher     *encryption.Cipher
	keyID      uint32
	provided   bool
	active     bool
	registered bool
	nonces     *CounterNonceFactory
	left       int // nonces; below 0 there is no end to them
}

var errNoNonce = errors.New("out of nonces")

func newSealer(t testing.TB) *sealer {
	return &sealer{
		cipher: sealTestCipher(t, 1, 2), keyID: 1, provided: true, active: true, registered: true,
		nonces: NewCounterNonceFactory(0x0102, 0x0304), left: -1,
	}
}

func (s *sealer) Next() (nonce [encryption.NonceSize]byte, err error) {
	if s.left == 0 {
		return nonce, errNoNonce
	}
	if s.left > 0 {
		s.left--
	}
	return s.nonces.Next()
}

// used returns how many nonces were used.
func (s *sealer) used() uint64 { return s.nonces.next.Load() }

func (s *sealer) options() []PebbleStoreOption {
	return []PebbleStoreOption{
		WithStorageRegistrationGate(func() bool { return s.registered }),
		WithStorageEnvelopeGate(func() bool { return s.active }),
		WithEncryption(s.cipher, s, func() (uint32, bool) { return s.keyID, s.provided }),
	}
}

// openSealed opens a store in memory that reads every row from the engine.
func openSealed(t testing.TB, s *sealer) *pebbleStore {
	t.Helper()
	return openTest(t, "db", append(s.options(), WithFS(vfs.NewMem()), WithVersionCacheSize(-1))...)
}

// engineRow is a row as the engine has it.
type engineRow struct{ key, value []byte }

// engineRows returns every row that holds a version.
func engineRows(t testing.TB, s *pebbleStore) (rows []engineRow) {
	t.Helper()
	iter, err := s.openSpan(Span{})
	must(t, err)
	for ok := iter.First(); ok; ok = iter.Next() {
		rows = append(rows, engineRow{cloneBytes(iter.Key()), cloneBytes(iter.Value())})
	}
	must(t, firstError(iter.Error(), iter.Close()))
	return rows
}

// describe says what can be seen of a row without a key.
func (r engineRow) describe(t testing.TB) string {
	t.Helper()
	userKey, ts, err := parseVersionKey(r.key)
	must(t, err)
	v, n, err := parseValueHeader(r.value)
	must(t, err)
	text := fmt.Sprintf("%s @%d", userKey, ts)
	if v.Tombstone {
		text += " tombstone"
	}
	if v.ExpireAt != 0 {
		text += fmt.Sprintf(" !%d", v.ExpireAt)
	}
	if !valueSealed(r.value) {
		return text + fmt.Sprintf(" clear %q", r.value[n:])
	}
	e, err := encryption.ParseEnvelope(r.value[n:])
	must(t, err)
	return text + fmt.Sprintf(" sealed under %d, nonce %x, %d bytes", e.KeyID, *e.Nonce, len(e.Sealed)-encryption.TagSize)
}

// goldenVersions are versions in all their kinds.
var goldenVersions = []struct {
	name, key string
	v         VersionedValue
}{
	{"value", "key", VersionedValue{TS: 1, Value: []byte("value")}},
	{"empty value", "key", VersionedValue{TS: 2, Value: []byte{}}},
	{"expiry", "key", VersionedValue{TS: 0x0102030405060708, Value: []byte("value"), ExpireAt: 0x1112131415161718}},
	{"tombstone", "key", VersionedValue{TS: 3, Tombstone: true}},
	{"empty key", "", VersionedValue{TS: maxTS, Value: []byte("v")}},
}

// TestRowBytes holds keys and rows, clear and sealed, to their bytes, with spaces between
// the parts.
func TestRowBytes(t *testing.T) {
	clear := openMem(t)
	sealed := openSealed(t, newSealer(t))
	datadriven.RunTest(t, "testdata/format/rows", func(t *testing.T, d *datadriven.TestData) string {
		var b strings.Builder
		for _, g := range goldenVersions {
			key := appendVersionKey(nil, []byte(g.key), g.v.TS)
			n := len(key) - keySuffixSize - 1
			fmt.Fprintf(&b, "%s\n  key    %x %x %x %x %x %x\n", g.name, key[:1], key[1:5], key[5:n], key[n:n+1], key[n+1:len(key)-1], key[len(key)-1:])
			for _, s := range []*pebbleStore{clear, sealed} {
				rows, reader := s.newRowEncoder(directPath), s.newRowDecoder()
				row, err := rows.append(nil, key, g.v)
				if err != nil || len(row) != rows.size(g.v) {
					t.Fatalf("%s: got %x of %d bytes, %v", g.name, row, rows.size(g.v), err)
				}
				back, err := reader.version(key, row)
				back.TS = g.v.TS
				if fmt.Sprintf("%#v", back) != fmt.Sprintf("%#v", g.v) {
					t.Fatalf("%s: got back %#v, %v", g.name, back, err)
				}
				b.WriteString(rowParts(row))
			}
		}
		return b.String()
	})
}

// rowParts prints a row's bytes, its parts apart.
func rowParts(row []byte) string {
	n := valueHeaderSizeOf(row[0])
	if !valueSealed(row) {
		return strings.TrimRight(fmt.Sprintf("  clear  %x %x %x", row[:1], row[1:n], row[n:]), " ") + "\n"
	}
	e := row[n:]
	tag := len(e) - encryption.TagSize
	return fmt.Sprintf("  sealed %x %x | %x %x %x %x %x %x\n", row[:1], row[1:n], e[:1], e[1:2], e[2:6], e[6:18], e[18:tag], e[tag:])
}

// A sealed row opens with nothing but the standard library and what FORMAT.md says.
func TestSealedRowByHand(t *testing.T) {
	s := openSealed(t, newSealer(t))
	block, err := aes.NewCipher(sealTestKey(1))
	must(t, err)
	gcm, err := cipher.NewGCM(block)
	must(t, err)
	for _, g := range goldenVersions {
		key := appendVersionKey(nil, []byte(g.key), g.v.TS)
		rows := s.newRowEncoder(directPath)
		row, err := rows.append(nil, key, g.v)
		must(t, err)
		header := row[:1]
		if row[0]&8 != 0 {
			header = row[:9]
		}
		envelope := row[len(header):]
		bound := append(append(bytes.Clone(envelope[:6]), header...), key...)
		value, err := gcm.Open(nil, envelope[6:18], envelope[18:], bound)
		if err != nil || !bytes.Equal(value, g.v.Value) {
			t.Errorf("%s: got %q, %v", g.name, value, err)
		}
	}
}

// Sealed and clear stores with the same history give the same snapshot, which either
// restores.
func TestSealedSnapshotIsPlain(t *testing.T) {
	clear, sealed := openMem(t), openSealed(t, newSealer(t))
	fillOld(t, clear)
	fillOld(t, sealed)
	var images [2]bytes.Buffer
	for i, s := range []*pebbleStore{clear, sealed} {
		image, err := s.Snapshot()
		must(t, err)
		_, err = image.WriteTo(&images[i])
		must(t, firstError(err, image.Close()))
	}
	if !bytes.Equal(images[0].Bytes(), images[1].Bytes()) {
		t.Error("the snapshots differ")
	}
	want := describe(t, clear)
	for _, s := range []MVCCStore{openSealed(t, newSealer(t)), NewMVCCStore()} {
		must(t, s.Restore(bytes.NewReader(images[1].Bytes())))
		if got := describe(t, s); got != want {
			t.Errorf("restored: got %s, want %s", got, want)
		}
	}
	other := openSealed(t, newSealer(t))
	must(t, other.Restore(&images[0]))
	for _, r := range engineRows(t, other) {
		if !valueSealed(r.value) {
			t.Errorf("restored clear: %s", r.describe(t))
		}
	}
}

// What writes no row asks nobody: whoever answers may be waiting for it.
func TestWritesWithoutRowsAskNoGate(t *testing.T) {
	ctx := context.Background()
	fail := func() bool { t.Error("a gate was asked"); return true }
	s := openTest(t, "db", WithFS(vfs.NewMem()), WithStorageEnvelopeGate(fail), WithStorageRegistrationGate(fail),
		WithEncryption(sealTestCipher(t, 1), NewCounterNonceFactory(1, 1), func() (uint32, bool) { return 1, fail() }))
	must(t, openRegistry(t, s).PutWriterRow(encryption.WriterRow{KeyID: 1}))
	must(t, s.ApplyMutations(ctx, nil, nil, 0, 5))
	if err := s.ExpireAt(ctx, []byte("k"), 9, 6); !errors.Is(err, ErrKeyNotFound) {
		t.Error(err)
	}
	must(t, s.Compact(ctx, 3))
	s.SetMinRetainedTS(4)
	describe(t, s) // takes a snapshot
	wantValue(t, s, "k", 5, "none")
}

// A compaction that has to write a row is a writer like any other of this process.
func TestCompactionAsksForRegistration(t *testing.T) {
	ctx := context.Background()
	sealed := newSealer(t)
	s := openTest(t, "db", append(sealed.options(), WithFS(vfs.NewMem()), WithEagerRanges())...)
	for _, key := range []string{"a1", "a2"} {
		must(t, s.PutAt(ctx, []byte(key), []byte("old"), 10, 0))
	}
	must(t, s.DeletePrefixAt(ctx, []byte("a"), nil, 20))
	must(t, s.PutAt(ctx, []byte("a1"), []byte("new"), 40, 0))
	want := func(when string) {
		t.Helper()
		wantValue(t, s, "a1", 45, "new")
		if ok, err := s.CommittedVersionAt(ctx, []byte("a1"), 20); !ok || err != nil {
			t.Errorf("%s: the deletion of a1 is gone, %v", when, err)
		}
	}
	sealed.registered = false
	used := sealed.used()
	if err := s.Compact(ctx, 30); !errors.Is(err, ErrWriterNotRegistered) || sealed.used() != used {
		t.Errorf("not registered: got %v, %d nonces", err, sealed.used()-used)
	}
	want("not registered")
	sealed.registered = true
	must(t, s.Compact(ctx, 30))
	if sealed.used() == used {
		t.Error("the compaction has written no row: this test is about nothing")
	}
	want("compacted")
}

// Readers and their buffers are shared by all stores of a process, and what they open is not.
func TestReadersDoNotMixStores(t *testing.T) {
	ctx := context.Background()
	one, two := newSealer(t), newSealer(t)
	two.cipher = encryption.NewCipher()
	must(t, two.cipher.AddKey(1, sealTestKey(7)))
	stores := []*pebbleStore{openSealed(t, one), openSealed(t, two), openTest(t, "db", WithFS(vfs.NewMem()), WithVersionCacheSize(-1))}
	for i, s := range stores {
		must(t, s.PutAt(ctx, []byte("k"), fmt.Appendf(nil, "store %d", i), 1, 0))
	}
	for round := range 20 {
		wantValue(t, stores[round%3], "k", 1, fmt.Sprintf("store %d", round%3))
	}
}

func TestBatchReservesSealedRows(t *testing.T) {
	commits := []Commit{{TS: 1, Mutations: append(put("a", strings.Repeat("v", 1000)), put("b", "w")...)}}
	for _, s := range []*pebbleStore{openMem(t), openSealed(t, newSealer(t))} {
		size, err := commitsSize(commits, s.seal.overhead())
		must(t, err)
		b, rows := s.db.NewBatch(), s.newRowEncoder(directPath)
		for _, m := range commits[0].Mutations {
			must(t, rows.put(b, m, 1))
		}
		for _, key := range [][]byte{metaLastCommitTS, metaAppliedIndex, metaLogged} {
			must(t, putMeta(b, key, 1))
		}
		if b.Len() > size || size > b.Len()+100 {
			t.Errorf("%d bytes reserved for a batch of %d", size, b.Len())
		}
		must(t, b.Close())
	}
}

// Sealed point reads allocate what clear ones do.
func TestSealedReadsAllocateOnlyTheirResult(t *testing.T) {
	if RaceEnabled {
		t.Skip("the race detector makes pools forget")
	}
	ctx := context.Background()
	key := []byte("key")
	for name, s := range map[string]*pebbleStore{
		"clear":  openTest(t, "db", WithFS(vfs.NewMem()), WithVersionCacheSize(-1)),
		"sealed": openSealed(t, newSealer(t)),
	} {
		must(t, s.PutAt(ctx, key, []byte("value"), 10, 0))
		// One is for the value as the cache would hold it, one for the caller's copy.
		if got := testing.AllocsPerRun(500, func() { _, _ = s.GetAt(ctx, key, 20) }); got > 2.5 {
			t.Errorf("%s GetAt: %v allocations, want 2", name, got)
		}
	}
}

// Whatever stands in a row, it is decoded or refused; and nothing that is not the sealed
// row itself is taken for it.
// sealedRows returns a store, and the golden versions as it seals them under one key.
func sealedRows(t testing.TB) (s *pebbleStore, key []byte, sealed [][]byte) {
	t.Helper()
	s = openSealed(t, newSealer(t))
	key = appendVersionKey(nil, []byte("k"), 7)
	for _, g := range goldenVersions {
		rows := s.newRowEncoder(directPath)
		row, err := rows.append(nil, key, g.v)
		must(t, err)
		sealed = append(sealed, row)
	}
	return s, key, sealed
}

func FuzzSealedRow(f *testing.F) {
	s, key, sealed := sealedRows(f)
	f.Fuzz(func(t *testing.T, row []byte) {
		d := s.newRowDecoder()
		v, err := d.version(key, row)
		if err == nil && valueSealed(row) {
			for _, one := range sealed {
				if bytes.Equal(one, row) {
					return
				}
			}
			t.Fatalf("%x opens to %+v", row, v)
		}
		if err == nil && !bytes.Equal(append(appendValueHeader(nil, v, valueStateClear), v.Value...), row) {
			t.Fatalf("%x decodes to %+v", row, v)
		}
		if h, headErr := d.header(row); err == nil && (headErr != nil || h.Tombstone != v.Tombstone || h.ExpireAt != v.ExpireAt) {
			t.Fatalf("%x decodes to %+v, its header to %+v, %v", row, v, h, headErr)
		}
	})
}

// A store that may be told to seal later, and has no keys yet, reads as one that never will.
func TestIdleCipherCostsNothing(t *testing.T) {
	none := func() (uint32, bool) { return 0, false }
	s := openTest(t, "db", WithFS(vfs.NewMem()), WithEncryption(encryption.NewCipher(), NewCounterNonceFactory(1, 1), none))
	value := strings.Repeat("value", 20)
	must(t, s.PutAt(context.Background(), []byte("k"), []byte(value), 1, 0))
	key := appendVersionKey(nil, []byte("k"), 1)
	row := append(appendValueHeader(nil, VersionedValue{}, valueStateClear), value...)
	rows := s.newRowDecoder()
	if n := testing.AllocsPerRun(100, func() {
		if v, err := rows.version(key, row); err != nil || string(v.Value) != value {
			t.Fatalf("got %q, %v", v.Value, err)
		}
	}); n > 0 {
		t.Errorf("%v allocations for each row", n)
	}
	wantValue(t, s, "k", 1, value)
}

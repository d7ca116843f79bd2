package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/elastickv/elastickv/encryption"
)

// openTampered returns a store whose rows are of all kinds and all sealed, under two keys.
func openTampered(t testing.TB, s *sealer, opts ...PebbleStoreOption) *pebbleStore {
	t.Helper()
	ctx := context.Background()
	e := openTest(t, "db", append(append(s.options(), WithFS(vfs.NewMem()), WithVersionCacheSize(-1)), opts...)...)
	must(t, e.PutAt(ctx, []byte("a"), []byte("the older value"), 10, 0))
	must(t, e.PutAt(ctx, []byte("a"), []byte("the value"), 20, 0))
	must(t, e.PutAt(ctx, []byte("b"), []byte("expires"), 21, 1000))
	must(t, e.DeleteAt(ctx, []byte("c"), 22))
	s.keyID = 2
	must(t, e.PutAt(ctx, []byte("d"), nil, 23, 0))
	must(t, e.PutAt(ctx, []byte("e"), []byte("another value"), 24, 0))
	must(t, e.PutAt(ctx, []byte("f"), []byte("another value"), 24, 0))
	return e
}

// setRow puts a row into the engine as whoever can write to the disk may.
func setRow(t testing.TB, s *pebbleStore, key, value []byte) {
	t.Helper()
	b := s.db.NewBatch()
	must(t, b.Set(key, value, nil))
	applyRow(t, s, b)
}

// deleteRow is setRow for a row that goes.
func deleteRow(t testing.TB, s *pebbleStore, key []byte) {
	t.Helper()
	b := s.db.NewBatch()
	must(t, b.Delete(key, nil))
	applyRow(t, s, b)
}

func applyRow(t testing.TB, s *pebbleStore, b *pebble.Batch) {
	t.Helper()
	s.apply.Lock()
	defer s.apply.Unlock()
	must(t, s.give(b))
	must(t, b.Close())
}

// readings are the ways to read the version at ts of a key; each returns what it has found.
var readings = map[string]func(s *pebbleStore, key []byte, ts uint64) (string, error){
	"GetAt": func(s *pebbleStore, key []byte, ts uint64) (string, error) {
		v, err := s.GetAt(context.Background(), key, ts)
		if errors.Is(err, ErrKeyNotFound) {
			return "none", nil
		}
		return string(v), err
	},
	"ExistsAt": func(s *pebbleStore, key []byte, ts uint64) (string, error) {
		ok, err := s.ExistsAt(context.Background(), key, ts)
		return fmt.Sprint(ok), err
	},
	"VersionAt": func(s *pebbleStore, key []byte, ts uint64) (string, error) {
		v, ok, err := s.VersionAt(context.Background(), key, ts)
		return fmt.Sprint(v, ok), err
	},
	"ScanAt": func(s *pebbleStore, key []byte, ts uint64) (string, error) {
		rows, err := s.ScanAt(context.Background(), key, append(bytes.Clone(key), 0), 1, ts)
		return showRows(rows), err
	},
	"ReverseScanAt": func(s *pebbleStore, key []byte, ts uint64) (string, error) {
		rows, err := s.ReverseScanAt(context.Background(), key, append(bytes.Clone(key), 0), 1, ts)
		return showRows(rows), err
	},
	"Snapshot": func(s *pebbleStore, _ []byte, _ uint64) (string, error) {
		image, err := s.Snapshot()
		if err != nil {
			return "", err
		}
		defer func() { _ = image.Close() }()
		var b bytes.Buffer
		_, err = image.WriteTo(&b)
		return b.String(), err
	},
	"ExpireAt": func(s *pebbleStore, key []byte, ts uint64) (string, error) {
		// At a timestamp of its own, so that it takes nothing's place; and it does
		// not go on what it cannot open.
		err := s.ExpireAt(context.Background(), key, 1, ts)
		if err == nil || errors.Is(err, ErrKeyNotFound) {
			return "", fmt.Errorf("expired: %w", err)
		}
		return "", err
	},
}

func showRows(rows []*KVPair) (text string) {
	for _, r := range rows {
		text += fmt.Sprintf("%q=%q ", r.Key, r.Value)
	}
	return text
}

// wantCaught fails unless every way to read the row under key fails an integrity check.
func wantCaught(t *testing.T, s *pebbleStore, what string, key []byte) {
	t.Helper()
	userKey, ts, err := parseVersionKey(key)
	must(t, err)
	for name, read := range readings {
		got, err := read(s, userKey, ts)
		if !errors.Is(err, ErrEncryptedReadIntegrity) || !errors.Is(err, encryption.ErrIntegrity) {
			t.Errorf("%s: %s returns %q, %v", what, name, got, err)
		}
	}
}

// Every bit of every row, and every value of its first byte, is changed by itself: then the
// row is never read, and never for anything else than it was.
func TestTamperEveryBit(t *testing.T) {
	s := openTampered(t, newSealer(t))
	d := s.newRowDecoder()
	changes := 0
	for _, r := range engineRows(t, s) {
		for i := range r.value {
			for change := 1; change < 256; change++ {
				if i > 0 && change&(change-1) != 0 {
					continue
				}
				row := bytes.Clone(r.value)
				row[i] ^= byte(change)
				changes++
				v, err := d.version(r.key, row)
				reserved := i == 0 && row[0]&0b100 != 0 && errors.Is(err, ErrEncryptedValueReservedState)
				if !reserved && !errors.Is(err, ErrEncryptedReadIntegrity) {
					t.Errorf("%s: byte %d changed by %#02x: got %+v, %v", r.describe(t), i, change, v, err)
				}
			}
		}
	}
	if changes < 3000 {
		t.Errorf("only %d changes", changes)
	}
}

// The same through the store: one byte at a time, each way to read.
func TestTamperEveryByte(t *testing.T) {
	s := openTampered(t, newSealer(t))
	for _, r := range engineRows(t, s) {
		for i := range r.value {
			row := bytes.Clone(r.value)
			row[i] ^= 1 << (i % 8)
			setRow(t, s, r.key, row)
			wantCaught(t, s, fmt.Sprintf("%s, byte %d", r.describe(t), i), r.key)
		}
		for _, flag := range []byte{valueFlagTombstone, valueStateSealed, valueFlagExpiry, valueStateSealed | valueFlagExpiry} {
			row := bytes.Clone(r.value)
			row[0] ^= flag
			setRow(t, s, r.key, row)
			wantCaught(t, s, fmt.Sprintf("%s, flag %#02x", r.describe(t), flag), r.key)
		}
		for n := range r.value {
			setRow(t, s, r.key, r.value[:n])
			userKey, ts, err := parseVersionKey(r.key)
			must(t, err)
			if got, err := s.GetAt(context.Background(), userKey, ts); err == nil || errors.Is(err, ErrKeyNotFound) {
				t.Errorf("%s, cut to %d bytes: got %q, %v", r.describe(t), n, got, err)
			}
		}
		setRow(t, s, r.key, append(bytes.Clone(r.value), 0))
		wantCaught(t, s, r.describe(t)+", a byte longer", r.key)
		setRow(t, s, r.key, r.value)
	}
}

// No row can stand in another's place: not of another key, another timestamp, another expiry.
func TestTamperMoves(t *testing.T) {
	s := openTampered(t, newSealer(t))
	want := describe(t, s)
	rows := engineRows(t, s)
	for _, from := range rows {
		for _, to := range rows {
			if bytes.Equal(from.key, to.key) {
				continue
			}
			setRow(t, s, to.key, from.value)
			wantCaught(t, s, fmt.Sprintf("%s copied to %q", from.describe(t), to.key), to.key)
			setRow(t, s, to.key, to.value)
		}
		userKey, ts, err := parseVersionKey(from.key)
		must(t, err)
		for _, key := range [][]byte{
			appendVersionKey(nil, userKey, ts+5),
			appendVersionKey(nil, userKey, ts-5),
			appendVersionKey(nil, append(bytes.Clone(userKey), 0), ts),
			appendVersionKey(nil, append(bytes.Clone(userKey), "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x09"...), ts),
			appendVersionKey(nil, nil, ts),
		} {
			setRow(t, s, key, from.value)
			wantCaught(t, s, fmt.Sprintf("%s copied to %q", from.describe(t), key), key)
			deleteRow(t, s, key)
		}
	}
	if got := describe(t, s); got != want {
		t.Errorf("put back: got %s, want %s", got, want)
	}
}

// A row that says that it is deleted or expired is given up only if that is what was written.
func TestTamperCompaction(t *testing.T) {
	ctx := context.Background()
	for _, c := range []struct {
		name, key string
		change    func(row []byte) []byte
	}{
		{"a value marked as a tombstone", "a", func(row []byte) []byte { row[0] |= valueFlagTombstone; return row }},
		{"a value given an expiry", "a", func(row []byte) []byte {
			return append([]byte{row[0] | valueFlagExpiry, 0, 0, 0, 0, 0, 0, 0, 1}, row[1:]...)
		}},
		{"an earlier expiry", "b", func(row []byte) []byte { row[7] = 0; return row }},
		{"another row's tombstone", "a", nil},
	} {
		s := openTampered(t, newSealer(t))
		var victim, tombstone engineRow
		for _, r := range engineRows(t, s) {
			userKey, _, err := parseVersionKey(r.key)
			must(t, err)
			if string(userKey) == c.key && victim.key == nil {
				victim = r
			}
			if string(userKey) == "c" {
				tombstone = r
			}
		}
		row := tombstone.value
		if c.change != nil {
			row = c.change(bytes.Clone(victim.value))
		}
		setRow(t, s, victim.key, row)
		if err := s.Compact(ctx, 900); !errors.Is(err, ErrEncryptedReadIntegrity) {
			t.Errorf("%s: got %v", c.name, err)
		}
		found := false
		for _, r := range engineRows(t, s) {
			found = found || bytes.Equal(r.key, victim.key)
		}
		if !found {
			t.Errorf("%s: the row is gone", c.name)
		}
		// A newer version takes its place, and the compaction goes on.
		must(t, s.PutAt(ctx, []byte(c.key), []byte("written again"), 899, 0))
		must(t, s.Compact(ctx, 901))
		wantValue(t, s, c.key, 1001, "written again")
	}
}

// rangeRow returns the row of the store's only range tombstone.
func rangeRow(t *testing.T, s *pebbleStore) (row engineRow) {
	t.Helper()
	options := rangeRows()
	iter, err := s.db.NewIter(&options)
	must(t, err)
	if !iter.First() {
		t.Fatal("no range tombstone")
	}
	row = engineRow{cloneBytes(iter.Key()), cloneBytes(iter.Value())}
	if iter.Next() {
		t.Error("more than one range tombstone")
	}
	must(t, iter.Close())
	return row
}

// A deletion of a whole span is sealed too. It is read when the folder is opened, and one that
// does not say what was written keeps the folder shut.
func TestTamperRangeTombstone(t *testing.T) {
	ctx := context.Background()
	mem, sealed := vfs.NewMem(), newSealer(t)
	open := func(opts ...PebbleStoreOption) (*pebbleStore, error) {
		s, err := NewPebbleStore("db", append(opts, WithFS(mem))...)
		if err != nil {
			return nil, err
		}
		return s.(*pebbleStore), nil
	}
	s, err := open(append(sealed.options(), WithEagerRanges())...)
	must(t, err)
	must(t, s.ApplyMutations(ctx, append(put("a1", "v"), append(put("a2", "v"), put("b", "v")...)...), nil, maxTS, 10))
	must(t, s.DeletePrefixAt(ctx, []byte("a"), nil, 20))
	row := rangeRow(t, s)
	if !valueSealed(row.value) {
		t.Fatalf("the range tombstone is clear: %x", row.value)
	}
	tamper := func(what string, key, value []byte) {
		t.Helper()
		deleteRow(t, s, row.key)
		setRow(t, s, key, value)
		must(t, s.db.Flush())
		must(t, s.Close())
		again, err := open(sealed.options()...)
		damaged := errors.Is(err, ErrDamagedFolder) != errors.As(err, new(*encryption.UnknownKeyError))
		if !errors.Is(err, ErrEncryptedReadIntegrity) || !damaged {
			t.Errorf("%s: opened, %v", what, err)
		}
		if again != nil {
			must(t, again.Close())
		}
		// Mended below the store, as nothing opens it any more.
		db, err := pebble.Open("db", engineOptions(mem, 1<<20, s.progress.clock, &engineLogger{log: s.log}))
		must(t, err)
		must(t, db.Delete(key, pebble.NoSync))
		must(t, firstError(db.Set(row.key, row.value, pebble.NoSync), db.Flush()))
		must(t, db.Close())
		s, err = open(sealed.options()...)
		must(t, err)
	}
	for i := range row.value {
		value := bytes.Clone(row.value)
		value[i] ^= 1 << (i % 8)
		tamper(fmt.Sprintf("byte %d", i), row.key, value)
	}
	other, err := parseRangeKey(row.key)
	must(t, err)
	for _, change := range []func(r *rangeTombstone){
		func(r *rangeTombstone) { r.ts-- },
		func(r *rangeTombstone) { r.ts++ },
		func(r *rangeTombstone) { r.expired = true },
		func(r *rangeTombstone) { r.span.End = nil },
		func(r *rangeTombstone) { r.span.Start = nil },
		func(r *rangeTombstone) { r.span.End = []byte("c") },
	} {
		moved := other
		change(&moved)
		tamper(fmt.Sprintf("moved to %+v", moved), appendRangeKey(nil, moved), row.value)
	}
	wantValue(t, s, "a1", 25, "none")
	wantValue(t, s, "a1", 15, "v")
	wantValue(t, s, "b", 25, "v")
	must(t, s.Close())

	_, err = open()
	if !errors.Is(err, ErrValueSealed) || errors.Is(err, ErrDamagedFolder) {
		t.Errorf("opened without a cipher: %v", err)
	}
	sealed.cipher.RemoveKey(1)
	if _, err = open(sealed.options()...); !errors.As(err, new(*encryption.UnknownKeyError)) || errors.Is(err, ErrDamagedFolder) {
		t.Errorf("opened without the key: %v", err)
	}
	must(t, sealed.cipher.AddKey(1, sealTestKey(1)))
	s, err = open(sealed.options()...)
	must(t, err)
	wantValue(t, s, "a2", 25, "none")
	must(t, s.Close())
}

// A conflict check under a deleted span goes by what rows say of themselves; one that lies
// does not let a transaction pass.
func TestTamperConflictCheck(t *testing.T) {
	ctx := context.Background()
	s := openTest(t, "db", append(newSealer(t).options(), WithFS(vfs.NewMem()), WithVersionCacheSize(-1), WithEagerRanges())...)
	must(t, s.ApplyMutations(ctx, append(put("a1", "v"), put("a2", "v")...), nil, maxTS, 10))
	must(t, s.DeletePrefixAt(ctx, []byte("a"), nil, 20))
	rangeRow(t, s)
	check := func() error {
		c := Commit{TS: 30, Check: &Check{StartTS: 15, ReadRanges: []Span{PrefixSpan([]byte("a"))}}}
		staged, err := s.Stage(ctx, []Commit{c})
		if err != nil {
			return err
		}
		return staged.Wait()
	}
	if err := check(); !errors.Is(err, ErrWriteConflict) {
		t.Fatalf("a span that was deleted meanwhile: %v", err)
	}
	for _, r := range engineRows(t, s) {
		r.value[0] |= valueFlagTombstone
		setRow(t, s, r.key, r.value)
	}
	if err := check(); !errors.Is(err, ErrEncryptedReadIntegrity) {
		t.Errorf("rows marked as tombstones: %v", err)
	}
}

package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"log/slog"
	"runtime"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/elastickv/elastickv/encryption"
)

func FuzzParseVersionKey(f *testing.F) {
	f.Fuzz(func(t *testing.T, key []byte) {
		user, ts, err := parseVersionKey(key)
		if err != nil {
			return
		}
		again := appendVersionKey(nil, user, ts)
		copy(again[1:keyHeadSize], key[1:keyHeadSize]) // a row may be another group's
		if !bytes.Equal(again, key) {
			t.Fatalf("%x is taken apart as %q @%d, which is built as %x", key, user, ts, again)
		}
		if !bytes.Equal(boundOf(key), key[:len(key)-keySuffixSize]) {
			t.Fatalf("%x has the bound %x", key, boundOf(key))
		}
	})
}

func FuzzParseRangeKey(f *testing.F) {
	f.Fuzz(func(t *testing.T, key []byte) {
		r, err := parseRangeKey(key)
		if err != nil {
			if !errors.Is(err, errKeyDamaged) {
				t.Fatalf("%x: %v", key, err)
			}
			return
		}
		again := appendRangeKey(nil, r)
		copy(again[1:keyHeadSize], key[1:keyHeadSize]) // it may be another group's
		if !bytes.Equal(again, key) || r.span.empty() {
			t.Fatalf("%x is taken apart as %+v, which is built as %x", key, r, again)
		}
	})
}

func FuzzParseExpiryKey(f *testing.F) {
	f.Fuzz(func(t *testing.T, key []byte) {
		userKey, err := parseExpiryKey(key)
		if err != nil {
			return
		}
		again := appendExpiryKey(nil, binary.BigEndian.Uint64(key[keyHeadSize:]), userKey)
		copy(again[1:keyHeadSize], key[1:keyHeadSize])
		if !bytes.Equal(again, key) {
			t.Fatalf("%x is taken apart as %q, which is built as %x", key, userKey, again)
		}
	})
}

func FuzzParseWriterRow(f *testing.F) {
	f.Fuzz(func(t *testing.T, key, row []byte) {
		w, err := parseWriterRow(key, row)
		if err != nil {
			if !errors.Is(err, errValueDamaged) {
				t.Fatalf("%x under %x: %v", row, key, err)
			}
			return
		}
		n := len(metaWriterPrefix)
		again := appendWriterKey(nil, w.KeyID, encryption.FoldNodeID(w.NodeID))
		if !bytes.Equal(again[n:n+6], key[n:n+6]) || !bytes.Equal(appendWriterRow(nil, w), row) {
			t.Fatalf("%x under %x is %+v", row, key, w)
		}
	})
}

func FuzzParseCompactionPass(f *testing.F) {
	f.Fuzz(func(t *testing.T, row []byte) {
		p, err := parseCompactionPass(row)
		if err != nil {
			if !errors.Is(err, errValueDamaged) {
				t.Fatalf("%x: %v", row, err)
			}
			return
		}
		if again := p.append(nil); !bytes.Equal(again, row) {
			t.Fatalf("%x is %+v, which is encoded as %x", row, p, again)
		}
		_, _ = p.finished(), p.span()
	})
}

func FuzzParseResealCursor(f *testing.F) {
	f.Fuzz(func(t *testing.T, row []byte) {
		below, next, err := parseResealCursor(row)
		if err != nil {
			if !errors.Is(err, errValueDamaged) {
				t.Fatalf("%x: %v", row, err)
			}
			return
		}
		p := resealPass{below: below, next: next}
		if again := p.appendCursor(nil); !bytes.Equal(again, row) {
			t.Fatalf("%x is %+v, which is encoded as %x", row, p, again)
		}
		if compareKeys(next, resealEnd()) > 0 || compareKeys(next, appendKeyBound(nil, nil)) < 0 {
			t.Fatalf("%x lets a pass go on at %x, outside of all rows", row, next)
		}
	})
}

// FuzzFormatFile opens folders whose format file holds anything: only the text
// that this program writes lets the engine near the folder.
func FuzzFormatFile(f *testing.F) {
	f.Fuzz(func(t *testing.T, text []byte) {
		mem := vfs.NewMem()
		must(t, mem.MkdirAll("db", folderMode))
		file, err := mem.Create("db/"+formatFile, vfs.WriteCategoryUnspecified)
		must(t, err)
		_, err = file.Write(bytes.Clone(text))
		must(t, errors.Join(err, file.Close()))
		state, err := folder{fs: mem, dir: "db"}.inspect()
		if state != folderFinished && state != folderOlder && err == nil {
			t.Fatalf("%q: state %d", text, state)
		}
		known := errors.Is(err, ErrForeignFolder) || errors.Is(err, ErrDamagedFolder) || errors.Is(err, ErrNewerFormat)
		if err != nil && (!known || strings.Contains(err.Error(), "\n")) {
			t.Fatalf("%q: %v", text, err)
		}
		if ours := bytes.HasPrefix(text, []byte(formatHead)); errors.Is(err, ErrForeignFolder) == ours {
			t.Fatalf("%q: %v", text, err)
		}
		if err != nil {
			return
		}
		want := map[folderState]string{folderOlder: "1", folderFinished: "2"}[state]
		if strings.Trim(strings.Split(string(text), "\n")[1], "format 0") != want {
			t.Fatalf("%q was taken for format %s", text, want)
		}
	})
}

func FuzzFSMSyncMode(f *testing.F) {
	f.Fuzz(func(t *testing.T, mode string) {
		synced := parseFSMSyncMode(FSMSyncMode(mode), slog.New(slog.DiscardHandler))
		if !synced && !strings.EqualFold(strings.TrimSpace(mode), "nosync") {
			t.Fatalf("%q switches fsyncs off", mode)
		}
	})
}

// A row that claims a key of 4 GiB must not cost 4 GiB.
func TestHostileLengthsAllocateNothing(t *testing.T) {
	rows := [][]byte{
		append(make([]byte, 3*8), "\x00\xff\xff\xff\xffkey"...),
		append(make([]byte, 3*8), "\x01\x7f\xff\xff\xff"...),
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, row := range rows {
		if p, err := parseCompactionPass(row); err == nil {
			t.Errorf("%x is %+v", row, p)
		}
	}
	if r, err := parseRangeKey([]byte("\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x05\x02\xff\xff\xff\xffab\x00")); err == nil {
		t.Errorf("a range tombstone of 4 GiB is %+v", r)
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 64<<10 {
		t.Errorf("allocated %d bytes", got)
	}
}

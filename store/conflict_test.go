package store_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/elastickv/elastickv/store"
)

func TestWriteConflictLabels(t *testing.T) {
	for _, c := range []struct {
		label, kind, class string
		ok                 bool
	}{
		{"write|hash", "write", "hash", true},
		{"read|txn_lock", "read", "txn_lock", true},
		{"write|a|b", "write", "a|b", true},
		{"write||", "write", "|", true},
		{"", "", "", false},
		{"|", "", "", false},
		{"write", "", "", false},
		{"write|", "", "", false},
		{"|hash", "", "", false},
	} {
		kind, class, ok := store.DecodeWriteConflictLabel(c.label)
		if kind != c.kind || class != c.class || ok != c.ok {
			t.Errorf("DecodeWriteConflictLabel(%q) = %q, %q, %v", c.label, kind, class, ok)
		}
		if ok && store.EncodeWriteConflictLabel(kind, class) != c.label {
			t.Errorf("%q is encoded as %q", c.label, store.EncodeWriteConflictLabel(kind, class))
		}
	}
}

func TestWriteConflictKey(t *testing.T) {
	key := []byte("k\x00y")
	err := store.NewWriteConflictError(key)
	key[0] = 'X'
	wrapped := fmt.Errorf("b: %w", errors.Join(errors.New("a"), err))
	for name, err := range map[string]error{"plain": err, "wrapped": wrapped} {
		if !errors.Is(err, store.ErrWriteConflict) {
			t.Errorf("%s: %v is not ErrWriteConflict", name, err)
		}
		for range 2 {
			got, ok := store.WriteConflictKey(err)
			if !ok || string(got) != "k\x00y" {
				t.Errorf("%s: WriteConflictKey = %q, %v", name, got, ok)
			}
			got[0] = 'X'
		}
	}
	if got, ok := store.WriteConflictKey(store.NewWriteConflictError(nil)); !ok || got == nil || len(got) != 0 {
		t.Errorf("the empty key: %#v, %v", got, ok)
	}
	for name, err := range map[string]error{"nil": nil, "sentinel": store.ErrWriteConflict, "other": errors.New("x")} {
		if got, ok := store.WriteConflictKey(err); ok || got != nil {
			t.Errorf("%s: WriteConflictKey = %q, %v", name, got, ok)
		}
	}
	if got, want := err.Error(), `write conflict on key "k\x00y"`; got != want {
		t.Errorf("Error() = %s, want %s", got, want)
	}
}

func FuzzDecodeWriteConflictLabel(f *testing.F) {
	f.Fuzz(func(t *testing.T, label string) {
		kind, class, ok := store.DecodeWriteConflictLabel(label)
		if ok && store.EncodeWriteConflictLabel(kind, class) != label {
			t.Errorf("%q is decoded as %q, %q", label, kind, class)
		}
	})
}

package store_test

import (
	"bytes"
	"testing"

	"github.com/elastickv/elastickv/store"
)

func FuzzPrefixEnds(f *testing.F) {
	f.Fuzz(func(t *testing.T, prefix, key []byte) {
		before := bytes.Clone(prefix)
		end, span := store.PrefixScanEnd(prefix), store.PrefixSpan(prefix)
		if !bytes.Equal(prefix, before) {
			t.Fatalf("%q was changed to %q", before, prefix)
		}
		if (end == nil) != (span.End == nil) {
			t.Fatalf("%q: one end is open, the other is not: %q, %q", prefix, end, span.End)
		}
		if end != nil && (len(end) != len(prefix) || bytes.Compare(end, prefix) <= 0) {
			t.Fatalf("%q ends at %q", prefix, end)
		}
		for _, k := range [][]byte{key, append(bytes.Clone(prefix), key...)} {
			begins := bytes.HasPrefix(k, prefix)
			if begins && end != nil && bytes.Compare(k, end) >= 0 {
				t.Fatalf("%q begins with %q and lies above its end %q", k, prefix, end)
			}
			in := bytes.Compare(k, span.Start) >= 0 && (span.End == nil || bytes.Compare(k, span.End) < 0)
			if in != begins {
				t.Fatalf("%q is in the span of %q: %v, begins with it: %v", k, prefix, in, begins)
			}
		}
	})
}

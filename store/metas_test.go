package store_test

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/elastickv/elastickv/store"
)

// TestMetaFormat holds every meta to its golden bytes.
func TestMetaFormat(t *testing.T) {
	encode := map[string]func(a keyArgs) ([]byte, error){
		"HashMeta": func(a keyArgs) ([]byte, error) { return store.MarshalHashMeta(store.HashMeta{Len: a.int(0)}), nil },
		"HashMetaDelta": func(a keyArgs) ([]byte, error) {
			return store.MarshalHashMetaDelta(store.HashMetaDelta{LenDelta: a.int(0)}), nil
		},
		"SetMeta": func(a keyArgs) ([]byte, error) { return store.MarshalSetMeta(store.SetMeta{Len: a.int(0)}), nil },
		"SetMetaDelta": func(a keyArgs) ([]byte, error) {
			return store.MarshalSetMetaDelta(store.SetMetaDelta{LenDelta: a.int(0)}), nil
		},
		"ZSetMeta": func(a keyArgs) ([]byte, error) { return store.MarshalZSetMeta(store.ZSetMeta{Len: a.int(0)}), nil },
		"ZSetMetaDelta": func(a keyArgs) ([]byte, error) {
			return store.MarshalZSetMetaDelta(store.ZSetMetaDelta{LenDelta: a.int(0)}), nil
		},
		"ZSetScore": func(a keyArgs) ([]byte, error) { return store.MarshalZSetScore(a.float(0)), nil },
		"ListMeta": func(a keyArgs) ([]byte, error) {
			return store.MarshalListMeta(store.ListMeta{Head: a.int(0), Tail: a.int(1), Len: a.int(2)})
		},
		"ListMetaDelta": func(a keyArgs) ([]byte, error) {
			return store.MarshalListMetaDelta(store.ListMetaDelta{HeadDelta: a.int(0), LenDelta: a.int(1)}), nil
		},
		"StreamMeta": func(a keyArgs) ([]byte, error) {
			return store.MarshalStreamMeta(store.StreamMeta{Length: a.int(0), LastMs: a.uint(1), LastSeq: a.uint(2)})
		},
	}
	datadriven.RunTest(t, "testdata/format/metas", func(t *testing.T, d *datadriven.TestData) string {
		var out strings.Builder
		for line := range strings.Lines(strings.Join(append([]string{d.Cmd + args(d.CmdArgs)}, d.Input), "\n")) {
			words := strings.Fields(line)
			if len(words) == 0 {
				continue
			}
			b, err := encode[words[0]](keyArgs{t, words[1:]})
			if err != nil {
				fmt.Fprintf(&out, "error: %v\n", err)
				continue
			}
			fmt.Fprintf(&out, "%x -> %s\n", b, decodeMeta(words[0], b))
		}
		return out.String()
	})
}

// decodeMeta decodes b as the named meta and prints it.
func decodeMeta(name string, b []byte) string {
	m, _, err := metaDecoders[name](b)
	if err != nil {
		return fmt.Sprintf("error: %v", err)
	}
	return fmt.Sprintf("%+v", m)
}

// metaDecoders decode, and encode what they have decoded once more.
var metaDecoders = map[string]func(b []byte) (m any, again []byte, err error){
	"HashMeta": func(b []byte) (any, []byte, error) {
		m, err := store.UnmarshalHashMeta(b)
		return m, store.MarshalHashMeta(m), err
	},
	"HashMetaDelta": func(b []byte) (any, []byte, error) {
		m, err := store.UnmarshalHashMetaDelta(b)
		return m, store.MarshalHashMetaDelta(m), err
	},
	"SetMeta": func(b []byte) (any, []byte, error) {
		m, err := store.UnmarshalSetMeta(b)
		return m, store.MarshalSetMeta(m), err
	},
	"SetMetaDelta": func(b []byte) (any, []byte, error) {
		m, err := store.UnmarshalSetMetaDelta(b)
		return m, store.MarshalSetMetaDelta(m), err
	},
	"ZSetMeta": func(b []byte) (any, []byte, error) {
		m, err := store.UnmarshalZSetMeta(b)
		return m, store.MarshalZSetMeta(m), err
	},
	"ZSetMetaDelta": func(b []byte) (any, []byte, error) {
		m, err := store.UnmarshalZSetMetaDelta(b)
		return m, store.MarshalZSetMetaDelta(m), err
	},
	"ZSetScore": func(b []byte) (any, []byte, error) {
		m, err := store.UnmarshalZSetScore(b)
		if math.IsNaN(m) { // a NaN's other bits need not survive
			return m, b, err
		}
		return m, store.MarshalZSetScore(m), err
	},
	"ListMeta": func(b []byte) (any, []byte, error) {
		m, err := store.UnmarshalListMeta(b)
		if err != nil {
			return m, nil, err
		}
		again, err := store.MarshalListMeta(m)
		return m, again, err
	},
	"ListMetaDelta": func(b []byte) (any, []byte, error) {
		m, err := store.UnmarshalListMetaDelta(b)
		return m, store.MarshalListMetaDelta(m), err
	},
	"StreamMeta": func(b []byte) (any, []byte, error) {
		m, err := store.UnmarshalStreamMeta(b)
		if err != nil {
			return m, nil, err
		}
		again, err := store.MarshalStreamMeta(m)
		return m, again, err
	},
}

// Only the exact size will do.
func TestMetaSizes(t *testing.T) {
	sizes := map[string]int{"ListMeta": 24, "StreamMeta": 24, "ListMetaDelta": 16}
	for name, decode := range metaDecoders {
		want := sizes[name]
		if want == 0 {
			want = 8
		}
		for n := range 40 {
			if _, _, err := decode(make([]byte, n)); (err == nil) != (n == want) {
				t.Errorf("%s of %d bytes: %v", name, n, err)
			}
		}
	}
}

// Values that contradict themselves are refused, whoever wrote them.
func TestInconsistentMetas(t *testing.T) {
	word := func(words ...uint64) []byte {
		var b []byte
		for _, w := range words {
			b = append(b, store.EncodeStreamID(w, 0)[:8]...)
		}
		return b
	}
	const negative = math.MaxUint64
	for name, c := range map[string]struct {
		meta string
		b    []byte
	}{
		"negative hash":         {"HashMeta", word(negative)},
		"negative set":          {"SetMeta", word(negative)},
		"negative sorted set":   {"ZSetMeta", word(1 << 63)},
		"negative stream":       {"StreamMeta", word(1<<63, 0, 0)},
		"negative list":         {"ListMeta", word(5, 4, negative)},
		"tail is not head+len":  {"ListMeta", word(5, 9, 3)},
		"tail overflows":        {"ListMeta", word(math.MaxInt64, 1<<63, 1)},
		"tail overflows by far": {"ListMeta", word(2, 1<<63+1, math.MaxInt64)},
	} {
		if m, _, err := metaDecoders[c.meta](c.b); err == nil {
			t.Errorf("%s: %x was decoded as %+v", name, c.b, m)
		}
	}
}

func FuzzUnmarshal(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		for name, decode := range metaDecoders {
			if m, again, err := decode(b); err == nil && !bytes.Equal(again, b) {
				t.Errorf("%s: %x is decoded as %+v and encoded as %x", name, b, m, again)
			}
		}
		if ms, seq, ok := store.DecodeStreamID(b); ok && !bytes.Equal(store.EncodeStreamID(ms, seq), b) {
			t.Errorf("stream ID %x is decoded as %d-%d", b, ms, seq)
		}
	})
}

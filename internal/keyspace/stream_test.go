package keyspace

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/elastickv/elastickv/internal/txn"
	"github.com/elastickv/elastickv/store"
)

func TestStreamIDs(t *testing.T) {
	const top = math.MaxUint64
	for _, tc := range []struct {
		id, next, prev StreamID
		text           string
	}{
		{StreamID{}, StreamID{0, 1}, MaxStreamID, "0-0"},
		{StreamID{1, 0}, StreamID{1, 1}, StreamID{0, top}, "1-0"},
		{StreamID{1, top}, StreamID{2, 0}, StreamID{1, top - 1}, "1-18446744073709551615"},
		{MaxStreamID, StreamID{}, StreamID{top, top - 1}, "18446744073709551615-18446744073709551615"},
	} {
		next, more := tc.id.Next()
		prev, less := tc.id.Prev()
		if next != tc.next || more != (tc.id != MaxStreamID) || prev != tc.prev || less != !tc.id.IsZero() || tc.id.String() != tc.text {
			t.Errorf("%v: next %v %v, previous %v %v, text %q; want %+v", tc.id, next, more, prev, less, tc.id.String(), tc)
		}
	}
}

// makeStream makes a stream of n entries at key, of which a group has read the first hundred for
// a consumer "c".
func makeStream(s *Space, key string, n int) error {
	st, err := s.Stream([]byte(key))
	if err != nil {
		return err
	}
	for i := range n {
		if err := st.Add(StreamID{Ms: uint64(i + 1)}, [][]byte{[]byte("f"), []byte("v")}); err != nil {
			return err
		}
	}
	if _, err := st.CreateGroup([]byte("g"), StreamID{}, 0); err != nil {
		return err
	}
	g, err := st.Group([]byte("g"))
	if err != nil {
		return err
	}
	c, err := g.Meet([]byte("c"))
	if err != nil {
		return err
	}
	return g.Deliver(firstIDs(100), c)
}

func firstIDs(n int) (ids []StreamID) {
	for i := range n {
		ids = append(ids, StreamID{Ms: uint64(i + 1)})
	}
	return ids
}

// streamCosts are what is done to a stream of which a group has read a hundred
// entries, and the rows that are looked up, walked over and written.
var streamCosts = []struct {
	name                  string
	do                    func(st *Stream, g *Group) error
	gets, walked, written int
}{
	{"open", func(*Stream, *Group) error { return nil }, 0, 0, 0},
	{"add", func(st *Stream, _ *Group) error { return addNext(st) }, 0, 0, 2},
	{"add and trim", func(st *Stream, _ *Group) error {
		if err := addNext(st); err != nil {
			return err
		}
		n, err := st.Trim(StreamTrim{MaxLen: st.Len() - 1})
		return expect(err, "trimmed", n, 1)
	}, 0, 2, 4},
	{"trim by ID", func(st *Stream, _ *Group) error {
		n, err := st.Trim(StreamTrim{ByID: true, MinID: StreamID{Ms: 3}})
		return expect(err, "trimmed", n, 2)
	}, 0, 6, 4},
	{"trim in vain", func(st *Stream, _ *Group) error {
		n, err := st.Trim(StreamTrim{MaxLen: st.Len() - 99, Approx: true})
		return expect(err, "trimmed", n, 0)
	}, 0, 0, 0},
	{"trim a node", func(st *Stream, _ *Group) error {
		n, err := st.Trim(StreamTrim{MaxLen: st.Len() - 100, Approx: true})
		return expect(err, "trimmed", n, 100)
	}, 0, 104, 103},
	{"entry", func(st *Stream, _ *Group) error { _, _, err := st.Entry(StreamID{Ms: 77}); return err }, 1, 0, 0},
	{"range", func(st *Stream, _ *Group) error {
		return walkSome(st, StreamRange{From: StreamID{Ms: 50}, To: MaxStreamID}, 10)
	}, 0, 10, 0},
	{"range from the end", func(st *Stream, _ *Group) error { return walkSome(st, StreamRange{To: MaxStreamID, Reverse: true}, 10) }, 0, 10, 0},
	{"delete the first", func(st *Stream, _ *Group) error { _, err := st.Delete(StreamID{Ms: 1}); return err }, 1, 3, 3},
	{"delete another", func(st *Stream, _ *Group) error { _, err := st.Delete(StreamID{Ms: 150}); return err }, 1, 3, 4},
	{"group", func(st *Stream, _ *Group) error { _, err := st.Group([]byte("h")); return err }, 1, 0, 0},
	{"deliver ten", func(st *Stream, g *Group) error {
		c, err := g.Meet([]byte("d"))
		if err != nil {
			return err
		}
		return g.Deliver(firstIDs(110)[100:], c)
	}, 1, 0, 22},
	{"acknowledge", func(_ *Stream, g *Group) error { _, err := g.Ack(firstIDs(50)[49:]); return err }, 2, 0, 4},
	{"claim", func(_ *Stream, g *Group) error {
		return g.Claim(Claim{Consumer: []byte("d")}, firstIDs(50)[49:], func(StreamEntry) error { return nil })
	}, 4, 0, 6},
	{"claim some", func(_ *Stream, g *Group) error {
		_, _, err := g.AutoClaim(Claim{Consumer: []byte("d")}, Sweep{Count: 3, Looks: 30}, func(StreamEntry) {})
		return err
	}, 5, 4, 12},
	{"deliver again", func(_ *Stream, g *Group) error {
		c, err := g.Consumer([]byte("c"))
		if err != nil {
			return err
		}
		return g.Redeliver(c, StreamID{Ms: 90}, 5, func(StreamEntry) {})
	}, 6, 5, 11},
	{"destroy the group", func(_ *Stream, g *Group) error { return g.Destroy() }, 0, 65, 1},
}

func addNext(st *Stream) error {
	id, _ := st.LastID().Next()
	return st.Add(id, [][]byte{[]byte("f"), []byte("v")})
}

func walkSome(st *Stream, r StreamRange, n int) error {
	return st.Walk(r, func(StreamEntry) bool {
		n--
		return n > 0
	})
}

// TestStreamCost holds every operation to the same few rows in streams of a few hundred
// entries and of thousands.
func TestStreamCost(t *testing.T) {
	const open = 4 // entry, meta, tally, and the group
	for _, c := range streamCosts {
		for _, size := range []int{350, 3_050} {
			t.Run(fmt.Sprint(c.name, " of ", size), func(t *testing.T) {
				b := newListBench()
				defer b.close()
				b.update(t, 0, func(s *Space) error { return makeStream(s, "s", size) })
				b.gets, b.walked, b.written = 0, 0, 0
				b.update(t, 0, func(s *Space) error {
					st, err := s.Stream([]byte("s"))
					if err != nil {
						return err
					}
					g, err := st.Group([]byte("g"))
					if err != nil {
						return err
					}
					return c.do(st, g)
				})
				got, want := [3]int{b.gets, b.walked, b.written}, [3]int{open + c.gets, c.walked, c.written}
				if got != want {
					t.Errorf("rows looked up, walked over, written: got %v, want %v", got, want)
				}
			})
		}
	}
}

// TestStreamTrimCost trims a long stream down: that looks at its nodes and not at what goes.
func TestStreamTrimCost(t *testing.T) {
	const n, nodes = 20_000, 200
	for name, trim := range map[string]StreamTrim{
		"length":           {MaxLen: 10},
		"nothing left":     {MaxLen: 0},
		"ID":               {ByID: true, MinID: StreamID{Ms: n - 9}},
		"whole nodes":      {MaxLen: 100, Approx: true},
		"whole nodes, ID":  {ByID: true, MinID: StreamID{Ms: n - 99}, Approx: true},
		"ID behind all":    {ByID: true, MinID: MaxStreamID},
		"more than singly": {MaxLen: n - dropSingly - 10},
	} {
		t.Run(name, func(t *testing.T) {
			b := newListBench()
			defer b.close()
			b.update(t, 0, func(s *Space) error { return makeStream(s, "s", n) })
			b.gets, b.walked, b.written = 0, 0, 0
			var want int64
			b.update(t, 0, func(s *Space) error {
				st, err := s.Stream([]byte("s"))
				if err != nil {
					return err
				}
				gone, err := st.Trim(trim)
				want = n - gone
				return err
			})
			// The nodes, those of the node that is cut, and the first rows of two spans.
			if most := nodes + 110 + 2*66; b.walked > most || b.written > 70 {
				t.Errorf("%d rows walked over, %d written, want at most %d and 70", b.walked, b.written, most)
			}
			b.view(t, 0, func(s *Space) error {
				st, err := s.Stream([]byte("s"))
				if err != nil {
					return err
				}
				var left int64
				err = st.Walk(AllStreamIDs(), func(StreamEntry) bool { left++; return true })
				if st.Len() != left {
					t.Errorf("length %d, %d entries", st.Len(), left)
				}
				return expect(err, "entries left", left, want)
			})
			if err := b.db.View(t.Context(), audit); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestStreamBytes holds the rows of a stream to their format.
func TestStreamBytes(t *testing.T) {
	b := newListBench()
	defer b.close()
	b.limits.StreamNodeMaxEntries = 2
	var got strings.Builder
	b.update(t, 3, func(s *Space) error {
		st, err := s.Stream([]byte("key"))
		if err != nil {
			return err
		}
		for i := range 4 {
			if err := st.Add(StreamID{1, uint64(i)}, [][]byte{[]byte("f"), bytes.Repeat([]byte("v"), 1+i*127/3)}); err != nil {
				return err
			}
		}
		if _, err := st.Delete(StreamID{1, 3}); err != nil {
			return err
		}
		if _, err := st.CreateGroup([]byte("grp"), StreamID{}, EntriesReadUnknown); err != nil {
			return err
		}
		g, err := st.Group([]byte("grp"))
		if err != nil {
			return err
		}
		c, err := g.Meet([]byte("who"))
		if err != nil {
			return err
		}
		if _, _, err := g.CreateConsumer([]byte("new")); err != nil {
			return err
		}
		return g.Deliver([]StreamID{{1, 0}}, c)
	})
	b.view(t, 3, func(s *Space) error {
		return s.tx.Walk(store.Span{}, store.Ascending, func(name []byte, r txn.Row) bool {
			fmt.Fprintf(&got, "%q %s\n", name, hex.EncodeToString(r.Value))
			return true
		})
	})
	want := `
"!db|03|!redis|key|key" 06
"!db|03|!redis|size" 00000000000000010000000000000000
"!db|03|!stream|entry|\x00\x00\x00\x03key\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00" 01660176
"!db|03|!stream|entry|\x00\x00\x00\x03key\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01" 01662b76767676767676767676767676767676767676767676767676767676767676767676767676767676767676
"!db|03|!stream|entry|\x00\x00\x00\x03key\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x02" 01665576767676767676767676767676767676767676767676767676767676767676767676767676767676767676767676767676767676767676767676767676767676767676767676767676767676767676767676767676
"!db|03|!stream|meta|\x00\x00\x00\x03key" 000000000000000300000000000000010000000000000003
"!db|03|!stream|part|\x00\x00\x00\x03keyggrp" 00000000000000010000000000000000ffffffffffffffff00000000000000010000000000000002
"!db|03|!stream|part|\x00\x00\x00\x03keym\x00\x00\x00\x03grpcnew" 0000018bcfe568000000000000000000ffffffffffffffff
"!db|03|!stream|part|\x00\x00\x00\x03keym\x00\x00\x00\x03grpcwho" 0000018bcfe568000000000000000001
"!db|03|!stream|part|\x00\x00\x00\x03keym\x00\x00\x00\x03grpo\x00\x00\x00\x03who\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00" 0000018bcfe568000000000000000001
"!db|03|!stream|part|\x00\x00\x00\x03keym\x00\x00\x00\x03grpp\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00" 0000018bcfe56800000000000000000177686f
"!db|03|!stream|part|\x00\x00\x00\x03keyn\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00" 00000000000000000000000000000000
"!db|03|!stream|part|\x00\x00\x00\x03keyn\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x02" 00000000000000020000000000000001
"!db|03|!stream|part|\x00\x00\x00\x03keyt" 00000000000000010000000000000000000000000000000100000000000000030000000000000001000000000000000000000000000000010000000000000000000000000000000200000000000000020000000000000002
`[1:]
	if got.String() != want {
		t.Errorf("got\n%s\nwant\n%s", got.String(), want)
	}
}

func FuzzStreamRows(f *testing.F) {
	f.Add([]byte{})
	f.Add(encodeStreamFields([][]byte{[]byte("f"), bytes.Repeat([]byte("v"), 200)}))
	f.Add(streamTally{removed: 1, shift: -1, maxDeleted: MaxStreamID, nodes: 3}.encode())
	f.Add((&Group{LastID: StreamID{1, 2}, EntriesRead: EntriesReadUnknown}).encode())
	f.Add((&Consumer{Seen: 2, Active: NeverActive}).encode())
	f.Add(Pending{Consumer: []byte("c"), Delivery: Delivery{1, 2}}.encode())
	f.Add([]byte{1, 'f', 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		if fields, err := parseStreamFields(nil, b); err == nil {
			again, err := parseStreamFields(nil, encodeStreamFields(fields))
			if err != nil || fmt.Sprintf("%q", again) != fmt.Sprintf("%q", fields) {
				t.Errorf("fields %q became %q, %v", fields, again, err)
			}
		}
		if tally, err := parseStreamTally(b); err == nil && !bytes.Equal(tally.encode(), b) {
			t.Errorf("tally %+v is encoded differently", tally)
		}
		var g Group
		if err := g.parse(b); err == nil && !bytes.Equal(g.encode(), b) {
			t.Errorf("group %+v is encoded differently", g)
		}
		var c Consumer
		if err := c.parse(b); err == nil && !bytes.Equal(c.encode(), b) {
			t.Errorf("consumer %+v is encoded differently", c)
		}
		if x, y, err := parsePair("pair", b); err == nil && !bytes.Equal(encodePair(x, y), b) {
			t.Errorf("pair %d, %d is encoded differently", x, y)
		}
		if p, err := parsePending(StreamID{}, b, nil); err == nil && !bytes.Equal(p.encode(), b) {
			t.Errorf("pending entry %+v is encoded differently", p)
		}
	})
}

package storetest

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"

	"pgregory.net/rapid"

	"github.com/elastickv/elastickv/store"
)

// space is what the calls of a random history are about.
type space struct {
	keys        []string
	hot         int // how many of keys, from the first on, most calls are about; 0 is all
	prefixes    []string
	tsMost      uint64 // commit timestamps lie in 1..tsMost
	valueMost   int    // bytes of a long value; 0 has none
	readersMost int    // keys and ranges that a check names
}

// The keys are few, so that calls meet, and are prefixes of one another, so
// that neighbours get in each other's way.
var fewKeys = &space{
	keys:        []string{"", "\x00", "a", "a\x00", "a\x00\x00", "aa", "a\xfe", "a\xff", "a\xff\xff", "b", "b\x00", "\xff", "\xff\xff"},
	prefixes:    []string{"", "a", "a\x00", "aa", "a\xff", "b", "\xff", "\xff\xff", "x"},
	tsMost:      40,
	readersMost: 2,
}

// The keys are many, in families whose prefixes are prefixes of one another, so
// that the engine has blocks and tables to spread them over.
var manyKeys = func() *space {
	s := &space{
		keys:        slices.Clone(fewKeys.keys),
		hot:         len(fewKeys.keys),
		prefixes:    []string{"", "a", "a\x00", "a\xff", "user:1", "user:10:", "user:1:", "x"},
		tsMost:      600,
		valueMost:   20 << 10,
		readersMost: 20,
	}
	for _, prefix := range s.prefixes[1:] {
		s.keys = append(s.keys, prefix)
		for i := range 40 {
			s.keys = append(s.keys, fmt.Sprintf("%s%02d", prefix, i))
		}
	}
	return s
}()

// draw draws the arguments of calls.
type draw struct {
	*rapid.T
	space *space
	last  func() uint64 // the highest commit timestamp so far
}

// ts draws a commit timestamp; most rise, as real ones do.
func (d draw) ts(name string) uint64 {
	last := d.last()
	switch rapid.IntRange(0, 7).Draw(d.T, name+" is any") {
	case 0:
		return rapid.Uint64Range(1, d.space.tsMost).Draw(d.T, name)
	case 1:
		return max(1, last-min(last, rapid.Uint64Range(0, 5).Draw(d.T, name+" step back")))
	}
	return max(1, min(last+rapid.Uint64Range(0, 2).Draw(d.T, name+" step"), d.space.tsMost))
}

func (d draw) readTS() uint64 {
	return rapid.OneOf(rapid.Uint64Range(0, d.space.tsMost+1), rapid.Just(uint64(math.MaxUint64))).Draw(d.T, "ts")
}

func (d draw) expireAt() uint64 {
	return rapid.OneOf(rapid.Just(uint64(0)), rapid.Uint64Range(1, d.space.tsMost)).Draw(d.T, "expireAt")
}

func (d draw) key() []byte { return []byte(d.space.anyKey().Draw(d.T, "key")) }

func (s *space) anyKey() *rapid.Generator[string] {
	all := rapid.SampledFrom(s.keys)
	if s.hot == 0 {
		return all
	}
	hot := rapid.SampledFrom(s.keys[:s.hot])
	return rapid.OneOf(hot, hot, all)
}

func (d draw) prefix(name string) string { return rapid.SampledFrom(d.space.prefixes).Draw(d.T, name) }

func (d draw) value() []byte {
	v := []byte(rapid.StringOfN(rapid.RuneFrom([]rune("vwxyz")), 0, 3, -1).Draw(d.T, "value"))
	if d.space.valueMost > 0 && len(v) > 0 && rapid.IntRange(0, 15).Draw(d.T, "long") == 0 {
		return bytes.Repeat(v, rapid.IntRange(1, d.space.valueMost/len(v)).Draw(d.T, "times"))
	}
	return v
}

func (d draw) span() store.Span {
	bound := rapid.Custom(func(t *rapid.T) []byte {
		if rapid.IntRange(0, 2).Draw(t, "unbounded") == 0 {
			return nil
		}
		return []byte(d.space.anyKey().Draw(t, "bound"))
	})
	return store.Span{Start: bound.Draw(d.T, "start"), End: bound.Draw(d.T, "end")}
}

func (d draw) mutations() []*store.KVPairMutation {
	mutation := rapid.Custom(func(t *rapid.T) *store.KVPairMutation {
		inner := draw{T: t, space: d.space, last: d.last}
		if rapid.IntRange(0, 3).Draw(t, "deletes") == 0 {
			return &store.KVPairMutation{Op: store.OpTypeDelete, Key: inner.key()}
		}
		return &store.KVPairMutation{Key: inner.key(), Value: inner.value(), ExpireAt: inner.expireAt()}
	})
	return rapid.Map(rapid.SliceOfN(mutation, 0, 4), func(all []*store.KVPairMutation) mutationList { return all }).Draw(d.T, "mutations")
}

// mutationList is mutations that print what they are, and not where.
type mutationList []*store.KVPairMutation

// GoString implements fmt.GoStringer.
func (l mutationList) GoString() string {
	var b strings.Builder
	for _, m := range l {
		fmt.Fprintf(&b, "%q=%q!%d op %d; ", m.Key, m.Value, m.ExpireAt, m.Op)
	}
	return "[" + b.String() + "]"
}

// manyMutations are up to as many as there are keys, of keys in a pattern.
func (d draw) manyMutations() []*store.KVPairMutation {
	keys := d.space.keys
	first := rapid.IntRange(0, len(keys)-1).Draw(d.T, "first")
	stride := rapid.IntRange(1, 7).Draw(d.T, "stride")
	deleteEvery := rapid.IntRange(1, 6).Draw(d.T, "delete every")
	value, expireAt := d.value(), d.expireAt()
	var all []*store.KVPairMutation
	for i := range rapid.IntRange(1, len(keys)).Draw(d.T, "mutations") {
		m := &store.KVPairMutation{Key: []byte(keys[(first+i*stride)%len(keys)]), Value: fmt.Appendf(nil, "%d%s", i, value[:min(len(value), 300)]), ExpireAt: expireAt}
		if i%deleteEvery == deleteEvery-1 && deleteEvery > 1 {
			m = &store.KVPairMutation{Op: store.OpTypeDelete, Key: m.Key}
		}
		all = append(all, m)
	}
	return all
}

func (d draw) readKeys() [][]byte {
	key := rapid.Custom(func(t *rapid.T) []byte { return []byte(d.space.anyKey().Draw(t, "read key")) })
	return rapid.SliceOfN(key, 0, d.space.readersMost).Draw(d.T, "read keys")
}

// startTS draws a start that is often good.
func (d draw) startTS() uint64 {
	if rapid.Bool().Draw(d.T, "start is last") {
		return d.last()
	}
	return rapid.Uint64Range(0, d.space.tsMost).Draw(d.T, "start")
}

// commits draws what one call of Stage writes.
func (d draw) commits() []store.Commit {
	var commits []store.Commit
	for range rapid.IntRange(0, 3).Draw(d.T, "commits") {
		c := store.Commit{TS: d.ts("ts"), Mutations: d.mutations()}
		if rapid.IntRange(0, 2).Draw(d.T, "deletes spans") == 0 {
			c.TS = min(max(c.TS, d.last()+1), d.space.tsMost) // mostly one that is not refused
			c.Deleted = []store.Span{d.span()}
		}
		if rapid.Bool().Draw(d.T, "checked") {
			c.Check = &store.Check{StartTS: d.startTS(), ReadKeys: d.readKeys()}
			if rapid.Bool().Draw(d.T, "reads a range") {
				c.Check.ReadRanges = []store.Span{d.span()}
			}
		}
		commits = append(commits, c)
	}
	return commits
}

package storetest

import (
	"errors"
	"math"
	"slices"
	"strings"

	"github.com/elastickv/elastickv/store"
)

// model is the contract in its most naive form: a list of all versions, read
// from end to end for every question.
type model struct {
	versions  []modelVersion // one per key and timestamp, in no order
	last      uint64
	floor     uint64
	index     uint64
	conflicts map[string]uint64
}

type modelVersion struct {
	key string
	store.VersionedValue
}

func newModel() *model { return &model{conflicts: map[string]uint64{}} }

// clone returns a copy that later writes do not touch.
func (m *model) clone() *model {
	c := *m
	c.versions = slices.Clone(m.versions)
	return &c
}

// at returns the newest version of key at or below ts.
func (m *model) at(key string, ts uint64) (found store.VersionedValue, ok bool) {
	for _, v := range m.versions {
		if v.key == key && v.TS <= ts && (!ok || v.TS > found.TS) {
			found, ok = v.VersionedValue, true
		}
	}
	return found, ok
}

// newest returns the highest timestamp of key, or 0.
func (m *model) newest(key string) uint64 {
	v, _ := m.at(key, math.MaxUint64)
	return v.TS
}

func shown(v store.VersionedValue, ok bool, ts uint64) bool {
	return ok && !v.Tombstone && (v.ExpireAt == 0 || v.ExpireAt > ts)
}

// readable says whether a read at ts may be answered.
func (m *model) readable(ts uint64) error {
	if ts < m.floor && ts != 0 && ts != math.MaxUint64 {
		return store.ErrReadTSCompacted
	}
	return nil
}

// keys returns the keys of span that have a version, in rising order.
func (m *model) keys(span store.Span) []string {
	var keys []string
	for _, v := range m.versions {
		if v.key >= string(span.Start) && (span.End == nil || v.key < string(span.End)) {
			keys = append(keys, v.key)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// scan returns the visible rows of span, at most limit.
func (m *model) scan(span store.Span, order store.Order, limit int, ts uint64) []store.KVPair {
	keys := m.keys(span)
	if order == store.Descending {
		slices.Reverse(keys)
	}
	var rows []store.KVPair
	for _, key := range keys {
		if v, ok := m.at(key, ts); shown(v, ok, ts) && len(rows) < limit {
			rows = append(rows, store.KVPair{Key: []byte(key), Value: v.Value})
		}
	}
	return rows
}

func (m *model) put(key string, v store.VersionedValue) {
	m.versions = slices.DeleteFunc(m.versions, func(old modelVersion) bool { return old.key == key && old.TS == v.TS })
	m.versions = append(m.versions, modelVersion{key, v})
	m.last = max(m.last, v.TS)
}

func (m *model) expire(key string, expireAt, ts uint64) error {
	if err := m.readable(ts); err != nil {
		return err
	}
	v, ok := m.at(key, ts)
	if !shown(v, ok, ts) {
		return store.ErrKeyNotFound
	}
	m.put(key, store.VersionedValue{TS: ts, Value: v.Value, ExpireAt: expireAt})
	return nil
}

func (m *model) deletePrefix(prefix, exclude string, ts uint64) {
	for _, key := range m.keys(store.Span{}) {
		excluded := exclude != "" && strings.HasPrefix(key, exclude)
		if v, ok := m.at(key, ts); shown(v, ok, ts) && strings.HasPrefix(key, prefix) && !excluded {
			m.put(key, store.VersionedValue{TS: ts, Tombstone: true})
		}
	}
	m.last = max(m.last, ts)
}

// commit applies all commits to a copy and keeps the copy only if none fails.
func (m *model) commit(commits []store.Commit, index uint64) error {
	if m.stale(commits) {
		return store.ErrDeletedNotNewest
	}
	next := m.clone()
	for i, c := range commits {
		if err := next.commitOne(c, commits[:i]); err != nil {
			return err
		}
	}
	next.index = max(next.index, index)
	*m = *next
	return nil
}

// stale reports whether one of commits deletes spans at a timestamp that has passed.
func (m *model) stale(commits []store.Commit) bool {
	last := m.last
	for i, c := range commits {
		below := func(later store.Commit) bool { return later.TS < c.TS }
		if len(c.Deleted) > 0 && (c.TS <= last || slices.ContainsFunc(commits[i:], below)) {
			return true
		}
		last = max(last, c.TS)
	}
	return false
}

func (m *model) commitOne(c store.Commit, earlier []store.Commit) error {
	if c.Check != nil {
		if err := m.check(c, earlier); err != nil {
			return err
		}
	}
	for _, span := range c.Deleted {
		for _, key := range m.keys(span) {
			if v, _ := m.at(key, c.TS); !v.Tombstone {
				m.put(key, store.VersionedValue{TS: c.TS, Tombstone: true})
			}
		}
	}
	for _, mutation := range c.Mutations {
		v := store.VersionedValue{TS: c.TS, Tombstone: true}
		if mutation.Op == store.OpTypePut {
			v = store.VersionedValue{TS: c.TS, Value: mutation.Value, ExpireAt: mutation.ExpireAt}
		}
		m.put(string(mutation.Key), v)
	}
	m.last = max(m.last, c.TS)
	return nil
}

// check looks for conflicts in the order of the contract. The counters are
// shared by all clones, because a call that fails counts.
func (m *model) check(c store.Commit, earlier []store.Commit) error {
	type touch struct {
		kind string
		span store.Span
	}
	var touched []touch
	one := func(key []byte) store.Span { return store.Span{Start: key, End: []byte(string(key) + "\x00")} }
	for _, mutation := range c.Mutations {
		touched = append(touched, touch{store.WriteConflictKindWrite, one(mutation.Key)})
	}
	for _, span := range c.Deleted {
		touched = append(touched, touch{store.WriteConflictKindWrite, span})
	}
	for _, key := range c.Check.ReadKeys {
		touched = append(touched, touch{store.WriteConflictKindRead, one(key)})
	}
	for _, span := range c.Check.ReadRanges {
		touched = append(touched, touch{store.WriteConflictKindRead, span})
	}
	for _, t := range touched {
		if key, changed := m.changed(t.span, c.Check.StartTS, earlier); changed {
			m.conflicts[t.kind+"|other"]++
			return store.NewWriteConflictError([]byte(key))
		}
	}
	if len(touched) > 0 && c.Check.StartTS < m.floor {
		return store.ErrReadTSCompacted
	}
	return nil
}

// changed returns the lowest key of span with a version above start. A span that one
// of earlier has deleted is a change of all its keys.
func (m *model) changed(span store.Span, start uint64, earlier []store.Commit) (string, bool) {
	var changed []string
	for _, key := range m.keys(span) {
		if m.newest(key) > start {
			changed = append(changed, key)
		}
	}
	for _, c := range earlier {
		for _, deleted := range c.Deleted {
			both := max(string(span.Start), string(deleted.Start))
			if c.TS > start && span.Contains([]byte(both)) && deleted.Contains([]byte(both)) {
				changed = append(changed, both)
			}
		}
	}
	if len(changed) == 0 {
		return "", false
	}
	return slices.Min(changed), true
}

// compact keeps of each key what is above minTS and the newest of the rest,
// and nothing of a key that has nothing to show from minTS on.
func (m *model) compact(minTS uint64) {
	if minTS <= m.floor {
		return
	}
	m.floor = minTS
	var kept []modelVersion
	for _, v := range m.versions {
		base, ok := m.at(v.key, minTS)
		gone := ok && m.newest(v.key) == base.TS && !shown(base, ok, minTS)
		if v.TS > minTS || v.TS == base.TS && !gone {
			kept = append(kept, v)
		}
	}
	m.versions = kept
}

// sameError says whether two calls have come out alike.
func sameError(got, want error) bool {
	if want == nil || got == nil {
		return got == nil && want == nil
	}
	gotKey, gotConflict := store.WriteConflictKey(got)
	wantKey, wantConflict := store.WriteConflictKey(want)
	if gotConflict || wantConflict {
		return gotConflict == wantConflict && string(gotKey) == string(wantKey)
	}
	return errors.Is(got, want)
}

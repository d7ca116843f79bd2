package storetest

import (
	"bytes"
	"fmt"
	"strings"

	"pgregory.net/rapid"

	"github.com/elastickv/elastickv/store"
)

// writes are a few small ones.
func (m *metamorphic) writes(*rapid.T) {
	for range rapid.IntRange(1, 6).Draw(m.T, "writes") {
		key, ts := m.key(), m.ts("ts")
		switch rapid.IntRange(0, 5).Draw(m.T, "kind") {
		case 0:
			m.do("DeleteAt", func(e store.Engine) error { return e.DeleteAt(ctx, key, ts) })
		case 1:
			exp := m.expireAt()
			m.do("ExpireAt", func(e store.Engine) error { return e.ExpireAt(ctx, key, exp, ts) })
		default:
			value, exp := m.value(), m.expireAt()
			m.do("PutAt", func(e store.Engine) error { return e.PutAt(ctx, key, value, ts, exp) })
		}
	}
}

func (m *metamorphic) apply(*rapid.T) { m.applyAll(m.mutations()) }

func (m *metamorphic) applyMany(*rapid.T) { m.applyAll(m.manyMutations()) }

func (m *metamorphic) applyAll(mutations []*store.KVPairMutation) {
	readKeys, start, ts := m.readKeys(), m.startTS(), m.ts("ts")
	index := rapid.Uint64Range(0, 9).Draw(m.T, "index")
	m.do("ApplyMutations", func(e store.Engine) error {
		switch index {
		case 0:
			return e.ApplyMutations(ctx, mutations, readKeys, start, ts)
		case 1:
			return e.ApplyMutationsRaft(ctx, mutations, readKeys, start, ts)
		}
		return e.ApplyMutationsRaftAt(ctx, mutations, readKeys, start, ts, index)
	})
}

func (m *metamorphic) stage(*rapid.T) {
	commits := m.commits()
	m.do("Stage", func(e store.Engine) error { return stageAndWait(e, commits...) })
}

// manyVersions writes a few keys over and over, each time at a higher timestamp.
func (m *metamorphic) manyVersions(*rapid.T) {
	keys := rapid.SliceOfN(m.space.anyKey(), 1, 3).Draw(m.T, "keys")
	value, from := m.value(), m.last()
	var commits []store.Commit
	for i := range rapid.Uint64Range(1, 80).Draw(m.T, "versions") {
		key := []byte(keys[i%uint64(len(keys))])
		mutation := &store.KVPairMutation{Key: key, Value: fmt.Append(value[:len(value):len(value)], i)}
		if i%5 == 4 {
			mutation = &store.KVPairMutation{Op: store.OpTypeDelete, Key: key}
		}
		commits = append(commits, store.Commit{TS: min(from+i+1, m.space.tsMost), Mutations: []*store.KVPairMutation{mutation}})
	}
	m.do("Stage", func(e store.Engine) error { return stageAndWait(e, commits...) })
}

func (m *metamorphic) deletePrefix(*rapid.T) {
	prefix, exclude, ts := []byte(m.prefix("prefix")), []byte(m.prefix("exclude")), m.ts("ts")
	index := rapid.Uint64Range(0, 9).Draw(m.T, "index")
	m.do("DeletePrefixAt", func(e store.Engine) error {
		switch index {
		case 0:
			return e.DeletePrefixAt(ctx, prefix, exclude, ts)
		case 1:
			return e.DeletePrefixAtRaft(ctx, prefix, exclude, ts)
		}
		return e.DeletePrefixAtRaftAt(ctx, prefix, exclude, ts, index)
	})
}

func (m *metamorphic) compact(*rapid.T) {
	minTS := m.last()
	if rapid.IntRange(0, 3).Draw(m.T, "keeps some") > 0 {
		minTS = rapid.Uint64Range(0, minTS).Draw(m.T, "minTS")
	}
	m.do("Compact", func(e store.Engine) error { return e.Compact(ctx, minTS) })
}

func (m *metamorphic) raiseFloor(*rapid.T) {
	ts := rapid.Uint64Range(0, min(m.subjects[0].e.MinRetainedTS()+20, m.space.tsMost)).Draw(m.T, "floor")
	m.do("SetMinRetainedTS", func(e store.Engine) error { e.SetMinRetainedTS(ts); return nil })
}

func (m *metamorphic) restore(rt *rapid.T) {
	m.release()
	if m.image == nil {
		rt.Skip("no snapshot yet")
	}
	m.do("Restore", func(e store.Engine) error { return e.Restore(bytes.NewReader(m.image)) })
}

// readTS draws a timestamp that can mostly be read at.
func (m *metamorphic) readTS() uint64 {
	floor := m.subjects[0].e.MinRetainedTS()
	if rapid.IntRange(0, 3).Draw(m.T, "any ts") == 0 {
		return m.draw.readTS()
	}
	return rapid.Uint64Range(floor, max(floor, m.last())).Draw(m.T, "ts")
}

func (m *metamorphic) read(*rapid.T) { m.askKey(m.key(), m.readTS()) }

// askKey asks everything that can be asked of one key at one timestamp.
func (m *metamorphic) askKey(key []byte, ts uint64) {
	m.ask(fmt.Sprintf("reads of %q at %d", key, ts), func(e store.Engine) string {
		value, getErr := e.GetAt(ctx, key, ts)
		exists, existsErr := e.ExistsAt(ctx, key, ts)
		v, found, versionErr := e.VersionAt(ctx, key, ts)
		committed, committedErr := e.CommittedVersionAt(ctx, key, ts)
		latest, any, latestErr := e.LatestCommitTS(ctx, key)
		return fmt.Sprintf("%q %s, %t %s, %s %t %s, %t %s, %d %t %s", value, outcome(getErr), exists, outcome(existsErr),
			versionText(v), found, outcome(versionErr), committed, outcome(committedErr), latest, any, outcome(latestErr))
	})
}

func versionText(v store.VersionedValue) string {
	return fmt.Sprintf("%q @%d !%d %t", v.Value, v.TS, v.ExpireAt, v.Tombstone)
}

func (m *metamorphic) scan(*rapid.T) {
	m.askScan(m.span(), rapid.IntRange(0, len(m.space.keys)+1).Draw(m.T, "limit"), m.readTS())
}

func (m *metamorphic) askScan(span store.Span, limit int, ts uint64) {
	for _, order := range []store.Order{store.Ascending, store.Descending} {
		m.ask(fmt.Sprintf("scan %q, %v, limit %d at %d", span, order, limit, ts), func(e store.Engine) string {
			scan := e.ScanAt
			if order == store.Descending {
				scan = e.ReverseScanAt
			}
			rows, err := scan(ctx, span.Start, span.End, limit, ts)
			var b strings.Builder
			for _, row := range rows {
				fmt.Fprintf(&b, "%q=%q ", row.Key, row.Value)
			}
			return b.String() + outcome(err)
		})
	}
}

func (m *metamorphic) walk(*rapid.T) {
	m.askWalk(m.span(), rapid.IntRange(1, len(m.space.keys)).Draw(m.T, "stop"), m.readTS(), rapid.Bool().Draw(m.T, "keeping"))
}

func (m *metamorphic) walkBehind(*rapid.T) {
	span, ts := m.span(), m.readTS()
	skip, stop := rapid.Int64Range(-1, 5).Draw(m.T, "skip"), rapid.IntRange(1, 3).Draw(m.T, "stop")
	order := store.Order(rapid.Bool().Draw(m.T, "descending"))
	m.ask(fmt.Sprintf("walk %q, %v, at %d, from the %d. on, stop after %d", span, order, ts, skip, stop), func(e store.Engine) string {
		var b strings.Builder
		n := 0
		err := e.WalkBehind(ctx, span, order, skip, ts, func(key []byte, v store.VersionedValue) bool {
			fmt.Fprintf(&b, "%q=%s ", key, versionText(v))
			n++
			return n < stop
		})
		return b.String() + outcome(err)
	})
}

func (m *metamorphic) count(*rapid.T) {
	span, ts, moment := m.span(), m.readTS(), m.readTS()
	m.ask(fmt.Sprintf("count %q at %d, less those that have expired at %d", span, ts, moment), func(e store.Engine) string {
		n, err := e.CountAt(ctx, span, ts, moment)
		return fmt.Sprint(n, outcome(err))
	})
}

// askWalk walks both ways and stops after some keys. It may ask for every other key to be kept.
func (m *metamorphic) askWalk(span store.Span, stop int, ts uint64, keeping bool) {
	for _, order := range []store.Order{store.Ascending, store.Descending} {
		m.ask(fmt.Sprintf("walk %q, %v, stop after %d at %d, keeping %v", span, order, stop, ts, keeping), func(e store.Engine) string {
			var b strings.Builder
			n := 0
			show := func(key []byte, v store.VersionedValue) bool {
				fmt.Fprintf(&b, "%q=%s ", key, versionText(v))
				n++
				return n < stop
			}
			if keeping {
				err := e.WalkKeeping(ctx, span, order, ts, func(key []byte, v store.VersionedValue) (more, keep bool) {
					return show(key, v), n%2 == 0
				})
				return b.String() + outcome(err)
			}
			return b.String() + outcome(e.WalkAt(ctx, span, order, ts, show))
		})
	}
}

package keyspace

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"github.com/elastickv/elastickv/hlc"
	"github.com/elastickv/elastickv/internal/txn"
	"github.com/elastickv/elastickv/store"
)

// modelStream is what a stream should be, kept in the plainest way.
type modelStream struct {
	entries    []modelEntry
	nodes      []modelNode
	last       StreamID
	maxDeleted StreamID
	added      int64
	groups     map[string]*modelGroup
	expireAt   int64 // Unix milliseconds; 0: never
}

type modelEntry struct {
	id     StreamID
	fields string
}

// modelNode is a run of entries, of which some may be gone.
type modelNode struct {
	took int // entries that it has had
	ids  []StreamID
}

type modelGroup struct {
	last      StreamID
	consumers map[string]modelConsumer
	pending   map[StreamID]modelPending
}

type modelConsumer struct{ seen, active int64 }

type modelPending struct {
	consumer  string
	at, count int64
}

func (m *modelStream) clone() *modelStream {
	c := *m
	c.entries, c.nodes = slices.Clone(m.entries), slices.Clone(m.nodes)
	for i := range c.nodes {
		c.nodes[i].ids = slices.Clone(c.nodes[i].ids)
	}
	c.groups = map[string]*modelGroup{}
	for name, g := range m.groups {
		c.groups[name] = &modelGroup{g.last, maps.Clone(g.consumers), maps.Clone(g.pending)}
	}
	return &c
}

func (m *modelStream) add(id StreamID, fields string, nodeMax int) {
	m.entries = append(m.entries, modelEntry{id, fields})
	if n := len(m.nodes); n == 0 || m.nodes[n-1].took >= nodeMax {
		m.nodes = append(m.nodes, modelNode{})
	}
	tail := &m.nodes[len(m.nodes)-1]
	tail.took++
	tail.ids = append(tail.ids, id)
	m.last = id
	m.added++
}

// remove takes an entry away and reports whether it was there.
func (m *modelStream) remove(id StreamID) bool {
	i := slices.IndexFunc(m.entries, func(e modelEntry) bool { return e.id == id })
	if i < 0 {
		return false
	}
	m.entries = slices.Delete(m.entries, i, i+1)
	for n := range m.nodes {
		m.nodes[n].ids = slices.DeleteFunc(m.nodes[n].ids, func(have StreamID) bool { return have == id })
	}
	m.nodes = slices.DeleteFunc(m.nodes, func(n modelNode) bool { return len(n.ids) == 0 })
	return true
}

// trim removes entries from the front, node by node and then one by one.
func (m *modelStream) trim(t StreamTrim) int64 {
	had := len(m.entries)
	tooOld := func(id StreamID) bool { return t.ByID && id.Compare(t.MinID) < 0 }
	for len(m.nodes) > 0 {
		first := m.nodes[0].ids
		gone := had - len(m.entries)
		whole := tooOld(first[len(first)-1]) || !t.ByID && len(m.entries)-len(first) >= int(t.MaxLen)
		if !whole || t.Limit > 0 && gone+len(first) > int(t.Limit) {
			break
		}
		for _, id := range slices.Clone(first) {
			m.remove(id)
		}
	}
	for !t.Approx && len(m.entries) > 0 && (tooOld(m.entries[0].id) || !t.ByID && len(m.entries) > int(t.MaxLen)) {
		m.remove(m.entries[0].id)
	}
	return int64(had - len(m.entries))
}

// between returns the IDs from one to another.
func (m *modelStream) between(r StreamRange) (ids []StreamID) {
	for _, e := range m.entries {
		if e.id.Compare(r.From) >= 0 && e.id.Compare(r.To) <= 0 {
			ids = append(ids, e.id)
		}
	}
	if r.Reverse {
		slices.Reverse(ids)
	}
	return ids
}

func (m *modelStream) has(id StreamID) bool { return len(m.between(StreamRange{From: id, To: id})) > 0 }

// of returns the IDs that are pending for a consumer, or for all if it is nil, from one ID on.
func (g *modelGroup) of(consumer *string, from StreamID) []StreamID {
	var ids []StreamID
	for id, p := range g.pending {
		if (consumer == nil || p.consumer == *consumer) && id.Compare(from) >= 0 {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, StreamID.Compare)
	return ids
}

// streamModel is the streams of a database.
type streamModel struct {
	streams map[string]*modelStream
	nodeMax int
}

func (m *streamModel) clone() map[string]*modelStream {
	c := map[string]*modelStream{}
	for k, s := range m.streams {
		c[k] = s.clone()
	}
	return c
}

func (m *streamModel) expire(now int64) {
	maps.DeleteFunc(m.streams, func(_ string, s *modelStream) bool { return s.expireAt != 0 && s.expireAt <= now })
}

var modelStreamKeys = []string{"", "a", "a\x00", "ab"}

// check compares every stream with the model.
func (m *streamModel) check(s *Space) error {
	for _, key := range modelStreamKeys {
		st, err := s.Stream([]byte(key))
		if err != nil {
			return err
		}
		want := m.streams[key]
		if st.Exists() != (want != nil) {
			return fmt.Errorf("stream %q: there is %v, want %v", key, st.Exists(), want != nil)
		}
		if want == nil {
			continue
		}
		if err := want.check(st); err != nil {
			return fmt.Errorf("stream %q: %w", key, err)
		}
	}
	return nil
}

func (m *modelStream) check(st *Stream) error {
	var first StreamID
	if len(m.entries) > 0 {
		first = m.entries[0].id
	}
	got := fmt.Sprint(st.Len(), st.FirstID(), st.LastID(), st.MaxDeletedID(), st.EntriesAdded(), st.Nodes())
	want := fmt.Sprint(len(m.entries), first, m.last, m.maxDeleted, m.added, len(m.nodes))
	if got != want {
		return fmt.Errorf("length, first, last, max deleted, added, nodes: got %s, want %s", got, want)
	}
	var have []modelEntry
	err := st.Walk(AllStreamIDs(), func(e StreamEntry) bool {
		have = append(have, modelEntry{e.ID, fmt.Sprintf("%q", e.Fields)})
		return true
	})
	if err == nil && !slices.Equal(have, m.entries) {
		err = fmt.Errorf("entries: got %v, want %v", have, m.entries)
	}
	if err != nil {
		return err
	}
	groups, err := st.Groups()
	if err != nil {
		return err
	}
	if len(groups) != len(m.groups) {
		return fmt.Errorf("%d groups, want %d", len(groups), len(m.groups))
	}
	for _, g := range groups {
		if err := m.groups[string(g.Name())].check(g); err != nil {
			return fmt.Errorf("group %q: %w", g.Name(), err)
		}
	}
	return nil
}

func (m *modelGroup) check(g *Group) error {
	if m == nil {
		return errors.New("it should not be there")
	}
	if g.LastID != m.last || g.Pending() != int64(len(m.pending)) || g.ConsumerCount() != int64(len(m.consumers)) {
		return fmt.Errorf("last %v, %d pending, %d consumers; want %+v", g.LastID, g.Pending(), g.ConsumerCount(), m)
	}
	have := map[StreamID]modelPending{}
	err := g.WalkPending(nil, AllStreamIDs(), func(p Pending) bool {
		have[p.ID] = modelPending{string(p.Consumer), p.At, p.Count}
		return true
	})
	if err == nil && !maps.Equal(have, m.pending) {
		err = fmt.Errorf("pending: got %v, want %v", have, m.pending)
	}
	if err != nil {
		return err
	}
	consumers, err := g.Consumers()
	seen := map[string]modelConsumer{}
	for i, c := range consumers {
		seen[string(c.Name)] = modelConsumer{c.Seen, c.Active}
		var ids []StreamID
		name := string(c.Name)
		err = errors.Join(err, g.WalkPending(&consumers[i], AllStreamIDs(), func(p Pending) bool {
			ids = append(ids, p.ID)
			return true
		}))
		if want := m.of(&name, StreamID{}); !slices.Equal(ids, want) || c.Pending != int64(len(want)) {
			err = errors.Join(err, fmt.Errorf("pending for %q: got %v (%d), want %v", name, ids, c.Pending, want))
		}
	}
	if err == nil && !maps.Equal(seen, m.consumers) {
		err = fmt.Errorf("consumers: got %v, want %v", seen, m.consumers)
	}
	return err
}

// streamBench is a database that can be closed and opened again.
type streamBench struct {
	memory Memory // of updates
	*world
	fs     vfs.FS // nil: in memory, and never opened again
	limits Limits
}

func newStreamBench(t rapid.TB, nodeMax int, fs vfs.FS) *streamBench {
	b := &streamBench{fs: fs, limits: DefaultLimits()}
	b.limits.StreamNodeMaxEntries = nodeMax
	b.world = &world{now: time.UnixMilli(1_700_000_000_000)}
	b.open(t)
	return b
}

func (b *streamBench) open(t rapid.TB) {
	b.engine = store.NewMVCCStore().(store.Engine)
	if b.fs != nil {
		s, err := store.NewPebbleStore("db", store.WithFS(b.fs))
		if err != nil {
			t.Fatal(err)
		}
		b.engine = s.(store.Engine)
	}
	b.db = txn.NewLocal(b.engine, hlc.New(func() time.Time { return b.now }), txn.Options{})
}

func (b *streamBench) reopen(t rapid.TB) {
	if b.fs != nil {
		b.close()
		b.open(t)
	}
}

func (b *streamBench) update(t rapid.TB, db int, fn func(s *Space) error) {
	t.Helper()
	err := b.db.Update(context.Background(), func(tx *txn.Tx) error { return fn(b.memory.Open(tx, db, Env{Limits: &b.limits})) })
	var p *txn.PanicError
	if errors.As(err, &p) {
		panic(p.Value) // rapid's own, when it runs out of data
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (b *streamBench) view(t rapid.TB, db int, fn func(s *Space) error) {
	t.Helper()
	err := b.db.View(context.Background(), func(tx *txn.Tx) error { return fn(Open(tx, db, Env{Limits: &b.limits})) })
	if err != nil {
		t.Fatal(err)
	}
}

// TestStreamModel runs random histories of transactions, some of them rolled back
// in part, against the model; the database is opened again between them.
func TestStreamModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var fs vfs.FS
		if rapid.IntRange(0, 3).Draw(t, "in a folder") == 0 {
			fs = vfs.NewMem()
		}
		m := &streamModel{streams: map[string]*modelStream{}, nodeMax: rapid.SampledFrom([]int{1, 2, 3, 7, 100}).Draw(t, "node")}
		b := newStreamBench(t, m.nodeMax, fs)
		defer func() { b.close() }()
		db := rapid.SampledFrom([]int{0, 15}).Draw(t, "database")
		for range rapid.IntRange(1, 10).Draw(t, "transactions") {
			b.update(t, db, func(s *Space) error { return m.transaction(t, s) })
			b.now = b.now.Add(time.Duration(rapid.IntRange(0, 20).Draw(t, "pause")) * time.Millisecond)
			if rapid.Bool().Draw(t, "reopen") {
				b.reopen(t)
			}
			b.update(t, db, func(s *Space) error {
				m.expire(s.Now())
				_, err := s.RemoveExpired(100)
				return err
			})
			b.view(t, db, m.check)
			b.audit(t)
		}
	})
}

// transaction draws some operations; a part of them may be rolled back.
func (m *streamModel) transaction(t *rapid.T, s *Space) error {
	m.expire(s.Now())
	for range rapid.IntRange(1, 4).Draw(t, "parts") {
		fails := rapid.IntRange(0, 3).Draw(t, "fails") == 0
		before := m.clone()
		err := s.Atomically(func() error {
			for range rapid.IntRange(1, 8).Draw(t, "operations") {
				if err := m.step(t, s); err != nil {
					return err
				}
			}
			if fails {
				return errRollback
			}
			return nil
		})
		if err == errRollback {
			m.streams = before
		} else if err != nil {
			return err
		}
		if err := m.check(s); err != nil {
			return err
		}
	}
	return nil
}

package keyspace

import (
	"fmt"
	"math"
	"slices"

	"pgregory.net/rapid"
)

// steps are the operations of TestStreamModel, those that grow a stream more than once.
var streamSteps = map[string]func(*streamModel, *rapid.T, *Stream, string) error{
	"add": (*streamModel).stepAdd, "add many": (*streamModel).stepAddMany, "trim": (*streamModel).stepTrim,
	"delete": (*streamModel).stepDelete, "set ID": (*streamModel).stepSetID, "range": (*streamModel).stepRange,
	"create group": (*streamModel).stepCreateGroup, "group": (*streamModel).stepGroup, "group again": (*streamModel).stepGroup,
	"group once more": (*streamModel).stepGroup, "group and again": (*streamModel).stepGroup,
}

// step draws one operation and does it to the space and to the model.
func (m *streamModel) step(t *rapid.T, s *Space) error {
	key := rapid.SampledFrom(modelStreamKeys).Draw(t, "key")
	if rapid.IntRange(0, 9).Draw(t, "whole key") == 0 {
		return m.stepKey(t, s, key)
	}
	names := make([]string, 0, len(streamSteps))
	for name := range streamSteps {
		names = append(names, name)
	}
	slices.Sort(names)
	st, err := s.Stream([]byte(key))
	if err != nil {
		return err
	}
	return streamSteps[rapid.SampledFrom(names).Draw(t, "operation")](m, t, st, key)
}

// stepKey does something to a key as a whole.
func (m *streamModel) stepKey(t *rapid.T, s *Space, key string) error {
	was := m.streams[key]
	switch rapid.SampledFrom([]string{"delete", "rename", "copy", "expire"}).Draw(t, "to the key") {
	case "delete":
		delete(m.streams, key)
		got, err := s.Remove([]byte(key))
		return expect(err, "deleted", got, was != nil)
	case "expire":
		at := s.Now() + rapid.Int64Range(0, 50).Draw(t, "after")
		if was != nil {
			was.expireAt = at
			m.expire(s.Now())
		}
		_, err := s.SetExpiry([]byte(key), at)
		return err
	case "copy":
		to := rapid.SampledFrom(modelStreamKeys).Draw(t, "to")
		if was == nil || to == key {
			return nil
		}
		m.streams[to] = was.clone()
		return s.Copy([]byte(key), s, []byte(to))
	default:
		to := rapid.SampledFrom(modelStreamKeys).Draw(t, "to")
		if was == nil || to == key {
			return nil
		}
		delete(m.streams, key)
		m.streams[to] = was
		return s.Rename([]byte(key), []byte(to))
	}
}

// make returns the model of a stream, made if it is not there.
func (m *streamModel) make(key string) *modelStream {
	if m.streams[key] == nil {
		m.streams[key] = &modelStream{groups: map[string]*modelGroup{}}
	}
	return m.streams[key]
}

func (m *streamModel) stepAdd(t *rapid.T, st *Stream, key string) error {
	id, _ := st.LastID().Next()
	if rapid.Bool().Draw(t, "later") {
		id = StreamID{Ms: id.Ms + 1, Seq: rapid.Uint64Range(0, 2).Draw(t, "number")}
	}
	if rapid.IntRange(0, 9).Draw(t, "too low") == 0 {
		return expect(nil, "adding the last ID again", st.Add(st.LastID(), [][]byte{nil, nil}), ErrStreamID)
	}
	size := rapid.SampledFrom([]int{0, 1, 127, 128, 300}).Draw(t, "size")
	fields := [][]byte{[]byte("f"), make([]byte, size)}
	if rapid.Bool().Draw(t, "more fields") {
		fields = append(fields, nil, []byte("\xff"))
	}
	m.make(key).add(id, fmt.Sprintf("%q", fields), m.nodeMax)
	return st.Add(id, fields)
}

func (m *streamModel) stepAddMany(t *rapid.T, st *Stream, key string) error {
	fields := [][]byte{[]byte("n"), []byte("v")}
	for range rapid.SampledFrom([]int{3, 20, 150}).Draw(t, "count") {
		id, _ := st.LastID().Next()
		m.make(key).add(id, fmt.Sprintf("%q", fields), m.nodeMax)
		if err := st.Add(id, fields); err != nil {
			return err
		}
	}
	return nil
}

// drawID draws an ID that a stream may have.
func (m *streamModel) drawID(t *rapid.T, key string) StreamID {
	if s := m.streams[key]; s != nil && len(s.entries) > 0 && rapid.IntRange(0, 4).Draw(t, "of an entry") > 0 {
		i := rapid.SampledFrom([]int{0, 1, len(s.entries) / 2, len(s.entries) - 1}).Draw(t, "entry")
		return s.entries[min(i, len(s.entries)-1)].id
	}
	return StreamID{rapid.Uint64Range(0, 5).Draw(t, "ms"), rapid.Uint64Range(0, 30).Draw(t, "number")}
}

func (m *streamModel) stepTrim(t *rapid.T, st *Stream, key string) error {
	trim := StreamTrim{ByID: rapid.Bool().Draw(t, "by ID"), Approx: rapid.Bool().Draw(t, "approximately")}
	if trim.ByID {
		trim.MinID = m.drawID(t, key)
	} else {
		trim.MaxLen = max(0, st.Len()-rapid.Int64Range(-1, 60).Draw(t, "too many"))
	}
	if trim.Approx && rapid.Bool().Draw(t, "limited") {
		trim.Limit = rapid.Int64Range(1, 30).Draw(t, "limit")
	}
	var want int64
	if s := m.streams[key]; s != nil {
		want = s.trim(trim)
	}
	got, err := st.Trim(trim)
	return expect(err, "trimmed", got, want)
}

func (m *streamModel) stepDelete(t *rapid.T, st *Stream, key string) error {
	for range rapid.IntRange(1, 6).Draw(t, "how many") {
		id, want := m.drawID(t, key), false
		if s := m.streams[key]; s != nil {
			if want = s.remove(id); want && id.Compare(s.maxDeleted) > 0 {
				s.maxDeleted = id
			}
		}
		got, err := st.Delete(id)
		if err := expect(err, "deleted", got, want); err != nil {
			return err
		}
	}
	return nil
}

func (m *streamModel) stepSetID(t *rapid.T, st *Stream, key string) error {
	s := m.streams[key]
	if s == nil {
		return nil
	}
	var top StreamID
	if len(s.entries) > 0 {
		top = s.entries[len(s.entries)-1].id
	}
	highest, err := st.Highest()
	if err := expect(err, "highest", highest, top); err != nil {
		return err
	}
	s.last = StreamID{top.Ms + rapid.Uint64Range(0, 2).Draw(t, "ms"), top.Seq}
	added := rapid.OneOf(rapid.Int64Range(-1, 1000), rapid.Just(int64(math.MaxInt64))).Draw(t, "added")
	if added >= 0 {
		s.added = added
	}
	deleted := StreamID{Seq: rapid.Uint64Range(0, 2).Draw(t, "deleted")}
	if !deleted.IsZero() {
		s.maxDeleted = deleted
	}
	return st.SetID(s.last, added, deleted)
}

func (m *streamModel) stepRange(t *rapid.T, st *Stream, key string) error {
	r := StreamRange{From: m.drawID(t, key), To: m.drawID(t, key), Reverse: rapid.Bool().Draw(t, "reverse")}
	var got, want []StreamID
	if s := m.streams[key]; s != nil {
		want = s.between(r)
	}
	err := st.Walk(r, func(e StreamEntry) bool {
		got = append(got, e.ID)
		return true
	})
	if err := expect(err, "range", fmt.Sprint(got), fmt.Sprint(want)); err != nil {
		return err
	}
	e, ok, err := st.Entry(r.From)
	want = nil
	if s := m.streams[key]; s != nil {
		want = s.between(StreamRange{From: r.From, To: r.From})
	}
	return expect(err, "entry", ok && e.ID == r.From, len(want) > 0)
}

func (m *streamModel) stepCreateGroup(t *rapid.T, st *Stream, key string) error {
	if err := st.Create(); err != nil {
		return err
	}
	name, last := drawName(t, "group"), m.drawID(t, key)
	s := m.make(key)
	_, there := s.groups[name]
	if !there {
		s.groups[name] = &modelGroup{last, map[string]modelConsumer{}, map[StreamID]modelPending{}}
	}
	read := rapid.SampledFrom([]int64{EntriesReadUnknown, 0, 5, math.MaxInt64}).Draw(t, "entries read")
	got, err := st.CreateGroup([]byte(name), last, read)
	return expect(err, "created", got, !there)
}

// drawName draws the name of a group or consumer. One may look like the rest of another's row.
func drawName(t *rapid.T, what string) string {
	return rapid.SampledFrom([]string{"", "g", "gc", "g\x00"}).Draw(t, what)
}

// groupRun is an operation on a group that is there.
type groupRun struct {
	*rapid.T
	all  *streamModel
	s    *modelStream
	m    *modelGroup
	g    *Group
	key  string
	name string // of the consumer
	now  int64
}

func (m *streamModel) stepGroup(t *rapid.T, st *Stream, key string) error {
	name := drawName(t, "group")
	g, err := st.Group([]byte(name))
	var want *modelGroup
	if s := m.streams[key]; s != nil {
		want = s.groups[name]
	}
	if err := expect(err, "group", g != nil, want != nil); err != nil || g == nil {
		return err
	}
	r := groupRun{t, m, m.streams[key], want, g, key, drawName(t, "consumer"), st.s.Now()}
	switch rapid.SampledFrom([]string{"read", "read", "read on", "again", "ack", "claim", "auto", "consumer", "delete", "destroy", "set ID"}).Draw(t, "with the group") {
	case "read":
		return r.read()
	case "read on":
		return r.pass()
	case "again":
		return r.again()
	case "ack":
		return r.ack()
	case "claim":
		return r.claim()
	case "auto":
		return r.auto()
	case "consumer":
		return r.createConsumer()
	case "delete":
		return r.deleteConsumer()
	case "set ID":
		r.m.last = m.drawID(t, key)
		g.LastID = r.m.last
		return g.Save()
	default:
		delete(r.s.groups, name)
		return g.Destroy()
	}
}

// meet makes a consumer unless it is there, and sees it.
func (m *modelGroup) meet(name string, now int64) {
	c, there := m.consumers[name]
	if !there {
		c.active = NeverActive
	}
	c.seen = now
	m.consumers[name] = c
}

// fresh draws entries that the group has not read.
func (r *groupRun) fresh() []StreamID {
	from, _ := r.m.last.Next()
	ids := r.s.between(StreamRange{From: from, To: MaxStreamID})
	return ids[:min(len(ids), rapid.IntRange(1, 10).Draw(r.T, "count"))]
}

func (r *groupRun) read() error {
	ids := r.fresh()
	c, err := r.g.Meet([]byte(r.name))
	if err != nil {
		return err
	}
	r.m.meet(r.name, r.now)
	for _, id := range ids {
		r.m.consumers[r.name] = modelConsumer{r.now, r.now}
		r.m.pending[id] = modelPending{r.name, r.now, 1}
		r.m.last = id
	}
	return r.g.Deliver(ids, c)
}

func (r *groupRun) pass() error {
	ids := r.fresh()
	if len(ids) > 0 {
		r.m.last = ids[len(ids)-1]
	}
	return r.g.Pass(ids)
}

func (r *groupRun) again() error {
	from, limit := r.all.drawID(r.T, r.key), rapid.Int64Range(-1, 5).Draw(r.T, "limit")
	c, err := r.g.Meet([]byte(r.name))
	if err != nil {
		return err
	}
	r.m.meet(r.name, r.now)
	ids := r.m.of(&r.name, from)
	if limit >= 0 {
		ids = ids[:min(len(ids), int(limit))]
	}
	var got, want []string
	for _, id := range ids {
		there := r.s.has(id)
		want = append(want, fmt.Sprint(id, there))
		if there {
			p := r.m.pending[id]
			r.m.pending[id] = modelPending{r.name, r.now, p.count + 1}
		}
	}
	err = r.g.Redeliver(c, from, limit, func(e StreamEntry) { got = append(got, fmt.Sprint(e.ID, e.Fields != nil)) })
	return expect(err, "delivered again", fmt.Sprint(got), fmt.Sprint(want))
}

func (r *groupRun) ids() []StreamID {
	var ids []StreamID
	for range rapid.IntRange(0, 6).Draw(r.T, "IDs") {
		ids = append(ids, r.all.drawID(r.T, r.key))
	}
	return append(ids, r.m.of(nil, StreamID{})[:min(3, len(r.m.pending))]...)
}

func (r *groupRun) ack() error {
	ids, want := r.ids(), int64(0)
	for _, id := range ids {
		if _, ok := r.m.pending[id]; ok {
			delete(r.m.pending, id)
			want++
		}
	}
	got, err := r.g.Ack(ids)
	return expect(err, "acknowledged", got, want)
}

func (r *groupRun) drawClaim() Claim {
	return Claim{
		Consumer: []byte(r.name), MinIdle: rapid.SampledFrom([]int64{0, 1, 10}).Draw(r.T, "idle"),
		At: r.now - rapid.Int64Range(0, 20).Draw(r.T, "at"), Count: rapid.Int64Range(-1, 3).Draw(r.T, "deliveries"),
		Again: rapid.Bool().Draw(r.T, "again"), Force: rapid.Bool().Draw(r.T, "force"),
	}
}

// claimOne does to the model what claiming an entry does, and says what came of it.
func (r *groupRun) claimOne(c Claim, id StreamID) claimed {
	p, pending := r.m.pending[id]
	switch {
	case !r.s.has(id) && pending:
		delete(r.m.pending, id)
		return claimedGone
	case !r.s.has(id), !pending && !c.Force, pending && r.now-p.at < c.MinIdle:
		return claimedNot
	case !pending:
		p.count = 1
	}
	if c.Count >= 0 {
		p.count = c.Count
	} else if c.Again {
		p.count++
	}
	r.m.consumers[r.name] = modelConsumer{r.now, r.now}
	r.m.pending[id] = modelPending{r.name, c.At, p.count}
	return claimedNow
}

func (r *groupRun) claim() error {
	c, ids := r.drawClaim(), r.ids()
	r.m.meet(r.name, r.now)
	var got, want []StreamID
	for _, id := range ids {
		if r.claimOne(c, id) == claimedNow {
			want = append(want, id)
		}
	}
	err := r.g.Claim(c, ids, func(e StreamEntry) error {
		got = append(got, e.ID)
		return nil
	})
	return expect(err, "claimed", fmt.Sprint(got), fmt.Sprint(want))
}

func (r *groupRun) auto() error {
	c := r.drawClaim()
	c.Force = false
	r.m.meet(r.name, r.now)
	sw := Sweep{r.all.drawID(r.T, r.key), rapid.Int64Range(1, 8).Draw(r.T, "count"), rapid.Int64Range(1, 12).Draw(r.T, "looks")}
	if rapid.Bool().Draw(r.T, "all") {
		sw.Count, sw.Looks = math.MaxInt64, math.MaxInt64
	}
	var got, want, gone []StreamID
	var next StreamID
	count, looks := sw.Count, sw.Looks
	for _, id := range r.m.of(nil, sw.From) {
		if count == 0 || looks == 0 {
			next = id
			break
		}
		looks--
		switch r.claimOne(c, id) {
		case claimedNow:
			want = append(want, id)
			count--
		case claimedGone:
			gone = append(gone, id)
			count--
		}
	}
	gotNext, gotGone, err := r.g.AutoClaim(c, sw, func(e StreamEntry) { got = append(got, e.ID) })
	return expect(err, "claimed, gone, next", fmt.Sprint(got, gotGone, gotNext), fmt.Sprint(want, gone, next))
}

func (r *groupRun) createConsumer() error {
	_, there := r.m.consumers[r.name]
	if !there {
		r.m.meet(r.name, r.now)
	}
	_, created, err := r.g.CreateConsumer([]byte(r.name))
	if err := expect(err, "created", created, !there); err != nil {
		return err
	}
	return r.g.Save()
}

func (r *groupRun) deleteConsumer() error {
	_, there := r.m.consumers[r.name]
	ids := r.m.of(&r.name, StreamID{})
	for _, id := range ids {
		delete(r.m.pending, id)
	}
	delete(r.m.consumers, r.name)
	n, ok, err := r.g.DeleteConsumer([]byte(r.name))
	if err := expect(err, "consumer deleted", ok, there); err != nil {
		return err
	}
	return expect(nil, "pending for it", n, int64(len(ids)))
}

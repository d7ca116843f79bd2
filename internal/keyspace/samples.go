package keyspace

import (
	"bytes"
	"container/list"
	"sync"
	"sync/atomic"
)

// Samples remembers random names of the rows of collections from which single
// rows are picked often, so that the next pick costs a look-up. It is shared by
// all transactions and safe for concurrent use. A nil Samples keeps nothing.
//
// A sample is a hint. Whoever picks a name looks whether the row is there in its
// own transaction, so a row that is gone, or not there yet, is never answered. What
// a sample cannot know is which rows have come back because a transaction took back
// its removals, nor, unless it is told, which have been added since it was taken:
// those are not picked until the next sample. A sample is replaced when more than one
// row in sixteen is such a row, as far as the length tells, when one name in sixteen was found to be
// gone, or when it has answered as often as seven in eight of its names would.
// The rest of its names serve while the next one is taken, which happens in steps,
// one a pick, so that no transaction walks for long.
//
// Of a collection that is not large all names are in the sample, so that to pop every member costs little more than one walk. Of a set
// it is told what is added, and goes on having all names until a member is removed that was not picked: so a set that jobs are put
// into and popped from is walked once.
//
// Picks from a sample are as independent as picks from the collection: a name
// that was picked before comes again as often as chance has it, which is why
// names stay in the sample until their row is gone.
type Samples struct {
	max   int          // bytes
	most  int64        // names of one sample
	known atomic.Int64 // collections of which something is remembered; most of the time there is none

	mu struct {
		sync.Mutex
		byPrefix map[string]*list.Element // of *sample
		byUse    list.List                // of *sample, the one used last in front
		bytes    int                      // size of all, at most max
	}
}

const (
	sampleMost      = 1 << 18 // names of a sample
	sampleShare     = 3       // part of all bytes that one sample may take: there may be another that is to replace it
	sampleMissing   = 16      // one row in so many may be missing from a sample, or be gone
	sampleRent      = 1 << 14 // rows walked in the time of few picks without a sample
	sampleRows      = 1 << 23 // of more rows no sample is taken: the walk costs more than it saves
	sampleStepMost  = 1 << 12 // rows walked in one go while no names are left: a pick without any takes as long as hundreds of rows
	sampleStepLeast = 1 << 8  // rows walked in one go while there are; those between them that are gone, which may be ten times as many, are walked, too
	sampleSteps     = 1 << 13 // steps of a sample at most, about: for as many picks there are names left
	sampleStepReads = 4       // times as many rows in one go on a snapshot, where no writers wait
	sampleStepBytes = 1 << 20 // names and values walked in one go
	sampleKept      = 128     // bytes of a value with which a row stays at hand: large ones would push out what is in use
	sampleAge       = 1000    // milliseconds by which a transaction may precede a sample that it uses
	sampleDead      = 1 << 16 // bytes of names that are gone, which are not worth a copy of the others
	sampleOverhead  = 256     // bytes of a sample besides its names
)

// NewSamples returns an empty Samples that takes up to the given number of bytes.
func NewSamples(bytes int) *Samples {
	s := &Samples{max: bytes, most: sampleMost}
	s.mu.byPrefix = make(map[string]*list.Element)
	return s
}

// sample is what is remembered of the rows with one prefix. Without names it
// counts the picks, to find out whether a sample is worth its walk.
type sample struct {
	prefix string
	at     int64 // moment of the last transaction that went into it or into next, Unix milliseconds

	names  nameList // the first ones, as many as seen says, have been picked before
	seen   int
	first  int   // names there were
	rows   int64 // rows they stand for: those passed, less those known to be gone
	dead   int64 // names without a row, of those whose row was removed while the sample was taken
	excess int64 // how many more rows were counted than passed
	gone   int   // names whose row was found to be gone
	picks  int64 // since it was taken
	closed bool  // it has missed a row, so others that are added are not taken in
	size   int   // bytes of the names, as counted
	bytes  int   // of all, as counted

	next   *sampleBuilder // its replacement, as far as it has come; nil if none is begun
	taking bool           // somebody is at the replacement, and has it
	missed bool           // rows have been added meanwhile
}

// ticket is a request for a name.
type ticket struct {
	prefix []byte
	n      int64  // rows there are
	now    int64  // moment of the transaction, Unix milliseconds
	bits   uint64 // random
	remove bool   // the row is going to be removed
	walked bool   // the transaction has already done its step for a new sample
}

// outcome says how a pick goes on.
type outcome int

const (
	pickByName    outcome = iota // with the name that was drawn
	pickBySearch                 // without a sample
	pickAfterStep                // after a step of a new sample, to be handed to put
)

// drawn is a name that was drawn, and its place in the sample.
type drawn struct {
	name []byte // not to be modified
	at   int
	out  bool           // it is in the sample no more
	next *sampleBuilder // for pickAfterStep: the sample to go on with; nil to begin one
	rows int64          // for pickAfterStep: how many to walk
}

// draw picks a name.
func (s *Samples) draw(t ticket) (drawn, outcome) {
	if s == nil {
		return drawn{}, pickBySearch
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok := s.mu.byPrefix[string(t.prefix)]
	if !ok {
		s.insertLocked(&sample{prefix: string(t.prefix), at: t.now, picks: 1})
		return drawn{}, pickBySearch
	}
	s.mu.byUse.MoveToFront(at)
	m := at.Value.(*sample)
	if t.now < m.at-sampleAge {
		return drawn{}, pickBySearch
	}
	m.picks++
	if m.stale(t.n) {
		if !m.taking && !t.walked && t.n <= sampleRows && m.picks > t.n/sampleRent {
			d := drawn{next: m.next, rows: m.step(t.n)}
			m.taking, m.next = true, nil
			return d, pickAfterStep
		}
		if m.seen == m.names.len() {
			return drawn{}, pickBySearch
		}
	}
	d := m.draw(t.n, t.bits)
	if d.out = t.remove; d.out {
		m.drop(d.at)
	}
	return d, pickByName
}

// ofLocked returns what is remembered of a collection, or nil.
func (s *Samples) ofLocked(prefix []byte) *sample {
	if at, ok := s.mu.byPrefix[string(prefix)]; ok {
		return at.Value.(*sample)
	}
	return nil
}

// lost takes note that the row of a name that was drawn is not there.
func (s *Samples) lost(prefix []byte, d drawn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.ofLocked(prefix)
	if m == nil {
		return
	}
	m.gone++
	switch {
	case !d.out: // by a reader, to whose moment the row may only not have come yet
		if d.at < m.seen && bytes.Equal(m.names.name(d.at), d.name) { // others may have moved it
			m.drop(d.at)
		}
	case m.dead > 0: // it was none of the rows
		m.dead--
		m.rows++
	}
}

// removed takes note that a pick removes a row.
func (s *Samples) removed(prefix, name []byte) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.ofLocked(prefix); m != nil && m.next.passes(name) {
		m.next.dead++
	}
}

// put hands back a sample after a step: one that is whole takes the place of the
// one before, another is kept to go on with. nil gives it up.
func (s *Samples) put(prefix []byte, b *sampleBuilder) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok := s.mu.byPrefix[string(prefix)]
	if ok && (b == nil || !b.whole) {
		m := at.Value.(*sample)
		m.next, m.taking = b, false
		if b != nil {
			m.at = max(m.at, b.at)
		}
		s.removeLocked(at)
		s.insertLocked(m)
		return
	}
	if b == nil || !b.whole {
		return // what it belonged to has had to make room
	}
	m := b.sample(string(prefix))
	if ok {
		m.closed = at.Value.(*sample).missed
		s.removeLocked(at)
	}
	s.insertLocked(m)
}

// added tells that a transaction of the given moment adds a row to the n that there are.
func (s *Samples) added(prefix, name []byte, n, now int64) {
	if s == nil || s.known.Load() == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.ofLocked(prefix)
	if m == nil {
		return
	}
	m.at = max(m.at, now)
	m.missed = m.missed || m.taking
	if m.next.passes(name) {
		m.next.added(name)
	}
	m.add(name, n, s.most, s.max/sampleShare)
	more := m.names.size() - m.size
	m.size += more
	m.bytes += more
	s.mu.bytes += more
	s.makeRoomLocked()
}

func (s *Samples) insertLocked(m *sample) {
	m.bytes = sampleOverhead + len(m.prefix) + m.size
	if m.next != nil {
		m.bytes += m.next.names.size()
	}
	s.mu.byPrefix[m.prefix] = s.mu.byUse.PushFront(m)
	s.mu.bytes += m.bytes
	s.known.Add(1)
	s.makeRoomLocked()
}

func (s *Samples) makeRoomLocked() {
	for s.mu.bytes > s.max {
		s.removeLocked(s.mu.byUse.Back())
	}
}

func (s *Samples) removeLocked(at *list.Element) {
	m := s.mu.byUse.Remove(at).(*sample)
	delete(s.mu.byPrefix, m.prefix)
	s.mu.bytes -= m.bytes
	s.known.Add(-1)
}

// add takes in the name of a row that is added to the n that there are, if all of those are in the sample and there is room: for so many names,
// and so many bytes of them.
func (m *sample) add(name []byte, n, most int64, room int) {
	if m.first == 0 || m.closed {
		return
	}
	// From what was removed in another way than by a pick, and is added again, there would be two names.
	if m.closed = m.excess != 0 || !m.exact(n); m.closed {
		return
	}
	if dead := m.names.dead; dead > max(len(m.names.data)/2, sampleDead) || m.names.size() > room && dead > room/4 {
		m.names = m.names.compact()
	}
	if m.closed = int64(m.names.len()) >= most || m.names.size() > room; m.closed {
		return
	}
	m.names.add(name)
	m.rows++
}

// exact says that every row is in the sample, as far as the length tells.
func (m *sample) exact(n int64) bool {
	return int64(m.names.len()) == m.rows+m.dead && m.rows == n-m.excess
}

// stale says that the sample ought to be replaced.
func (m *sample) stale(n int64) bool {
	switch {
	case m.names.len() == 0:
		return true
	case m.exact(n):
		return false
	}
	return m.seen == m.names.len() ||
		n-m.excess-m.rows > n/sampleMissing ||
		m.gone > m.first/sampleMissing ||
		m.picks > int64(m.first)*7/8
}

// step is how many of n rows are walked in one go for the replacement.
func (m *sample) step(n int64) int64 {
	if m.seen == m.names.len() {
		return sampleStepMost
	}
	return min(max(n/sampleSteps, sampleStepLeast), sampleStepMost)
}

// draw picks one of the names, of which there is one: with the probability with
// which one of n rows is among those seen it is one of them, else one of the others, if there is one.
func (m *sample) draw(n int64, bits uint64) drawn {
	i := int(bits % uint64(max(n-m.excess, m.rows, 1)))
	if i >= m.seen {
		i = m.seen
		m.names.swap(i, i+int(bits>>32*uint64(m.names.len()-i)>>32))
		m.seen++
	}
	return drawn{name: m.names.name(i), at: i}
}

// drop removes a name that has been seen.
func (m *sample) drop(i int) {
	m.seen--
	m.names.swap(i, m.seen)
	last := m.names.len() - 1
	m.names.swap(m.seen, last)
	m.names.cut(last)
	m.rows--
}

// sampleBuilder takes a sample of rows as they pass by, in steps that may belong
// to different transactions: what changes behind it is as if it had changed later.
type sampleBuilder struct {
	rnd    Random // of the transaction of the step
	n      int64  // rows there were at first, about
	want   int64  // names of all n rows
	limit  int    // bytes
	passed int64
	dead   int64 // rows of those passed that picks have removed since
	names  nameList

	at    int64  // moment of the last step, Unix milliseconds
	rows  int64  // rows there were then
	start []byte // name at which the next step begins; nil for the first
	whole bool   // there is no next step
}

// builder begins a sample of n rows.
func (s *Samples) builder(n int64) *sampleBuilder {
	return &sampleBuilder{n: n, want: s.most, limit: min(s.max/sampleShare, nameListMost)}
}

// passes reports whether the steps have passed the place of a name already.
func (b *sampleBuilder) passes(name []byte) bool { return b != nil && bytes.Compare(name, b.start) < 0 }

// add takes the next row into the sample with the probability that makes all
// subsets of the wanted size equally likely, and reports whether it has.
func (b *sampleBuilder) add(name []byte) bool {
	left := max(b.n-b.passed, 1)
	b.passed++
	if b.rnd.below(left) >= b.want-int64(b.names.len()) {
		return false
	}
	b.names.add(name)
	for b.names.size() > b.limit {
		b.halve()
	}
	return true
}

// added takes in a row that is added where the steps have passed, if all rows up to there are in the sample. Else it shows in the length.
func (b *sampleBuilder) added(name []byte) {
	if n := int64(b.names.len()); n == b.passed && n < b.want && b.names.size() < b.limit {
		b.names.add(name)
		b.passed++
	}
}

// halve keeps a random half of the sample, and lets the rest have half as many names.
func (b *sampleBuilder) halve() {
	for i := b.names.len() - 1; i > 0; i-- {
		b.names.swap(i, int(b.rnd.below(int64(i)+1)))
	}
	b.names.cut((b.names.len() + int(b.rnd.below(2))) / 2)
	b.names = b.names.compact()
	b.want = min(b.want, b.n) / 2
}

// sample returns what has been taken; the builder is not to be used any more.
func (b *sampleBuilder) sample(prefix string) *sample {
	b.names.clip()
	m := &sample{prefix: prefix, at: b.at, names: b.names, first: b.names.len(), rows: min(b.passed-b.dead, b.rows), size: b.names.size()}
	m.excess = b.rows - m.rows
	if int64(m.first) == b.passed {
		m.dead = b.passed - m.rows
	}
	return m
}

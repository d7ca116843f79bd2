package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/elastickv/elastickv/store"
)

// Configuration is one kind of store in a metamorphic run, and what may happen to
// such a store at any time without changing an answer.
type Configuration struct {
	Name string
	// Open returns an empty store.
	Open func() (store.Engine, error)
	// Reopen closes a store that Open or Reopen returned and opens what it has
	// kept. nil if it keeps nothing.
	Reopen func(e store.Engine) (store.Engine, error)
	// Stir changes, by name, where and how a store keeps what it holds.
	Stir map[string]func(e store.Engine) error
}

// RunMetamorphic drives one random history of calls against a store of every
// configuration, side by side, and compares all answers. Between any two calls a
// store may be stirred, opened again, or replaced by a store of any configuration that
// is restored from its snapshot. A failure prints the shortest history that was
// found and the flag that repeats it.
//
// There is no model: one of the configurations should be a store that is right.
func RunMetamorphic(t *testing.T, configurations []Configuration) {
	rapid.Check(t, func(rt *rapid.T) {
		m := &metamorphic{configurations: configurations}
		m.draw = draw{T: rt, space: manyKeys, last: func() uint64 { return m.subjects[0].e.LastCommitTS() }}
		defer m.close()
		m.open()
		rt.Repeat(map[string]func(*rapid.T){
			"":             m.between,
			"writes":       m.writes,
			"apply":        m.apply,
			"applyMany":    m.applyMany,
			"stage":        m.stage,
			"manyVersions": m.manyVersions,
			"deletePrefix": m.deletePrefix,
			"compact":      m.compact,
			"raiseFloor":   m.raiseFloor,
			"hold":         m.hold,
			"restore":      m.restore,
			"read":         m.read,
			"scan":         m.scan,
			"walk":         m.walk,
			"walkBehind":   m.walkBehind,
			"count":        m.count,
		})
		m.everything()
	})
}

// metamorphic is one random run.
type metamorphic struct {
	draw
	configurations []Configuration
	subjects       []*subject
	image          []byte // an old snapshot; nil if none was taken
	holding        bool   // every subject has a snapshot that is not written yet
}

// subject is one of the stores that are compared.
type subject struct {
	Configuration
	e    store.Engine
	held store.Snapshot
}

// GoString implements fmt.GoStringer.
func (s *subject) GoString() string { return s.Name }

func (m *metamorphic) open() {
	for _, c := range m.configurations {
		e, err := c.Open()
		m.need(c.Name, "open", err)
		m.subjects = append(m.subjects, &subject{Configuration: c, e: e})
	}
}

func (m *metamorphic) close() {
	for _, s := range m.subjects {
		_ = s.e.Close()
	}
}

func (m *metamorphic) need(name, what string, err error) {
	if err != nil {
		m.Fatalf("%s: %s: %v", name, what, err)
	}
}

// ask makes one call on every store and compares what comes of it.
func (m *metamorphic) ask(call string, answer func(e store.Engine) string) {
	first := m.subjects[0]
	want := answer(first.e)
	for _, s := range m.subjects[1:] {
		if got := answer(s.e); got != want {
			m.Fatalf("%s\n%s answers %s\n%s answers %s", call, s.Name, got, first.Name, want)
		}
	}
}

// do is ask for a call that returns nothing but an error.
func (m *metamorphic) do(call string, f func(e store.Engine) error) {
	m.ask(call, func(e store.Engine) string { return outcome(f(e)) })
}

// outcome names the sentinel that an error is; the words around it are the
// implementation's own.
func outcome(err error) string {
	if err == nil {
		return "done"
	}
	return errorName(err)
}

// between compares what can be seen without a key, and then lets something
// happen to one of the stores.
func (m *metamorphic) between(*rapid.T) {
	m.ask("last commit, floor, index", func(e store.Engine) string {
		return fmt.Sprint(e.LastCommitTS(), e.MinRetainedTS(), e.LastAppliedIndex())
	})
	if rapid.IntRange(0, 2).Draw(m.T, "calm") < 2 {
		return
	}
	s := rapid.SampledFrom(m.subjects).Draw(m.T, "subject")
	events := slices.Sorted(maps.Keys(s.Stir))
	events = append(events, "move")
	if s.Reopen != nil {
		events = append(events, "reopen")
	}
	event := rapid.SampledFrom(events).Draw(m.T, "event")
	switch event {
	case "move":
		m.release()
		m.move(s)
	case "reopen":
		m.release()
		e, err := s.Reopen(s.e)
		m.need(s.Name, event, err)
		s.e = e
	default:
		m.need(s.Name, event, s.Stir[event](s.e))
	}
}

// move replaces s by a store of any configuration, restored from its snapshot.
func (m *metamorphic) move(s *subject) {
	c := m.configurations[rapid.IntRange(0, len(m.configurations)-1).Draw(m.T, "configuration")]
	b, err := takeSnapshot(s.e)
	m.need(s.Name, "snapshot", err)
	e, err := c.Open()
	m.need(c.Name, "open", err)
	m.need(c.Name, "restore", e.Restore(bytes.NewReader(b)))
	m.need(s.Name, "close", s.e.Close())
	s.Configuration, s.e = c, e
}

// hold takes a snapshot of every store; what is written of it later must still be
// the image of this moment.
func (m *metamorphic) hold(*rapid.T) {
	m.release()
	for _, s := range m.subjects {
		held, err := s.e.Snapshot()
		m.need(s.Name, "snapshot", err)
		s.held = held
	}
	m.holding = true
}

// release writes the snapshots that are held, compares what they hold, and keeps one.
func (m *metamorphic) release() {
	if !m.holding {
		return
	}
	m.holding = false
	kept := rapid.IntRange(0, len(m.subjects)-1).Draw(m.T, "kept")
	var first []byte
	for i, s := range m.subjects {
		var b bytes.Buffer
		_, err := s.held.WriteTo(&b)
		m.need(s.Name, "write a snapshot", errors.Join(err, s.held.Close()))
		plain, err := plainImage(b.Bytes())
		m.need(s.Name, "read a snapshot", err)
		if i == 0 {
			first = plain
		}
		if !bytes.Equal(plain, first) {
			m.Fatalf("%s and %s have different images", s.Name, m.subjects[0].Name)
		}
		if i == kept {
			m.image = b.Bytes()
		}
	}
}

// plainImage returns the snapshot that the memory store makes of one: stores differ in
// how they write a deletion of many keys, and it has a tombstone for each.
func plainImage(image []byte) ([]byte, error) {
	memory := store.NewMVCCStore().(store.Engine)
	if err := memory.Restore(bytes.NewReader(image)); err != nil {
		return nil, err
	}
	return takeSnapshot(memory)
}

// everything compares reads of every kind at moments all along, and the images.
func (m *metamorphic) everything() {
	floor := m.subjects[0].e.MinRetainedTS()
	all := max(m.last(), floor) - floor
	for _, key := range m.space.keys {
		m.askKey([]byte(key), math.MaxUint64)
		m.askKey([]byte(key), floor+all/2)
	}
	for part := range uint64(7) {
		ts := floor + all*part/6
		m.askScan(store.Span{}, math.MaxInt, ts)
		m.askWalk(store.Span{}, math.MaxInt, ts, false)
	}
	m.hold(m.T)
	m.release()
}

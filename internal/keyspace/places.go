package keyspace

import (
	"fmt"
	"sync/atomic"
)

// placesName is the row that says where the rows of each logical database stand: one byte for
// each, the number that they have in names. Without it each database stands under its own
// number. No prefix of a database covers it. It is part of the format; never change.
const placesName = "!dbs"

// places is where the rows of each logical database stand. Each number comes once.
type places [Databases]uint8

// ownPlaces has each database under its own number.
var ownPlaces = func() (p places) {
	for i := range p {
		p[i] = uint8(i)
	}
	return p
}()

func parsePlaces(b []byte) (places, error) {
	var p places
	var seen [Databases]bool
	if len(b) != len(p) {
		return p, fmt.Errorf("keyspace: the places of databases have %d bytes, want %d: written by a newer version?", len(b), len(p))
	}
	for i, n := range b {
		if int(n) >= len(seen) || seen[n] {
			return p, fmt.Errorf("keyspace: the places of databases are damaged: %v", b)
		}
		seen[n] = true
		p[i] = n
	}
	return p, nil
}

// Places remembers whether databases have ever been swapped, so that transactions of a store in
// which none has need not look. The zero value knows nothing yet. It is safe for concurrent use.
type Places struct{ state atomic.Int32 }

const (
	placesUnknown = iota
	placesOwn     // nobody has swapped databases, in any view that is still to be opened
	placesMoved
)

// Arrange makes the spaces of root's transaction be where the databases are in its view.
func (p *Places) Arrange(root *Space) error {
	root.shared.swaps = p
	// The view has been opened: if databases have been swapped in it, that is known by now.
	state := p.state.Load()
	if state == placesOwn {
		return nil
	}
	found, err := root.readPlaces()
	if err == nil && !found && state == placesUnknown {
		p.state.CompareAndSwap(placesUnknown, placesOwn) // unless somebody is about to swap
	}
	return err
}

func (s *Space) readPlaces() (bool, error) {
	row, ok, err := s.tx.Get([]byte(placesName))
	if err != nil || !ok {
		return false, err
	}
	s.shared.places, err = parsePlaces(row.Value)
	return true, err
}

// Swap makes two logical databases take each other's keys, in the same time for any number of
// them. For those who wait for keys, and keep copies of them, all of both have changed; who
// watches some has to be told of each, with Touch.
func (s *Space) Swap(a, b int) error {
	if a == b {
		return nil
	}
	p := s.shared.places
	p[a], p[b] = p[b], p[a]
	if s.shared.swaps != nil {
		s.shared.swaps.state.Store(placesMoved) // before any view can have it
	}
	if err := s.tx.Put([]byte(placesName), p[:], 0); err != nil {
		return err
	}
	s.shared.places = p
	s.DB(a).changed(nil)
	s.DB(b).changed(nil)
	return nil
}

// Touch takes down that a key has been modified by what was done to all of its database.
func (s *Space) Touch(key []byte) { s.changed(key) }

// place is the number under which the rows of the database stand.
func (s *Space) place() int { return int(s.shared.places[s.db]) }

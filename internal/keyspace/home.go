package keyspace

import (
	"bytes"
	"encoding/binary"
)

// The rows of a collection have its key in their names. So that a key can be renamed in the same time whatever
// it holds, they stay where they are: the directory entry of a renamed key says under which key
// its rows stand, its home. A home that is not the key itself is listed, so that nobody else moves
// in: a collection that is created under a key that is another's home gets one that nobody has.

// homeOf returns the key under which the rows of key, whose entry is e, stand.
func (e entry) homeOf(key []byte) []byte {
	if e.home != nil {
		return e.home
	}
	return key
}

// at returns e as the entry of a key whose rows stand under home. A string has no rows, and so no home.
func (e entry) at(key, home []byte) entry {
	if e.home = nil; e.kind != KindString && !bytes.Equal(home, key) {
		e.home = append([]byte{}, home...) // that of the empty key is not nil
	}
	return e
}

// freeHome returns a home for a collection that is about to be created at key, or that takes the place of what stands there:
// the key, if no other has its rows there.
func (s *Space) freeHome(key []byte) ([]byte, error) {
	size, err := s.Size()
	if err != nil || size.Moved == 0 {
		return key, err
	}
	taken, err := s.isHome(key)
	if err != nil || !taken {
		return key, err
	}
	for {
		n := max(s.shared.nextHome, s.tx.Now())
		s.shared.nextHome = n + 1
		home := binary.BigEndian.AppendUint64([]byte{0}, n)
		taken, err := s.isHome(home)
		if err != nil {
			return nil, err
		}
		if taken {
			continue
		}
		_, there, err := s.tx.Peek(s.lookupName(home))
		if err != nil || !there {
			return home, err
		}
	}
}

// isHome reports whether a key other than home has its rows there.
func (s *Space) isHome(home []byte) (bool, error) {
	s.buf = append(append(s.scratch(), homePrefix...), home...)
	_, ok, err := s.tx.Get(s.buf)
	return ok, err
}

// rehome lists the home of a key, which changes from one to another; nil is the key itself. It returns how many keys more are
// listed.
func (s *Space) rehome(key, from, to []byte) (more int64, err error) {
	if from == nil && to == nil || from != nil && to != nil && bytes.Equal(from, to) {
		return 0, nil
	}
	if from != nil {
		more--
		if err := s.tx.Delete(s.homeName(from)); err != nil {
			return 0, err
		}
	}
	if to == nil {
		return more, nil
	}
	return more + 1, s.tx.Put(s.homeName(to), bytes.Clone(key), 0)
}

package keyspace

import (
	"bytes"
	"encoding/binary"

	"github.com/elastickv/elastickv/internal/txn"
	"github.com/elastickv/elastickv/store"
)

// Rows of libraries of functions. They belong to no database, and no flush
// removes them.
//
//	!fn|lib|<name>      the source of a library
//	!fn|version         <now 8><changes 8>
//
// The version is replaced in every transaction that changes a library: by the
// moment of the transaction, and the number of changes in it so far. So no two sets of
// libraries ever have the same one. All of it is part of the format; never change.
const (
	libraryPrefix  = "!fn|lib|"
	libraryVersion = "!fn|version"
)

// Library is a library of functions as it is kept. It is not to be modified.
type Library struct {
	Name   string
	Source []byte
}

// LibraryVersion tells one set of libraries from any other that there is, was, or will be.
// That of a server which never had one is zero.
type LibraryVersion struct{ now, changes uint64 }

// Before reports whether v is older than w.
func (v LibraryVersion) Before(w LibraryVersion) bool {
	return v.now < w.now || v.now == w.now && v.changes < w.changes
}

// LibraryVersion returns which set of libraries the transaction sees.
func (s *Space) LibraryVersion() (LibraryVersion, error) {
	row, ok, err := s.tx.Get([]byte(libraryVersion))
	if err != nil || !ok || len(row.Value) != 16 {
		return LibraryVersion{}, err
	}
	return LibraryVersion{binary.BigEndian.Uint64(row.Value), binary.BigEndian.Uint64(row.Value[8:])}, nil
}

// Libraries returns every library, in order of names.
func (s *Space) Libraries() ([]Library, error) {
	var libs []Library
	err := s.tx.Walk(store.PrefixSpan([]byte(libraryPrefix)), store.Ascending, func(name []byte, r txn.Row) bool {
		libs = append(libs, Library{string(name[len(libraryPrefix):]), bytes.Clone(r.Value)})
		return true
	})
	return libs, err
}

// PutLibrary keeps a library, in place of any of that name. source is kept, not copied.
func (s *Space) PutLibrary(name string, source []byte) error {
	if err := s.tx.Put([]byte(libraryPrefix+name), source, 0); err != nil {
		return err
	}
	return s.librariesChanged()
}

// RemoveLibrary removes a library, if there is one of that name.
func (s *Space) RemoveLibrary(name string) error {
	if err := s.tx.Delete([]byte(libraryPrefix + name)); err != nil {
		return err
	}
	return s.librariesChanged()
}

// RemoveLibraries removes every library.
func (s *Space) RemoveLibraries() error {
	if err := s.tx.DeletePrefix([]byte(libraryPrefix)); err != nil {
		return err
	}
	return s.librariesChanged()
}

func (s *Space) librariesChanged() error {
	v, err := s.LibraryVersion()
	if err != nil {
		return err
	}
	if v.now != s.tx.Now() {
		v = LibraryVersion{now: s.tx.Now()}
	}
	b := binary.BigEndian.AppendUint64(make([]byte, 0, 16), v.now)
	b = binary.BigEndian.AppendUint64(b, v.changes+1)
	return s.tx.Put([]byte(libraryVersion), b, 0)
}

package keyspace

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/elastickv/elastickv/internal/txn"
	"github.com/elastickv/elastickv/store"
)

// Size is the number of keys of a database, how many of them have an expiry, and how many have their rows elsewhere
// than under the key. A key that has expired counts until it is removed.
type Size struct {
	Keys    int64
	Expires int64
	Moved   int64
}

// sizeBytes are those of the row with all, and with none of the keys that have moved.
const sizeBytes, sizeBytesNoneMoved = 24, 16

// Size returns the size of the database. Of the past it is counted.
func (s *Space) Size() (Size, error) {
	if s.tx.Past() {
		return s.countedSize()
	}
	s.buf = append(s.scratch(), sizeName...)
	row, ok, err := s.tx.Get(s.buf)
	if err != nil || !ok {
		return Size{}, err
	}
	if n := len(row.Value); n != sizeBytes && n != sizeBytesNoneMoved {
		return Size{}, fmt.Errorf("keyspace: size of database %d has %d bytes, want %d or %d", s.db, n, sizeBytesNoneMoved, sizeBytes)
	}
	size := Size{
		Keys:    int64(binary.BigEndian.Uint64(row.Value)),
		Expires: int64(binary.BigEndian.Uint64(row.Value[8:])),
	}
	if len(row.Value) == sizeBytes {
		size.Moved = int64(binary.BigEndian.Uint64(row.Value[sizeBytesNoneMoved:]))
	}
	return size, nil
}

// countedSize is the size as the directory tells.
func (s *Space) countedSize() (size Size, err error) {
	var bad error
	err = s.tx.Walk(store.PrefixSpan(s.entryName(nil)), store.Ascending, func(_ []byte, r txn.Row) bool {
		var e entry
		if e, bad = parseEntry(r); bad != nil {
			return false
		}
		size.Keys++
		if e.expireAt != 0 {
			size.Expires++
		}
		if e.home != nil {
			size.Moved++
		}
		return true
	})
	return size, errors.Join(err, bad)
}

// resize adds to the size.
func (s *Space) resize(change Size) error {
	if change == (Size{}) {
		return nil
	}
	n, err := s.Size()
	if err != nil {
		return err
	}
	n.Keys += change.Keys
	n.Expires += change.Expires
	n.Moved += change.Moved
	if n.Keys < 0 || n.Expires < 0 || n.Expires > n.Keys || n.Moved < 0 || n.Moved > n.Keys {
		panic(fmt.Sprintf("keyspace: size of database %d would become %+v", s.db, n))
	}
	b := binary.BigEndian.AppendUint64(s.shared.bytes(sizeBytes), uint64(n.Keys))
	b = binary.BigEndian.AppendUint64(b, uint64(n.Expires))
	if n.Moved > 0 {
		b = binary.BigEndian.AppendUint64(b, uint64(n.Moved))
	}
	return s.tx.PutNewest(append(s.row(len(sizeName)), sizeName...), b)
}

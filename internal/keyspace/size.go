package keyspace

import (
	"encoding/binary"
	"fmt"
)

// Size is the number of keys of a database, and how many of them have an expiry.
// A key that has expired counts until it is removed.
type Size struct {
	Keys    int64
	Expires int64
}

// Size returns the size of the database.
func (s *Space) Size() (Size, error) {
	s.buf = append(s.scratch(), sizeName...)
	row, ok, err := s.tx.Get(s.buf)
	if err != nil || !ok {
		return Size{}, err
	}
	if len(row.Value) != 16 {
		return Size{}, fmt.Errorf("keyspace: size of database %d has %d bytes, want 16", s.db, len(row.Value))
	}
	return Size{
		Keys:    int64(binary.BigEndian.Uint64(row.Value)),
		Expires: int64(binary.BigEndian.Uint64(row.Value[8:])),
	}, nil
}

// resize adds to the size.
func (s *Space) resize(keys, expires int64) error {
	if keys == 0 && expires == 0 {
		return nil
	}
	n, err := s.Size()
	if err != nil {
		return err
	}
	n.Keys += keys
	n.Expires += expires
	if n.Keys < 0 || n.Expires < 0 || n.Expires > n.Keys {
		panic(fmt.Sprintf("keyspace: size of database %d would become %+v", s.db, n))
	}
	b := binary.BigEndian.AppendUint64(s.shared.bytes(16), uint64(n.Keys))
	b = binary.BigEndian.AppendUint64(b, uint64(n.Expires))
	return s.tx.Put(append(s.row(len(sizeName)), sizeName...), b, 0)
}

package keyspace

import (
	"errors"
	"fmt"
	"testing"
)

// TestFlush empties one database and leaves the others, and the rows that belong
// to none, as they are; for a few rows read and written.
func TestFlush(t *testing.T) {
	foreign := [][]byte{[]byte(""), []byte("!"), []byte("!db"), []byte("!db}"), []byte("!redi"), []byte("!redis"), []byte("!redis}"), []byte("!txn|x"), []byte("~")}
	for _, flushed := range []int{0, 1, 15} {
		for _, n := range []int{1, 500} {
			t.Run(fmt.Sprint(flushed, "/", n), func(t *testing.T) {
				w, e := newScaledWorld(t)
				w.update(t, func(s *Space) error {
					for _, name := range foreign {
						if err := s.tx.Put(name, nil, 0); err != nil {
							return err
						}
					}
					return errors.Join(populate(s, n), populate(s.DB(1), n), populate(s.DB(15), n))
				})
				e.read, e.written = 0, 0
				w.together(t, func(s *Space) error {
					s = s.DB(flushed)
					if err := s.Flush(); err != nil {
						return err
					}
					if err := populated(s, 0); err != nil {
						return err
					}
					return errors.Join(populate(s, 1), populated(s, 1))
				}, func(s *Space) error { return populated(s.DB(flushed), 1) })
				if e.read > 6*65+40 || e.written > 6*64+40 {
					t.Errorf("%d rows read and %d written", e.read, e.written)
				}
				w.update(t, func(s *Space) error {
					for _, name := range foreign {
						if _, ok, err := s.tx.Get(name); err != nil || !ok {
							t.Errorf("row %q: there is %v (%v)", name, ok, err)
						}
						if err := s.tx.Delete(name); err != nil { // the audit knows no owner of it
							return err
						}
					}
					for _, db := range []int{0, 1, 15} {
						want := n
						if db == flushed {
							want = 1
						}
						if err := populated(s.DB(db), want); err != nil {
							return fmt.Errorf("database %d: %w", db, err)
						}
					}
					return nil
				})
				w.audit(t)
			})
		}
	}
}

// populate makes n keys that expire and one collection of n elements of each type.
func populate(s *Space, n int) error {
	for _, key := range numbers(0, n) {
		if err := s.SetString(key, nil, s.Now()+1000); err != nil {
			return err
		}
	}
	for _, m := range makers {
		if err := m.make(s, []byte(m.kind.String()), n); err != nil {
			return err
		}
	}
	return nil
}

// populated checks that there is what populate has made, or nothing if n is 0.
func populated(s *Space, n int) error {
	var want Size
	if n > 0 {
		want = Size{Keys: int64(n + len(makers)), Expires: int64(n)}
	}
	size, err := s.Size()
	if err := expect(err, "size", size, want); err != nil {
		return err
	}
	var keys int64
	err = s.Walk(nil, nil, func([]byte, Kind) bool { keys++; return true })
	if err := expect(err, "keys", keys, want.Keys); err != nil {
		return err
	}
	for _, m := range makers {
		if err := wantCount(int64(n))(m.len(s, []byte(m.kind.String()))); err != nil {
			return fmt.Errorf("%v: %w", m.kind, err)
		}
	}
	return nil
}

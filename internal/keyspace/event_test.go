package keyspace

import (
	"context"
	"errors"
	"testing"

	"github.com/elastickv/elastickv/internal/txn"
)

// What nobody asks for is not kept, and what was taken back has not happened.
func TestEvents(t *testing.T) {
	w := newWorld()
	defer w.close()
	limits := DefaultLimits()
	err := w.db.Update(context.Background(), func(tx *txn.Tx) error {
		s := Open(tx, 0, Env{Limits: &limits, Events: ClassGeneric | ClassList})
		s.Notify(ClassGeneric, "del", []byte("a"))
		s.DB(3).Notify(ClassList, "lpush", []byte("b"))
		s.Notify(ClassString, "set", []byte("c"))
		_ = s.Atomically(func() error {
			s.Notify(ClassGeneric, "expire", []byte("d"))
			return errors.New("taken back")
		})
		got := s.Events()
		if len(got) != 2 || got[0].Name != "del" || got[1].Name != "lpush" || got[1].DB != 3 || string(got[1].Key) != "b" {
			t.Errorf("events %+v, want del of a and, in database 3, lpush of b", got)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

package keyspace

import (
	"context"
	"fmt"
	"testing"

	"github.com/elastickv/elastickv/internal/txn"
)

// TestLibraries changes libraries in every way and looks at them each time, in the
// transaction that has changed them and in the next. No version comes twice.
func TestLibraries(t *testing.T) {
	w := newWorld()
	t.Cleanup(w.close)
	seen := map[LibraryVersion]string{}
	check := func(s *Space, want string) error {
		v, err := s.LibraryVersion()
		if err != nil {
			return err
		}
		libs, err := s.Libraries()
		if err != nil {
			return err
		}
		got := ""
		for _, l := range libs {
			got += l.Name + "=" + string(l.Source) + " "
		}
		if got != want {
			return fmt.Errorf("libraries are %q, want %q", got, want)
		}
		if before, ok := seen[v]; ok && before != want {
			return fmt.Errorf("version %v stood for %q, and now for %q", v, before, want)
		}
		seen[v] = want
		return nil
	}
	for i, step := range []struct {
		change func(s *Space) error
		want   string
	}{
		{func(s *Space) error { return nil }, ""},
		{func(s *Space) error { return s.PutLibrary("b", []byte("1")) }, "b=1 "},
		{func(s *Space) error { return s.PutLibrary("a", []byte("2")) }, "a=2 b=1 "},
		{func(s *Space) error { return s.PutLibrary("b", []byte("3")) }, "a=2 b=3 "},
		{func(s *Space) error { return s.Flush() }, "a=2 b=3 "},
		{func(s *Space) error { return s.DB(3).RemoveLibrary("a") }, "b=3 "},
		{func(s *Space) error { return s.RemoveLibraries() }, ""},
		{func(s *Space) error {
			if err := s.PutLibrary("c", []byte("4")); err != nil {
				return err
			}
			if err := check(s, "c=4 "); err != nil {
				return err
			}
			return s.PutLibrary("c", []byte("5"))
		}, "c=5 "},
	} {
		w.update(t, func(s *Space) error {
			if err := step.change(s); err != nil {
				return err
			}
			return check(s, step.want)
		})
		limits := DefaultLimits()
		err := w.db.View(context.Background(), func(tx *txn.Tx) error {
			return check(Open(tx, i, Env{Limits: &limits}), step.want)
		})
		if err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
	}
	if len(seen) != 8 {
		t.Errorf("%d versions for 8 sets of libraries: %v", len(seen), seen)
	}
}

package keyspace

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/elastickv/elastickv/internal/txn"
)

// arranged runs fn in a transaction whose databases are where p finds them.
func (w *world) arranged(t *testing.T, p *Places, fn func(s *Space) error) {
	t.Helper()
	limits := DefaultLimits()
	err := w.db.Update(context.Background(), func(tx *txn.Tx) error {
		s := Open(tx, 0, Env{Limits: &limits})
		if err := p.Arrange(s); err != nil {
			return err
		}
		return fn(s)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func wantString(t *testing.T, s *Space, key, want string) {
	t.Helper()
	got, ok, err := s.String([]byte(key))
	if err != nil || ok != (want != "") || string(got) != want {
		t.Errorf("database %d: %s is %q (%v, %v), want %q", s.Number(), key, got, ok, err, want)
	}
}

// TestSwap says that a swap is seen at once in its own transaction, by later ones, by a process
// that is started anew, and not by a view that was opened before.
func TestSwap(t *testing.T) {
	w := newWorld()
	defer w.close()
	p := new(Places)
	w.arranged(t, p, func(s *Space) error {
		return s.SetString([]byte("k"), []byte("zero"), 0)
	})
	if p.state.Load() != placesOwn {
		t.Errorf("state %d, want %d: nothing has been swapped", p.state.Load(), placesOwn)
	}
	limits := DefaultLimits()
	err := w.db.View(context.Background(), func(tx *txn.Tx) error {
		w.arranged(t, p, func(s *Space) error {
			if err := s.Swap(0, 3); err != nil {
				return err
			}
			wantString(t, s, "k", "")
			wantString(t, s.DB(3), "k", "zero")
			return s.SetString([]byte("k"), []byte("three"), 0)
		})
		s := Open(tx, 0, Env{Limits: &limits})
		if err := p.Arrange(s); err != nil {
			return err
		}
		wantString(t, s, "k", "zero")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []*Places{p, new(Places)} {
		w.arranged(t, p, func(s *Space) error {
			wantString(t, s, "k", "three")
			wantString(t, s.DB(3), "k", "zero")
			return nil
		})
	}
}

// TestSwapTakenBack says that databases are back in their places when a swap is.
func TestSwapTakenBack(t *testing.T) {
	w := newWorld()
	defer w.close()
	p := new(Places)
	w.arranged(t, p, func(s *Space) error {
		if err := s.SetString([]byte("k"), []byte("zero"), 0); err != nil {
			return err
		}
		if err := s.Swap(0, 3); err != nil { // stays
			return err
		}
		err := s.Atomically(func() error {
			return errors.Join(s.Swap(3, 5), errors.New("refused"))
		})
		if err == nil || len(s.Changes()) != 3 {
			t.Errorf("failed with %v and told of %v", err, s.Changes())
		}
		wantString(t, s.DB(3), "k", "zero")
		wantString(t, s.DB(5), "k", "")
		return s.DB(3).SetString([]byte("l"), []byte("three"), 0)
	})
	w.arranged(t, p, func(s *Space) error {
		wantString(t, s.DB(3), "k", "zero")
		wantString(t, s.DB(3), "l", "three")
		return nil
	})
}

func TestSwapTellsOfChanges(t *testing.T) {
	w := newWorld()
	defer w.close()
	w.arranged(t, new(Places), func(s *Space) error {
		if err := s.Swap(2, 2); err != nil || len(s.Changes()) != 0 {
			t.Errorf("with itself: changes %v (%v)", s.Changes(), err)
		}
		s.DB(4).Touch([]byte("k"))
		if err := s.Swap(4, 5); err != nil {
			return err
		}
		want := []Change{{DB: 4, Key: []byte("k")}, {DB: 4}, {DB: 5}}
		for i, c := range s.Changes() {
			if i >= len(want) || c.DB != want[i].DB || !bytes.Equal(c.Key, want[i].Key) {
				t.Errorf("change %d is %v, want %v", i, c, want)
			}
		}
		return nil
	})
}

func TestParsePlaces(t *testing.T) {
	if p, err := parsePlaces(ownPlaces[:]); err != nil || p != ownPlaces {
		t.Errorf("%v, %v", p, err)
	}
	twice := bytes.Clone(ownPlaces[:])
	twice[3] = 4
	far := bytes.Clone(ownPlaces[:])
	far[0] = Databases
	for name, b := range map[string][]byte{"empty": nil, "short": ownPlaces[:15], "twice": twice, "far": far} {
		if p, err := parsePlaces(b); err == nil {
			t.Errorf("%s: %v", name, p)
		}
	}
}

func FuzzParsePlaces(f *testing.F) {
	f.Add(ownPlaces[:])
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := parsePlaces(b)
		if err != nil {
			return
		}
		if !bytes.Equal(p[:], b) {
			t.Errorf("%v becomes %v", b, p)
		}
	})
}

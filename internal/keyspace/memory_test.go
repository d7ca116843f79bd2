package keyspace

import (
	"fmt"
	"testing"

	"github.com/elastickv/elastickv/internal/txn"
)

// What a transaction has written stays while the next ones of its run use the same memory, and so does what a
// transaction has opened while it opens another.
func TestMemoryIsUsedAgain(t *testing.T) {
	w := newWorld()
	defer w.close()
	set := func(n int) func(s *Space) error {
		return func(s *Space) error { return s.SetString(fmt.Appendf(nil, "s%d", n), fmt.Appendf(nil, "v%d", n), 0) }
	}
	move := func(s *Space) error {
		from, err := s.Hash([]byte("from"))
		if err != nil {
			return err
		}
		to, err := s.Hash([]byte("to"))
		if err != nil {
			return err
		}
		if _, err := from.Delete([]byte("f")); err != nil {
			return err
		}
		_, err = to.Set([]byte("f"), []byte("x"))
		return err
	}
	all := []func(s *Space) error{func(s *Space) error {
		h, err := s.Hash([]byte("from"))
		if err != nil {
			return err
		}
		_, err = h.SetAll(Field{[]byte("f"), []byte("x")}, Field{[]byte("g"), []byte("y")})
		return err
	}, move}
	for n := range 2000 { // names and values of more than one piece
		all = append(all, set(n))
	}
	w.together(t, all...)
	w.view(t, func(s *Space) error {
		for n := range 2000 {
			if v, _, err := s.String(fmt.Appendf(nil, "s%d", n)); err != nil || string(v) != fmt.Sprintf("v%d", n) {
				t.Errorf("s%d is %q (%v)", n, v, err)
			}
		}
		for key, want := range map[string]string{"from": "g", "to": "f"} {
			h, err := s.Hash([]byte(key))
			if err != nil {
				return err
			}
			n, err := h.Len()
			if _, there, err := h.Get([]byte(want)); n != 1 || !there || err != nil {
				t.Errorf("%s: %d fields, %s there: %v (%v)", key, n, want, there, err)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	w.audit(t)
}

// BenchmarkWrites makes transactions of single writes, 64 to a run.
func BenchmarkWrites(b *testing.B) {
	const together, keys = 64, 1024
	var names [keys][]byte
	for i := range names {
		names[i] = fmt.Appendf(nil, "key:%012d", i)
	}
	for name, write := range map[string]func(s *Space, key []byte) error{
		"string": func(s *Space, key []byte) error { return s.SetString(key, key, 0) },
		"field": func(s *Space, key []byte) error {
			h, err := s.Hash([]byte("hash"))
			if err == nil {
				_, err = h.Set(key, key)
			}
			return err
		},
		"element": func(s *Space, key []byte) error {
			l, err := s.List([]byte("list"))
			if err == nil {
				err = l.Push(Left, key)
			}
			return err
		},
	} {
		b.Run(name, func(b *testing.B) {
			w := newWorld()
			defer w.close()
			limits, n := DefaultLimits(), 0
			b.ReportAllocs()
			for b.Loop() {
				err := w.db.Sequence(b.Context(), func(seq *txn.Seq) {
					for range together {
						n++
						if err := seq.Do(func(tx *txn.Tx) error { return write(w.memory.Open(tx, 0, Env{Limits: &limits}), names[n%keys]) }); err != nil {
							b.Error(err)
						}
					}
				})
				if err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/together, "ns/tx")
		})
	}
}

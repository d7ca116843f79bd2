package keyspace

import (
	"fmt"
	"testing"
	"time"
)

// TestMeanTTL compares the mean of few keys with what it is, and of many with what it is about.
func TestMeanTTL(t *testing.T) {
	w := newWorld()
	defer w.close()
	mean := func() (got int64) {
		w.view(t, func(s *Space) (err error) {
			seed := uint64(1)
			got, err = s.MeanTTL(func() uint64 { seed = seed*6364136223846793005 + 1442695040888963407; return seed })
			return err
		})
		return got
	}
	if got := mean(); got != 0 {
		t.Errorf("%d without a key", got)
	}
	fill := func(from, to int) {
		w.update(t, func(s *Space) error {
			for i := from; i < to; i++ {
				if err := s.SetString(fmt.Appendf(nil, "%d", i), nil, s.Now()+1000+int64(i%100)); err != nil {
					return err
				}
			}
			return s.SetString([]byte("never"), nil, 0)
		})
	}
	fill(0, 100)
	if got := mean(); got < 980 || got > 1050 {
		t.Errorf("%d of 100 keys, want about 1049", got)
	}
	fill(100, 5000)
	if got := mean(); got < 980 || got > 1099 {
		t.Errorf("%d of 5000 keys, want about 1049", got)
	}
	w.now = w.now.Add(2 * time.Second)
	if got := mean(); got != 0 {
		t.Errorf("%d when all have expired", got)
	}
}

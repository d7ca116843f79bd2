package command

import (
	"math"
	"math/big"
	"time"

	"github.com/elastickv/elastickv/internal/keyspace"
	"github.com/elastickv/elastickv/internal/resp"
)

// timeout reads argument i as the seconds that a command may wait, rounded up to a
// millisecond. 0 means for ever.
func (c *Ctx) timeout(i int) (time.Duration, error) {
	f, err := parseLongDouble(c.Args[i])
	if err != nil {
		return 0, ErrTimeoutNotFloat
	}
	f.Mul(f, big.NewFloat(1000))
	ms, accuracy := f.Int64() // toward 0, and at the ends of its range what lies beyond
	if accuracy == big.Below && ms < math.MaxInt64 {
		ms++
	}
	switch {
	case ms < 0:
		return 0, ErrTimeoutNegative
	case ms > math.MaxInt64-c.Keys.Now():
		return 0, ErrTimeoutRange
	}
	return MillisecondsOrLongest(ms), nil
}

// MillisecondsOrLongest returns ms milliseconds, or as many as can be waited for.
func MillisecondsOrLongest(ms int64) time.Duration {
	const most = math.MaxInt64 / int64(time.Millisecond)
	return time.Duration(min(ms, most)) * time.Millisecond
}

// waitFor makes the call wait for one of keys to be of a kind.
func (c *Ctx) waitFor(kind keyspace.Kind, timeout time.Duration, keys ...[]byte) error {
	return c.Block(&Block{Keys: keys, Kind: kind, Timeout: timeout, Expired: (*resp.Writer).NullArray})
}

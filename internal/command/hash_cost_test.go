package command

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/elastickv/elastickv/internal/resp"
	"github.com/elastickv/elastickv/store"
)

// countingEngine counts the rows that are read.
type countingEngine struct {
	store.Engine
	read int
}

func (e *countingEngine) VersionAt(ctx context.Context, key []byte, ts uint64) (store.VersionedValue, bool, error) {
	e.read++
	return e.Engine.VersionAt(ctx, key, ts)
}

func (e *countingEngine) WalkAt(ctx context.Context, span store.Span, order store.Order, ts uint64, fn func([]byte, store.VersionedValue) bool) error {
	return e.Engine.WalkAt(ctx, span, order, ts, func(key []byte, v store.VersionedValue) bool {
		e.read++
		return fn(key, v)
	})
}

// TestHashFieldsCost says that a command for many fields reads some rows for each, however many
// expire or have expired.
func TestHashFieldsCost(t *testing.T) {
	const n = 1000
	e := &countingEngine{Engine: store.NewMVCCStore().(store.Engine)}
	now := time.UnixMilli(1_700_000_000_000)
	c := newCallerOver(t, e, func() time.Time { return now })
	names := func(from int) (out []string) {
		for i := range n {
			out = append(out, strconv.Itoa(from+i))
		}
		return out
	}
	pairs := func(names []string) (out []string) {
		for _, f := range names {
			out = append(out, f, "v")
		}
		return out
	}
	call := func(fields []string, words ...string) {
		t.Helper()
		e.read = 0
		v := c.call(append(append(words, "FIELDS", strconv.Itoa(n)), fields...)...)
		if most := 10 * n; e.read > most {
			t.Errorf("%v for %d fields read %d rows, want at most %d", words, n, e.read, most)
		}
		if v.Kind == resp.KindError {
			t.Errorf("%v: %v", words, v)
		}
	}
	c.call(append([]string{"HSET", "h", "stays", "v"}, pairs(names(0))...)...)
	call(names(0), "HPEXPIRE", "h", "100000")
	call(names(0), "HPEXPIRE", "h", "200000", "GT")
	call(names(0), "HGETEX", "h", "PX", "150000")
	call(names(0), "HPERSIST", "h")
	call(pairs(names(0)), "HSETEX", "h", "PX", "100000")
	call(pairs(names(0)), "HSETEX", "h", "KEEPTTL")
	call(names(0), "HPTTL", "h")
	call(names(0), "HGETEX", "h", "PERSIST")
	call(names(0), "HPEXPIRE", "h", "100000")
	call(names(0), "HPEXPIREAT", "h", "1")
	call(pairs(names(0)), "HSETEX", "h", "PX", "100000")
	call(names(0), "HGETDEL", "h")

	// Fields whose time has come and that nobody has removed.
	call(pairs(names(0)), "HSETEX", "h", "PX", "1")
	now = now.Add(time.Second)
	call(pairs(names(n)), "HSETEX", "h", "KEEPTTL")
	call(pairs(names(0)), "HSETEX", "h", "KEEPTTL")
	if got := c.call("HLEN", "h").Int; got != 2*n+1 {
		t.Errorf("%d fields are left", got)
	}
}

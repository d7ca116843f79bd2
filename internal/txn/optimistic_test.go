package txn_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/elastickv/elastickv/hlc"
	"github.com/elastickv/elastickv/internal/txn"
	"github.com/elastickv/elastickv/store"
)

// TestOptimisticSpansModel lets an update come between the steps of an optimistic
// transaction and its commit. If that does not conflict, it is as if all of its steps had been
// made behind the update's.
func TestOptimisticSpansModel(t *testing.T) {
	checkOverEngines(t, func(rt *rapid.T, e store.Engine) {
		db := newDB(e, hlc.New(time.Now), txn.Options{})
		defer db.Close()
		ctx := context.Background()
		var before, between, own program
		for _, p := range []*program{&before, &own, &between} {
			*p = drawProgram(rt)
		}
		own = append(own, programStep{"z", 1}) // what writes nothing may take place earlier
		must(rt, db.Update(ctx, before.run))
		tx, err := db.Begin(ctx)
		must(rt, err)
		must(rt, own.run(tx))
		must(rt, db.Update(ctx, between.run))
		state := map[string]string{}
		before.apply(state)
		between.apply(state)
		err = db.Commit(ctx, tx)
		switch {
		case err == nil:
			own.apply(state)
		case !errors.Is(err, store.ErrWriteConflict):
			rt.Fatal(err)
		case !between.near(own):
			rt.Fatalf("%v, but nothing in common", err)
		}
		must(rt, db.View(ctx, func(tx *txn.Tx) error {
			(&modelTx{state: state}).checkAll(rt, tx)
			return nil
		}))
	})
}

// program is a number of writes without reads.
type program []programStep

// programStep puts n keys under a prefix, or deletes all if n is 0.
type programStep struct {
	prefix string
	n      int
}

func drawProgram(rt *rapid.T) (p program) {
	for range rapid.IntRange(1, 4).Draw(rt, "steps") {
		p = append(p, programStep{
			prefix: rapid.SampledFrom([]string{"a", "ab", "b", "c", "c0"}).Draw(rt, "prefix"),
			n:      rapid.SampledFrom([]int{0, 0, 1, 65, 100}).Draw(rt, "keys"),
		})
	}
	return p
}

func (p program) run(tx *txn.Tx) error {
	for _, step := range p {
		do := filled(step.prefix, step.n)
		if step.n == 0 {
			do = cleared(step.prefix)
		}
		if err := do(tx); err != nil {
			return err
		}
	}
	return nil
}

func (p program) apply(state map[string]string) {
	for _, step := range p {
		if step.n == 0 {
			maps.DeleteFunc(state, func(k, _ string) bool { return strings.HasPrefix(k, step.prefix) })
		}
		for i := range step.n {
			state[fmt.Sprintf("%s%03d", step.prefix, i)] = "f"
		}
	}
}

// near reports whether the two touch keys that begin with the same byte, or
// neighbours, whose spans may have become one.
func (p program) near(o program) bool {
	for _, a := range p {
		for _, b := range o {
			if d := int(a.prefix[0]) - int(b.prefix[0]); d >= -1 && d <= 1 {
				return true
			}
		}
	}
	return false
}

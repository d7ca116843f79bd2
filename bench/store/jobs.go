package main

import (
	"context"
	"fmt"
)

// jobs returns everything that can be measured, in the order of the table.
func jobs() []job {
	var all []job
	for _, g := range []int{1, 8} {
		all = append(all, getJob(g), hotGetJob(g), missJob(g))
	}
	for _, g := range []int{1, 8} {
		all = append(all, scanJob(g), deepScanJob(g))
	}
	for _, g := range []int{1, 8} {
		all = append(all, applyJob(g, 1), applyJob(g, 100))
	}
	return append(all, durablePutJob(64), applyAllocsJob(), deletePrefixJob(), compactJob())
}

// everyone are the contestants of a row that has Badger for context.
func everyone(o ours) []contestant { return []contestant{o, raw{}, badgerDB{}} }

// readJob measures a read on stores that stay open for all rounds.
func readJob(name string, o ours, goroutines int, op func(a *arena, db opened) work) job {
	return job{name: name, enter: func(ctx context.Context, a *arena) ([]turn, error) {
		var turns []turn
		for _, c := range everyone(o) {
			t, err := a.readTurn(ctx, c, 1, goroutines, op)
			if err != nil {
				return nil, err
			}
			turns = append(turns, t)
		}
		return turns, nil
	}}
}

// readTurn opens c's fixture and repeats op on it, first for a while that does not
// count: it fills the caches.
func (a *arena) readTurn(ctx context.Context, c contestant, versions, goroutines int, op func(a *arena, db opened) work) (turn, error) {
	db, err := a.openFilled(ctx, c, versions)
	if err != nil {
		return turn{}, err
	}
	do := op(a, db)
	_, err = timed(ctx, a.turnTime()/2, goroutines, do)
	return turn{c.name(), func(ctx context.Context) ([]sample, error) {
		s, err := timed(ctx, a.turnTime(), goroutines, do)
		return []sample{s}, err
	}}, err
}

func atGoroutines(name string, n int) string { return fmt.Sprintf("%s/goroutines=%d", name, n) }

package main

import (
	"context"
	"fmt"
)

// getJob reads keys all over the store, each time through the engine.
func getJob(goroutines int) job {
	name := atGoroutines("Get/cache=off", goroutines)
	j := readJob(name, ours{versionCacheOff}, goroutines, func(a *arena, db opened) work { return getOne(db, a.keys) })
	j.rows = []row{{name: name, kind: ratio, base: raw{}.name(), target: 0.9}}
	if goroutines == 1 {
		j.rows = append(j.rows, row{name: name, kind: allocs, target: 2})
	}
	return j
}

// hotGetJob reads few keys again and again.
func hotGetJob(goroutines int) job {
	name := atGoroutines("Get/cache=hot", goroutines)
	j := readJob(name, ours{versionCacheDefault}, goroutines, func(a *arena, db opened) work { return getOne(db, min(hotKeys, a.keys)) })
	j.rows = []row{{name: name, kind: ratio, base: raw{}.name(), target: 3}}
	if goroutines == 1 {
		j.rows = append(j.rows, row{name: name, kind: allocs, target: 2})
	}
	return j
}

// getOne reads one of the first keys by number.
func getOne(db opened, keys int) work {
	return func(w *worker) error {
		w.key = appendKey(w.key[:0], w.rng.IntN(keys))
		v, err := db.get(context.Background(), w.key)
		if err == nil && len(v) != valueSize {
			err = fmt.Errorf("%w: key %s has %d bytes", errWrongAnswer, w.key, len(v))
		}
		return err
	}
}

// missJob asks for keys that are not there, each between two that are.
func missJob(goroutines int) job {
	name := atGoroutines("GetMissing", goroutines)
	j := readJob(name, ours{versionCacheOff}, goroutines, func(a *arena, db opened) work {
		return func(w *worker) error {
			w.key = appendMissingKey(w.key[:0], w.rng.IntN(a.keys))
			v, err := db.get(context.Background(), w.key)
			if err == nil && v != nil {
				err = fmt.Errorf("%w: key %s is there", errWrongAnswer, w.key)
			}
			return err
		}
	})
	j.rows = []row{{name: name, kind: ratio, base: raw{}.name(), target: 0.9}}
	return j
}

// scanJob reads rows in a row, from keys all over the store on. The engine alone has one
// version of each key.
func scanJob(goroutines int) job {
	name := atGoroutines(scanName(1), goroutines)
	j := readJob(name, ours{versionCacheOff}, goroutines, scanOne)
	j.rows = []row{{name: name, kind: ratio, base: raw{}.name(), target: 0.9}}
	return j
}

// deepScanJob reads the newest of many versions of each key, where the engine alone has one.
func deepScanJob(goroutines int) job {
	name := atGoroutines(scanName(versionsMost), goroutines)
	return job{
		name: name,
		rows: []row{{name: name, kind: ratio, base: raw{}.name(), target: 0.5}},
		enter: func(ctx context.Context, a *arena) ([]turn, error) {
			own, err := a.readTurn(ctx, ours{versionCacheOff}, versionsMost, goroutines, scanOne)
			if err != nil {
				return nil, err
			}
			base, err := a.readTurn(ctx, raw{}, 1, goroutines, scanOne)
			return []turn{own, base}, err
		},
	}
}

func scanName(versions int) string { return fmt.Sprintf("Scan%d/versions=%d", scanRows, versions) }

func scanOne(a *arena, db opened) work {
	last := spread(sortedNumbers(a.keys)[a.keys-scanRows]) // the last key that has enough behind it
	return func(w *worker) error {
		w.key = appendKeyNumber(w.key[:0], w.rng.Uint64N(last))
		rows, err := db.scan(context.Background(), w.key)
		if err == nil && rows != scanRows {
			err = fmt.Errorf("%w: %d rows from %s on", errWrongAnswer, rows, w.key)
		}
		return err
	}
}

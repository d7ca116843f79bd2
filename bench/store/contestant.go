package main

import (
	"context"
	"io"

	"github.com/elastickv/elastickv/store"
)

// contestant is a store that can be measured.
type contestant interface {
	// name stands in the benchmark's name behind "by=".
	name() string
	// open opens the store in dir, which it creates if it is not there.
	open(ctx context.Context, a *arena, dir string) (opened, error)
	// fill makes a store in dir with the arena's keys and some versions of each, or,
	// where there are none, the newest one. Its rows are in tables of the last level.
	fill(ctx context.Context, a *arena, dir string, versions int) error
}

// opened is a store in use. Its reads return copies that the caller owns.
type opened interface {
	io.Closer
	// get returns the newest value of key, or nil if it is not there.
	get(ctx context.Context, key []byte) ([]byte, error)
	// scan reads scanRows rows from start on and returns how many there were.
	scan(ctx context.Context, start []byte) (rows int, err error)
	// walk reads every row once.
	walk(ctx context.Context) error
	// put writes one value that is durable when it returns.
	put(ctx context.Context, key, value []byte, ts uint64) error
	// apply writes puts at ts, all or none, not durably. Contestants that no row
	// asks for it return errNotMeasured.
	apply(ctx context.Context, puts []*store.KVPairMutation, ts uint64) error
}

// openFilled opens c with its fixture, all of whose blocks are in memory, until the job ends.
func (a *arena) openFilled(ctx context.Context, c contestant, versions int) (opened, error) {
	dir, err := a.filled(ctx, c, versions)
	if err != nil {
		return nil, err
	}
	db, err := c.open(ctx, a, dir)
	if err != nil {
		return nil, err
	}
	a.atEnd(db)
	return db, db.walk(ctx)
}

// inEmpty calls fn with an empty store, and removes it afterwards.
func (a *arena) inEmpty(ctx context.Context, c contestant, fn func(db opened) error) error {
	return a.inFresh(func(dir string) error { return using(ctx, a, c, dir, fn) })
}

func using(ctx context.Context, a *arena, c contestant, dir string, fn func(db opened) error) (err error) {
	db, err := c.open(ctx, a, dir)
	if err != nil {
		return err
	}
	defer func() { err = firstError(err, db.Close()) }()
	return fn(db)
}

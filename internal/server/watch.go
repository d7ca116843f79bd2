package server

import (
	"bytes"
	"cmp"
	"sync"
	"sync/atomic"

	"github.com/elastickv/elastickv/internal/command"
	"github.com/elastickv/elastickv/internal/keyspace"
)

// watches says which sessions watch which keys. Sessions are put in inside the
// sequencer, and told of changes there, so that each learns of exactly those
// that come after its WATCH.
type watches struct {
	active atomic.Int64 // number of keys in byKey: most transactions need not look further

	mu    sync.Mutex
	byKey map[dbKey]map[*session]struct{}
}

// dbKey is a key of a logical database.
type dbKey struct {
	db  int
	key string
}

// watchedKey is a key that a session watches.
type watchedKey struct {
	dbKey
	there bool // at the time of WATCH
}

func (w *watches) init() { w.byKey = make(map[dbKey]map[*session]struct{}) }

// add reports whether the session did not watch the key before.
func (w *watches) add(c *session, k dbKey) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.byKey[k] == nil {
		w.byKey[k] = make(map[*session]struct{})
		w.active.Add(1)
	}
	if _, ok := w.byKey[k][c]; ok {
		return false
	}
	w.byKey[k][c] = struct{}{}
	return true
}

// remove ends everything that a session watches. No change reaches it afterwards.
func (w *watches) remove(c *session) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, k := range c.watched {
		delete(w.byKey[k.dbKey], c)
		if len(w.byKey[k.dbKey]) == 0 {
			delete(w.byKey, k.dbKey)
			w.active.Add(-1)
		}
	}
	c.dirty.Store(false)
}

// of returns the keys of a database that somebody watches.
func (w *watches) of(db int) []string {
	if w.active.Load() == 0 {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	var keys []string
	for k := range w.byKey {
		if k.db == db {
			keys = append(keys, k.key)
		}
	}
	return keys
}

// touch marks every session that watches one of the changed keys.
func (w *watches) touch(changes []keyspace.Change) {
	if w.active.Load() == 0 || len(changes) == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, ch := range changes {
		if ch.Key == nil {
			continue // a flush: EXEC sees for itself that a key has gone, and others are not affected
		}
		for c := range w.byKey[dbKey{ch.DB, string(ch.Key)}] {
			c.dirty.Store(true)
		}
	}
}

func watch(ctx *command.Ctx) error {
	c := callerOf(ctx)
	if c.multi.on {
		return errWatchInMulti
	}
	there := make([]bool, 0, len(ctx.Args)-1)
	var err error
	told := c.transact(c.running, func(root *keyspace.Space) {
		keys := root.DB(c.db)
		for _, key := range ctx.Args[1:] {
			var kind keyspace.Kind
			// Looking at a key that has expired removes it: its own removal must
			// not count as a change.
			if kind, err = keys.Kind(bytes.Clone(key)); err != nil {
				return
			}
			there = append(there, kind != keyspace.KindNone)
		}
	})
	if told != nil || err != nil {
		return cmp.Or(told, err)
	}
	for i, exists := range there {
		c.watch(dbKey{c.db, string(ctx.Args[1+i])}, exists)
	}
	ctx.Out.OK()
	return nil
}

func (c *session) watch(k dbKey, there bool) {
	if c.srv.watches.add(c, k) {
		c.watched = append(c.watched, watchedKey{k, there})
		c.facts.watching.Store(int64(len(c.watched)))
	}
}

func unwatch(ctx *command.Ctx) error {
	callerOf(ctx).unwatch()
	ctx.Out.OK()
	return nil
}

func (c *session) unwatch() {
	c.unwatchAway()
	if len(c.watched) == 0 {
		return
	}
	c.srv.watches.remove(c)
	c.watched = nil
	c.facts.watching.Store(0)
}

// disturbed reports whether a watched key is no longer what it was. A key that
// has expired since may still wait to be removed, so nobody has been told of it.
func (c *session) disturbed(root *keyspace.Space) bool {
	if c.dirty.Load() || c.away.watching { // another node led then, and this one leads now
		return true
	}
	for _, w := range c.watched {
		if !w.there {
			continue
		}
		kind, err := root.DB(w.db).Kind([]byte(w.key))
		if err != nil || kind == keyspace.KindNone {
			return true
		}
	}
	return false
}

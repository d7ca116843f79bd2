package server

import (
	"maps"
	"slices"
	"sync"
)

// sessions is every connection that is being served.
type sessions struct {
	wg sync.WaitGroup

	mu     sync.Mutex
	byID   map[int64]*session
	lastID int64
}

// add gives the session its number.
func (t *sessions) add(c *session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lastID++
	c.id = t.lastID
	t.byID[c.id] = c
	t.wg.Add(1)
}

func (t *sessions) remove(c *session) {
	t.mu.Lock()
	delete(t.byID, c.id)
	t.mu.Unlock()
	t.wg.Done()
}

// find returns the session with a number, nil if there is none.
func (t *sessions) find(id int64) *session {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.byID[id]
}

func (t *sessions) count() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.byID)
}

// all returns the sessions in order of their numbers.
func (t *sessions) all() []*session {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make([]*session, 0, len(t.byID))
	for _, id := range slices.Sorted(maps.Keys(t.byID)) {
		out = append(out, t.byID[id])
	}
	return out
}

func (t *sessions) each(fn func(*session)) {
	for _, c := range t.all() {
		fn(c)
	}
}

package acl

import (
	"slices"
	"strings"
	"sync"
	"time"
)

// Bounds of the search for an entry that a new one can be added to.
const (
	groupWithin = time.Minute
	groupLook   = 10 // entries, newest first
)

// objectMost is how much of a key or channel is kept, in bytes.
const objectMost = 256

// Entry is one line of ACL LOG: something was denied, Count times.
type Entry struct {
	Count   int64
	Reason  Reason
	Context string // toplevel, multi or lua
	Object  string // the command, key or channel
	User    string
	Client  string // of the last time, as CLIENT LIST describes it
	ID      int64
	Created time.Time
	Updated time.Time
}

// Log remembers what was denied last. The zero value keeps nothing until SetMost is called.
type Log struct {
	mu      sync.Mutex
	most    int
	lastID  int64
	entries []*Entry // newest first
}

// SetMost says how many entries are kept.
func (l *Log) SetMost(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.most = n
	l.trim()
}

func (l *Log) trim() {
	if len(l.entries) > l.most {
		l.entries = slices.Delete(l.entries, l.most, len(l.entries))
	}
}

// Add takes down that something was denied at a moment. What was denied lately for the same
// reason is counted together.
func (l *Log) Add(e Entry, now time.Time) {
	e.Object = strings.Clone(e.Object[:min(len(e.Object), objectMost)])
	l.mu.Lock()
	defer l.mu.Unlock()
	at := slices.IndexFunc(l.entries[:min(groupLook, len(l.entries))], func(o *Entry) bool {
		return o.Reason == e.Reason && o.Context == e.Context && o.Object == e.Object && o.User == e.User &&
			now.Sub(o.Updated).Abs() <= groupWithin
	})
	entry := &e
	if at >= 0 {
		entry = l.entries[at]
		entry.Client = e.Client
		l.entries = slices.Delete(l.entries, at, at+1)
	} else {
		entry.ID, entry.Created = l.lastID, now
		l.lastID++
	}
	entry.Count++
	entry.Updated = now
	l.entries = slices.Insert(l.entries, 0, entry)
	l.trim()
}

// Last returns at most n entries, newest first.
func (l *Log) Last(n int) []Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]Entry, 0, min(max(n, 0), len(l.entries)))
	for _, e := range l.entries[:cap(out)] {
		out = append(out, *e)
	}
	return out
}

// Reset forgets every entry.
func (l *Log) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries = nil
}

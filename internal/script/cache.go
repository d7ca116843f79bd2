package script

import (
	"container/list"
	"crypto/sha1"
	"encoding/hex"
	"strings"
	"sync"
	"sync/atomic"
)

// What the cache keeps of scripts that nobody has asked it to keep, but that EVAL has
// carried out: the last ones, up to so many, and up to so many bytes of source.
const (
	evalsMost     = 500
	evalBytesMost = 64 << 20
)

// scriptOverhead is about what a cached script takes besides its source.
const scriptOverhead = 256

// cached is one script that can be called by its digest.
type cached struct {
	sha   string // 40 digits, lower case
	body  string
	skip  int // bytes of the first line, which is no Lua
	flags flags
	gone  atomic.Bool // no longer in the cache

	used *list.Element // in cache.evals; nil if it was loaded to stay
}

// cache is the scripts that can be called by their digests.
type cache struct {
	mu      sync.Mutex
	bySHA   map[string]*cached
	byBody  map[string]*cached
	evals   *list.List // of *cached, those used last in front
	bytes   int64      // of the bodies of evals
	total   int64      // of all bodies
	evicted int64
}

func newCache() *cache {
	c := &cache{}
	c.flush()
	return c
}

// digestLength is how many digits a digest has.
const digestLength = 2 * sha1.Size

func digest(src []byte) string {
	sum := sha1.Sum(src)
	return hex.EncodeToString(sum[:])
}

// find returns the script with that digest, in any case of letters, or nil.
func (c *cache) find(sha []byte) *cached {
	if len(sha) != digestLength {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.bySHA[string(sha)]
	if s == nil {
		s = c.bySHA[strings.ToLower(string(sha))]
	}
	c.touch(s)
	return s
}

// findBody returns the script with that source, or nil.
func (c *cache) findBody(body []byte) *cached {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.byBody[string(body)]
	c.touch(s)
	return s
}

// Script returns the source of the script with that digest, if it can be called by it.
func (e *Engine) Script(sha []byte) (body []byte, ok bool) {
	s := e.cache.find(sha)
	if s == nil {
		return nil, false
	}
	return []byte(s.body), true
}

// Remember lets a script be called by its digest as if EVAL had carried it out.
func (e *Engine) Remember(body []byte) error {
	s, err := newScript(body)
	if err == nil {
		e.cache.remember(s)
	}
	return err
}

func (c *cache) touch(s *cached) {
	if s != nil && s.used != nil {
		c.evals.MoveToFront(s.used)
	}
}

// keep makes sure that a script stays until the next flush.
func (c *cache) keep(s *cached) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.insert(s)
	if s := c.bySHA[s.sha]; s.used != nil {
		c.evals.Remove(s.used)
		c.bytes -= int64(len(s.body))
		s.used = nil
	}
}

// remember adds a script that has been carried out, and forgets those that have not been
// for longest if there are too many.
func (c *cache) remember(s *cached) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.insert(s)
	for c.evals.Len() > evalsMost || c.bytes > evalBytesMost && c.evals.Len() > 1 {
		oldest := c.evals.Back().Value.(*cached)
		c.evals.Remove(oldest.used)
		c.bytes -= int64(len(oldest.body))
		c.remove(oldest)
		c.evicted++
	}
}

func (c *cache) insert(s *cached) {
	if c.bySHA[s.sha] != nil {
		return
	}
	c.bySHA[s.sha], c.byBody[s.body] = s, s
	s.used = c.evals.PushFront(s)
	c.bytes += int64(len(s.body))
	c.total += int64(len(s.body)) + scriptOverhead
}

func (c *cache) remove(s *cached) {
	delete(c.bySHA, s.sha)
	delete(c.byBody, s.body)
	c.total -= int64(len(s.body)) + scriptOverhead
	s.gone.Store(true)
}

// flush forgets every script.
func (c *cache) flush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.bySHA {
		s.gone.Store(true)
	}
	c.bySHA, c.byBody = make(map[string]*cached), make(map[string]*cached)
	c.evals, c.bytes, c.total = list.New(), 0, 0
}

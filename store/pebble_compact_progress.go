package store

import (
	"sync"
	"time"
)

// CompactProgress tells how far Compact is.
type CompactProgress struct {
	Running bool        // Compact is at work
	Started time.Time   // when the pass at hand, or the last one, began; zero without WithNow
	Pass    CompactPass // the pass that is not finished; zero if there is none
	Last    CompactPass // the last one that was finished since the store was opened; zero if there was none
	Total   CompactPass // of all passes since the store was opened; its Floor is the highest
	Passes  uint64      // finished since the store was opened
}

// CompactPass is what a pass over all keys has done. One that was interrupted and resumed
// after the store had been opened again counts from there.
type CompactPass struct {
	Floor    uint64        // timestamp that it compacts to
	Rows     uint64        // versions looked at
	Dropped  uint64        // versions deleted one by one
	Ranges   uint64        // times that many versions in a row, of one key or of several, were deleted at once
	Keys     uint64        // keys that were seen to lose their last version
	Skipped  uint64        // times that keys were passed over unread because they have nothing to drop
	Duration time.Duration // that Compact was at work on it; 0 without WithNow
}

// add adds the work of one step.
func (p *CompactPass) add(step CompactPass) {
	p.Rows += step.Rows
	p.Dropped += step.Dropped
	p.Ranges += step.Ranges
	p.Keys += step.Keys
	p.Skipped += step.Skipped
}

// compactProgress follows Compact. The zero value is ready for use, without durations.
type compactProgress struct {
	now func() time.Time // nil: no durations; immutable

	mu struct {
		sync.Mutex
		CompactProgress
		resumed time.Time // when Compact took up the pass at hand
	}
}

func (c *compactProgress) clock() time.Time {
	if c.now == nil {
		return time.Time{}
	}
	return c.now()
}

// begin says that Compact begins a pass to floor, or takes up the one that it has left.
func (c *compactProgress) begin(floor uint64) {
	now := c.clock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.Pass.Floor != floor {
		c.mu.Pass = CompactPass{Floor: floor}
		c.mu.Started = now
	}
	c.mu.Total.Floor = max(c.mu.Total.Floor, floor)
	c.mu.Running, c.mu.resumed = true, now
}

// step adds what one batch has done, once it is in.
func (c *compactProgress) step(done CompactPass) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.Pass.add(done)
	c.mu.Total.add(done)
}

// leave says that Compact returns without having finished the pass.
func (c *compactProgress) leave() {
	now := c.clock()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.restLocked(now)
}

// finish says that Compact has come to the end of the pass.
func (c *compactProgress) finish() {
	now := c.clock()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.restLocked(now)
	c.mu.Last, c.mu.Pass = c.mu.Pass, CompactPass{}
	c.mu.Passes++
}

func (c *compactProgress) restLocked(now time.Time) {
	if !c.mu.Running {
		return
	}
	took := now.Sub(c.mu.resumed)
	c.mu.Pass.Duration += took
	c.mu.Total.Duration += took
	c.mu.Running = false
}

// snapshot returns the figures of this moment.
func (c *compactProgress) snapshot() CompactProgress {
	now := c.clock()
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.mu.CompactProgress
	if p.Running {
		took := now.Sub(c.mu.resumed)
		p.Pass.Duration += took
		p.Total.Duration += took
	}
	return p
}

package keyspace

// Claim says how entries come to another consumer.
type Claim struct {
	Consumer []byte
	MinIdle  int64 // milliseconds since the last delivery; entries of less stay where they are
	At       int64 // what counts as the moment of this delivery, in Unix milliseconds
	Count    int64 // how often the entry counts as delivered; below 0: as often as before
	Again    bool  // and once more, unless Count says it
	Force    bool  // entries that are not pending are claimed too, if they are in the stream
}

// Claim gives entries to a consumer, whom it makes if there is none of that name, and calls fn
// for each, until that fails. What is pending and no longer in the stream is pending no more.
func (g *Group) Claim(c Claim, ids []StreamID, fn func(StreamEntry) error) error {
	to, err := g.Meet(c.Consumer)
	if err != nil {
		return err
	}
	for _, id := range ids {
		p, pending, err := g.pendingAt(id)
		if err != nil {
			return err
		}
		old := &p
		if !pending {
			old = nil
		}
		var told error
		if _, err := g.claim(c, to, id, old, func(e StreamEntry) { told = fn(e) }); err != nil {
			return err
		}
		if told != nil {
			return told
		}
	}
	return g.Save()
}

// claimed is what came of an entry that was to be claimed.
type claimed int

const (
	claimedNot claimed = iota
	claimedNow
	claimedGone // it is not in the stream any more
)

func (g *Group) claim(c Claim, to *Consumer, id StreamID, old *Pending, fn func(StreamEntry)) (claimed, error) {
	e, there, err := g.st.Entry(id)
	switch {
	case err != nil:
		return claimedNot, err
	case !there && old != nil:
		return claimedGone, g.drop(*old)
	case !there, old == nil && !c.Force:
		return claimedNot, nil
	case old != nil && c.MinIdle > 0 && g.st.s.Now()-old.At < c.MinIdle:
		return claimedNot, nil
	}
	d := Delivery{At: c.At, Count: 1}
	if old != nil {
		d.Count = old.Count
	}
	if c.Count >= 0 {
		d.Count = c.Count
	} else if c.Again {
		d.Count++
	}
	fn(e)
	to.Active = g.st.s.Now()
	return claimedNow, g.assign(id, old, to, d)
}

// Sweep says how AutoClaim goes through the pending entries.
type Sweep struct {
	From  StreamID
	Count int64 // entries that are claimed or found gone, at most
	Looks int64 // pending entries that are looked at, at most
}

// AutoClaim claims the pending entries from one ID on, for a consumer whom it makes if there is none of that name, and calls
// fn for each that it has claimed. It returns where to go on, the zero ID at the end, and the
// entries that are no longer in the stream, which it takes off the pending ones.
func (g *Group) AutoClaim(c Claim, sw Sweep, fn func(StreamEntry)) (next StreamID, gone []StreamID, err error) {
	const page = 128
	to, err := g.Meet(c.Consumer)
	if err != nil {
		return next, nil, err
	}
	from, more := sw.From, true
	for more {
		// One more than can be claimed, for it is where to go on.
		n := min(page, sw.Count, sw.Looks) + 1
		rows, err := g.takePending(nil, StreamRange{From: from, To: MaxStreamID}, n)
		if err != nil {
			return next, nil, err
		}
		for i, p := range rows {
			if sw.Count == 0 || sw.Looks == 0 {
				return p.ID, gone, g.Save()
			}
			sw.Looks--
			done, err := g.claim(c, to, p.ID, &rows[i], fn)
			if err != nil {
				return next, nil, err
			}
			if done != claimedNot {
				sw.Count--
			}
			if done == claimedGone {
				gone = append(gone, p.ID)
			}
			from, more = p.ID.Next()
		}
		more = more && int64(len(rows)) == n
	}
	return StreamID{}, gone, g.Save()
}

package host

import (
	pb "go.etcd.io/raft/v3/raftpb"

	"github.com/elastickv/elastickv/internal/replica"
)

// length is how long the log of a group is, about, and where in it which share of the bytes lies.
type length struct {
	marks   []lengthMark // ascending in both; never empty
	cutting bool
}

// lengthMark says how many bytes have come into the log up to and with an index.
type lengthMark struct {
	index uint64
	bytes int64
}

// markBytes is how far two marks are apart, at least.
const markBytes = 1 << 20

// init makes it that of a log that begins behind before and has this many bytes up to last.
func (l *length) init(before, last uint64, bytes int64) {
	l.marks = append(l.marks[:0], lengthMark{before, 0})
	if last > before {
		l.marks = append(l.marks, lengthMark{last, bytes})
	}
}

// add counts entries that come into the log. What takes the place of others is counted as if it came behind
// them: it happens when the lead changes, and is little.
func (l *length) add(entries []*pb.Entry) {
	for _, e := range entries {
		end := &l.marks[len(l.marks)-1]
		size := int64(32 + len(e.GetData()))
		switch {
		case len(l.marks) > 1 && end.bytes-l.marks[len(l.marks)-2].bytes < markBytes:
			end.index, end.bytes = max(end.index, e.GetIndex()), end.bytes+size
		default:
			l.marks = append(l.marks, lengthMark{max(end.index, e.GetIndex()), end.bytes + size})
		}
	}
}

// of returns how many entries and bytes there are.
func (l *length) of() (entries uint64, bytes int64) {
	first, last := l.marks[0], l.marks[len(l.marks)-1]
	return last.index - first.index, last.bytes - first.bytes
}

// half returns the index up to which about one half of the log lies, by either measure.
func (l *length) half() uint64 {
	entries, bytes := l.of()
	byEntries, half := l.marks[0].index+entries/2, l.marks[0].bytes+bytes/2
	for i, m := range l.marks[1:] {
		if m.bytes >= half {
			from := l.marks[i]
			share := float64(half-from.bytes) / float64(max(1, m.bytes-from.bytes))
			return max(byEntries, from.index+uint64(share*float64(m.index-from.index)))
		}
	}
	return byEntries
}

// cut says that the log begins behind an index now.
func (l *length) cut(index uint64) {
	i := 0
	for i+1 < len(l.marks) && l.marks[i+1].index <= index {
		i++
	}
	l.marks = l.marks[i:]
	l.marks[0].index = max(l.marks[0].index, index)
}

// longer is by how many times the log may be too long for the sake of followers that are behind.
const longer = 4

// truncate has the beginning of the log cut off, if it is too long.
func (w *worker) truncate() {
	o := &w.g.h.o
	entries, bytes := w.length.of()
	if w.length.cutting || entries <= o.LogEntries && bytes <= o.LogBytes {
		return
	}
	upTo := w.length.half()
	if entries <= longer*o.LogEntries && bytes <= longer*o.LogBytes {
		for id, p := range w.r.Followers() { // nobody's, if this replica does not lead
			if w.active(id) {
				upTo = min(upTo, p.Match)
			}
		}
	}
	if first, _ := w.g.log.FirstIndex(); upTo < first {
		return
	}
	w.length.cutting = true
	w.g.applier.put(toApply{do: func() error { return w.g.cut(upTo) }})
}

// cut cuts the log off, as far as the data is on the disk.
func (g *Group) cut(upTo uint64) error {
	at, err := (&replica.Appender{Log: g.h.o.Log}).Truncate(g.log, g.machine, upTo)
	if err != nil {
		return err
	}
	g.inbox.put(func(w *worker) {
		if w != nil {
			w.length.cutting = false
			w.length.cut(at.Index)
		}
	})
	return nil
}

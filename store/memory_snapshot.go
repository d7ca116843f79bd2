package store

import (
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
)

// Snapshot implements MVCCStore. The image holds copies of the histories; they
// share the values, which nobody changes.
func (s *mvccStore) Snapshot() (Snapshot, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.mu.closed {
		return nil, ErrClosed
	}
	image := &memorySnapshot{header: snapshotHeader{
		LastCommitTS: s.mu.lastCommitTS,
		Floor:        s.mu.floor,
		AppliedIndex: s.mu.appliedIndex,
	}}
	image.mu.rows = make([]memoryRow, len(s.mu.rows))
	for i, r := range s.mu.rows {
		image.mu.rows[i] = memoryRow{key: r.key, versions: slices.Clone(r.versions)}
	}
	return image, nil
}

// memorySnapshot is the image of one moment.
type memorySnapshot struct {
	header snapshotHeader // immutable

	mu struct {
		sync.Mutex
		closed bool
		rows   []memoryRow // rising by key; only Close changes them
	}
}

// WriteTo implements io.WriterTo. It may be called more than once.
func (i *memorySnapshot) WriteTo(w io.Writer) (int64, error) {
	i.mu.Lock()
	rows, closed := i.mu.rows, i.mu.closed
	i.mu.Unlock()
	if closed {
		return 0, fmt.Errorf("snapshot: %w", ErrClosed)
	}
	out := &countingWriter{w: w}
	sw := newSnapshotWriter(out, i.header)
	for _, r := range rows {
		for _, v := range slices.Backward(r.versions) {
			if err := sw.add([]byte(r.key), v); err != nil {
				return out.n, err
			}
		}
	}
	return out.n, sw.close()
}

// Close implements io.Closer.
func (i *memorySnapshot) Close() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.mu.closed = true
	i.mu.rows = nil
	return nil
}

// countingWriter counts the bytes that have reached w.
type countingWriter struct {
	w io.Writer
	n int64
}

func (c *countingWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// Restore implements MVCCStore. Everything is read before anything is replaced.
func (s *mvccStore) Restore(buf io.Reader) error {
	var header snapshotHeader
	var rows []*memoryRow
	var ranges []rangeTombstone
	buf, err := openSnapshot(buf, nil)
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	err = readSnapshot(buf, snapshotSink{
		header: func(h snapshotHeader) error { header = h; return nil },
		ranged: func(t rangeTombstone) error {
			header.LastCommitTS = max(header.LastCommitTS, t.ts)
			ranges = append(ranges, t)
			return nil
		},
		version: func(key []byte, v VersionedValue) error {
			header.LastCommitTS = max(header.LastCommitTS, v.TS)
			if len(rows) == 0 || rows[len(rows)-1].key != string(key) {
				rows = append(rows, &memoryRow{key: string(key)})
			}
			r := rows[len(rows)-1]
			r.versions = append(r.versions, v)
			return nil
		}})
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	for _, r := range rows {
		slices.Reverse(r.versions) // the stream has the newest first
		for _, t := range ranges {
			r.bury(t)
		}
	}
	if err := s.replace(header, rows); err != nil {
		return err
	}
	s.log.Info("restored", slog.Int("keys", len(rows)), slog.Uint64("last_commit_ts", header.LastCommitTS))
	return nil
}

// bury deletes the row at t, if t covers it and finds it alive.
func (r *memoryRow) bury(t rangeTombstone) {
	v, ok := r.at(t.ts)
	if ok && t.span.Contains([]byte(r.key)) && v.TS < t.ts && (visible(v, t.ts) || t.expired && !v.Tombstone) {
		r.versions = slices.Insert(r.versions, r.upTo(t.ts), VersionedValue{TS: t.ts, Tombstone: true})
	}
}

// replace puts rows, which it keeps, in place of everything.
func (s *mvccStore) replace(header snapshotHeader, rows []*memoryRow) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.closed {
		return ErrClosed
	}
	s.mu.rows = rows
	s.mu.lastCommitTS = header.LastCommitTS
	s.mu.floor = header.Floor
	s.mu.appliedIndex = header.AppliedIndex
	return nil
}

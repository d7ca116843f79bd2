package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// snapshotWriter writes a snapshot in constant memory. The first error is
// final: later calls return it too.
type snapshotWriter struct {
	w     io.Writer
	sum   uint32
	block []byte // length field, then the content gathered so far
	err   error

	key      []byte // the key whose versions are being added
	begun    bool   // a key has been added
	lastTS   uint64
	count    int // versions of key
	keys     uint64
	versions uint64
	content  uint64
}

// newSnapshotWriter writes h to w. A failure is reported by add and by close.
func newSnapshotWriter(w io.Writer, h snapshotHeader) *snapshotWriter {
	sw := &snapshotWriter{w: w, block: make([]byte, 4, 4+snapshotBlockSize+4)}
	b := append(make([]byte, 0, snapshotHeaderSize+4), snapshotMagic...)
	b = binary.BigEndian.AppendUint32(b, snapshotVersion)
	b = binary.BigEndian.AppendUint64(b, h.LastCommitTS)
	b = binary.BigEndian.AppendUint64(b, h.Floor)
	b = binary.BigEndian.AppendUint64(b, h.AppliedIndex)
	sw.writeSummed(b)
	return sw
}

// add writes one version. Keys come in bytewise order, the versions of a key
// newest first. A tombstone's value and expiry are not written. Neither slice
// is kept.
func (sw *snapshotWriter) add(key []byte, v VersionedValue) error {
	if sw.err != nil {
		return sw.err
	}
	if err := sw.admit(key, v); err != nil {
		sw.err = err
		return err
	}
	sw.lastTS = v.TS
	sw.count++
	sw.versions++
	sw.putVersion(v)
	return sw.err
}

// addRange writes a range tombstone. They come before all versions, in the order of
// appendRangeKey.
func (sw *snapshotWriter) addRange(t rangeTombstone) error {
	if sw.err != nil {
		return sw.err
	}
	if sw.begun {
		sw.err = errors.New("store: snapshot range tombstone after a key")
		return sw.err
	}
	var flags byte
	if t.expired {
		flags |= rangeFlagExpired
	}
	if t.span.End != nil {
		flags |= rangeFlagEnd
	}
	b := binary.BigEndian.AppendUint64([]byte{snapshotRecordRange, flags}, t.ts)
	b = binary.BigEndian.AppendUint32(b, uint32(len(t.span.Start)))
	b = append(b, t.span.Start...)
	if t.span.End != nil {
		b = binary.BigEndian.AppendUint32(b, uint32(len(t.span.End)))
		b = append(b, t.span.End...)
	}
	sw.put(b)
	return sw.err
}

// admit checks that v may come next and, when it is the first of its key,
// writes the key.
func (sw *snapshotWriter) admit(key []byte, v VersionedValue) error {
	switch {
	case len(key) > maxKeySize:
		return ErrSnapshotKeyTooLarge
	case len(v.Value) > maxValueSize:
		return ErrValueTooLarge
	}
	if sw.begun {
		switch c := bytes.Compare(key, sw.key); {
		case c < 0:
			return fmt.Errorf("store: snapshot key %q after %q", key, sw.key)
		case c == 0 && v.TS >= sw.lastTS:
			return fmt.Errorf("store: snapshot version %d of key %q after %d", v.TS, key, sw.lastTS)
		case c == 0 && sw.count >= maxVersionsPerKey:
			return fmt.Errorf("%w: key %q", ErrSnapshotVersionCountTooLarge, key)
		case c == 0:
			return nil
		}
	}
	sw.begun = true
	sw.key = append(sw.key[:0], key...)
	sw.count = 0
	sw.keys++
	var head [5]byte
	sw.put(binary.BigEndian.AppendUint32(append(head[:0], snapshotRecordKey), uint32(len(key))))
	sw.put(key)
	return sw.err
}

func (sw *snapshotWriter) putVersion(v VersionedValue) {
	var buf [1 + 1 + 8 + 8 + 4]byte
	if v.Tombstone {
		sw.put(binary.BigEndian.AppendUint64(append(buf[:0], snapshotRecordTombstone), v.TS))
		return
	}
	var flags byte
	if v.ExpireAt != 0 {
		flags |= snapshotFlagExpiry
	}
	b := binary.BigEndian.AppendUint64(append(buf[:0], snapshotRecordValue, flags), v.TS)
	if v.ExpireAt != 0 {
		b = binary.BigEndian.AppendUint64(b, v.ExpireAt)
	}
	sw.put(binary.BigEndian.AppendUint32(b, uint32(len(v.Value))))
	sw.put(v.Value)
}

// put appends content, writing every block that becomes full.
func (sw *snapshotWriter) put(p []byte) {
	sw.content += uint64(len(p))
	for len(p) > 0 && sw.err == nil {
		n := min(len(p), 4+snapshotBlockSize-len(sw.block))
		sw.block = append(sw.block, p[:n]...)
		p = p[n:]
		if len(sw.block) == 4+snapshotBlockSize {
			sw.flush()
		}
	}
}

func (sw *snapshotWriter) flush() {
	if len(sw.block) == 4 {
		return
	}
	binary.BigEndian.PutUint32(sw.block, uint32(len(sw.block)-4))
	sw.writeSummed(sw.block)
	sw.block = sw.block[:4]
}

// writeSummed writes p and the sum of everything up to it. It may append to p.
func (sw *snapshotWriter) writeSummed(p []byte) {
	if sw.err != nil {
		return
	}
	sw.sum = crc32.Update(sw.sum, castagnoli, p)
	_, sw.err = sw.w.Write(binary.BigEndian.AppendUint32(p, sw.sum))
}

var errSnapshotClosed = errors.New("store: snapshot writer is closed")

// close writes what is left and the trailer. A stream without it is truncated.
func (sw *snapshotWriter) close() error {
	sw.flush()
	b := append(make([]byte, 0, 4+snapshotTrailerSize+4), 0, 0, 0, 0)
	b = binary.BigEndian.AppendUint64(b, sw.keys)
	b = binary.BigEndian.AppendUint64(b, sw.versions)
	b = binary.BigEndian.AppendUint64(b, sw.content)
	sw.writeSummed(b)
	if sw.err != nil {
		return sw.err
	}
	sw.err = errSnapshotClosed
	return nil
}

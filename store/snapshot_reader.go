package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// snapshotSink is what readSnapshot calls. All slices belong to the callee; the versions of
// one key share the key's bytes.
type snapshotSink struct {
	header  func(snapshotHeader) error               // once and first
	ranged  func(rangeTombstone) error               // for every range tombstone, by timestamp
	version func(key []byte, v VersionedValue) error // for every version, keys rising bytewise, the newest of a key first
}

// readSnapshot reads one snapshot to the end of r.
//
// What the callbacks have seen is intact, but the stream may still turn out to be
// cut or damaged further on: nothing of it counts until readSnapshot returns
// nil. An error of a callback ends the reading and is returned as it is.
//
// Memory is bounded by what has arrived, never by what a length field claims.
func readSnapshot(r io.Reader, sink snapshotSink) error {
	b := &snapshotBlocks{r: r}
	h, err := b.readHeader()
	if err != nil {
		return err
	}
	if err := sink.header(h); err != nil {
		return err
	}
	d := snapshotDecoder{in: b, sink: sink}
	if err := d.run(); err != nil {
		return err
	}
	return b.checkEnd(d.keys, d.versions)
}

// snapshotBlocks is the lower half of the reader: it yields the content of the
// blocks as one stream of verified bytes that ends at the trailer.
type snapshotBlocks struct {
	r       io.Reader
	sum     uint32
	buf     [4 + snapshotBlockSize + 4]byte
	rest    []byte // of the current block, in buf
	content uint64
	ended   bool // the trailer has been read and its sum holds
	trailer [snapshotTrailerSize]byte
}

func (b *snapshotBlocks) readHeader() (snapshotHeader, error) {
	head := b.buf[:snapshotHeaderSize]
	if _, err := io.ReadFull(b.r, head[:len(snapshotMagic)]); err != nil {
		return snapshotHeader{}, truncated(err)
	}
	if string(head[:len(snapshotMagic)]) != snapshotMagic {
		return snapshotHeader{}, ErrNotSnapshot
	}
	if err := b.readSummed(head, len(snapshotMagic)); err != nil {
		return snapshotHeader{}, err
	}
	switch v := binary.BigEndian.Uint32(head[8:]); {
	case v > snapshotVersion:
		return snapshotHeader{}, fmt.Errorf("%w (format %d, this program knows %d)", ErrSnapshotTooNew, v, snapshotVersion)
	case v < snapshotVersion:
		return snapshotHeader{}, malformed("format version %d", v)
	}
	return snapshotHeader{
		LastCommitTS: binary.BigEndian.Uint64(head[12:]),
		Floor:        binary.BigEndian.Uint64(head[20:]),
		AppliedIndex: binary.BigEndian.Uint64(head[28:]),
	}, nil
}

// readSummed fills p from have on, reads the sum after it, and verifies it.
// p has room for the sum behind it, in its capacity.
func (b *snapshotBlocks) readSummed(p []byte, have int) error {
	n := len(p)
	p = p[:n+4]
	if _, err := io.ReadFull(b.r, p[have:]); err != nil {
		return truncated(err)
	}
	b.sum = crc32.Update(b.sum, castagnoli, p[:n])
	if binary.BigEndian.Uint32(p[n:]) != b.sum {
		return fmt.Errorf("store: snapshot: %w", ErrInvalidChecksum)
	}
	return nil
}

// next reads one block, or the trailer.
func (b *snapshotBlocks) next() error {
	if _, err := io.ReadFull(b.r, b.buf[:4]); err != nil {
		return truncated(err)
	}
	n := binary.BigEndian.Uint32(b.buf[:4])
	if n > snapshotBlockSize {
		return malformed("block of %d bytes", n)
	}
	if n == 0 {
		if err := b.readSummed(b.buf[:4+snapshotTrailerSize], 4); err != nil {
			return err
		}
		b.ended = true
		copy(b.trailer[:], b.buf[4:])
		return nil
	}
	if err := b.readSummed(b.buf[:4+n], 4); err != nil {
		return err
	}
	b.rest = b.buf[4 : 4+n]
	b.content += uint64(n)
	return nil
}

// Read implements io.Reader; io.EOF stands for the trailer.
func (b *snapshotBlocks) Read(p []byte) (int, error) {
	for len(b.rest) == 0 {
		if b.ended {
			return 0, io.EOF
		}
		if err := b.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

// checkEnd compares the trailer's counts with what was read and makes sure that
// nothing follows it.
func (b *snapshotBlocks) checkEnd(keys, versions uint64) error {
	for i, got := range []uint64{keys, versions, b.content} {
		if want := binary.BigEndian.Uint64(b.trailer[8*i:]); got != want {
			what := [...]string{"keys", "versions", "bytes"}[i]
			return malformed("%d %s where the trailer says %d", got, what, want)
		}
	}
	switch n, err := io.ReadFull(b.r, b.buf[:1]); {
	case n > 0:
		return malformed("data after the trailer")
	case err != io.EOF:
		return fmt.Errorf("store: read snapshot: %w", err)
	}
	return nil
}

// snapshotDecoder is the upper half: it parses records and checks their order.
type snapshotDecoder struct {
	in   io.Reader
	sink snapshotSink

	ranged   []byte // key of the last range tombstone; nil if there is none
	key      []byte
	begun    bool
	count    int // versions of key
	lastTS   uint64
	keys     uint64
	versions uint64
	scratch  [8]byte
}

func (d *snapshotDecoder) run() error {
	for {
		kind := d.scratch[:1]
		switch n, err := d.in.Read(kind); {
		case err == io.EOF && d.begun && d.count == 0:
			return malformed("key without a version")
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		case n == 0:
			continue
		}
		var err error
		switch kind[0] {
		case snapshotRecordKey:
			err = d.beginKey()
		case snapshotRecordValue, snapshotRecordTombstone:
			err = d.version(kind[0])
		case snapshotRecordRange:
			err = d.rangeTombstone()
		default:
			err = malformed("record kind %d", kind[0])
		}
		if err != nil {
			return err
		}
	}
}

func (d *snapshotDecoder) rangeTombstone() (err error) {
	if err := d.full(d.scratch[:1]); err != nil {
		return err
	}
	flags := d.scratch[0]
	if d.begun || flags&^(rangeFlagExpired|rangeFlagEnd) != 0 {
		return malformed("range tombstone with flags %#02x after %d keys", flags, d.keys)
	}
	t := rangeTombstone{expired: flags&rangeFlagExpired != 0}
	if t.ts, err = d.uint64(); err != nil {
		return err
	}
	if t.span.Start, err = d.bound(); err != nil {
		return err
	}
	if flags&rangeFlagEnd != 0 {
		if t.span.End, err = d.bound(); err != nil {
			return err
		}
	}
	key := appendRangeKey(nil, t)
	if t.span.empty() || d.ranged != nil && bytes.Compare(key, d.ranged) <= 0 {
		return malformed("range tombstone of %q to %q at %d", t.span.Start, t.span.End, t.ts)
	}
	d.ranged = key
	return d.sink.ranged(t)
}

// bound reads a bound of a span.
func (d *snapshotDecoder) bound() ([]byte, error) {
	n, err := d.uint32()
	if err != nil {
		return nil, err
	}
	if n > maxKeySize+1 {
		return nil, ErrSnapshotKeyTooLarge
	}
	return d.bytes(n)
}

func (d *snapshotDecoder) beginKey() error {
	if d.begun && d.count == 0 {
		return malformed("key without a version")
	}
	n, err := d.uint32()
	if err != nil {
		return err
	}
	if n > maxKeySize {
		return ErrSnapshotKeyTooLarge
	}
	key, err := d.bytes(n)
	if err != nil {
		return err
	}
	if d.begun && bytes.Compare(key, d.key) <= 0 {
		return malformed("key %q after %q", key, d.key)
	}
	d.key, d.begun, d.count = key, true, 0
	d.keys++
	return nil
}

func (d *snapshotDecoder) version(kind byte) error {
	v, err := d.readVersion(kind)
	if err != nil {
		return err
	}
	switch {
	case !d.begun:
		return malformed("version without a key")
	case d.count > 0 && v.TS >= d.lastTS:
		return malformed("version %d of key %q after %d", v.TS, d.key, d.lastTS)
	case d.count >= maxVersionsPerKey:
		return fmt.Errorf("%w: key %q", ErrSnapshotVersionCountTooLarge, d.key)
	}
	d.lastTS = v.TS
	d.count++
	d.versions++
	return d.sink.version(d.key, v)
}

func (d *snapshotDecoder) readVersion(kind byte) (v VersionedValue, err error) {
	if kind == snapshotRecordTombstone {
		v.Tombstone = true
		v.TS, err = d.uint64()
		return v, err
	}
	if err := d.full(d.scratch[:1]); err != nil {
		return v, err
	}
	flags := d.scratch[0]
	if flags&^snapshotFlagExpiry != 0 {
		return v, malformed("flags %#02x", flags)
	}
	if v.TS, err = d.uint64(); err != nil {
		return v, err
	}
	if flags&snapshotFlagExpiry != 0 {
		if v.ExpireAt, err = d.uint64(); err != nil {
			return v, err
		}
		if v.ExpireAt == 0 {
			return v, malformed("expiry of 0")
		}
	}
	n, err := d.uint32()
	if err != nil {
		return v, err
	}
	if n > maxValueSize {
		return v, ErrValueTooLarge
	}
	v.Value, err = d.bytes(n)
	return v, err
}

// bytes reads n bytes into a fresh slice, never nil. It grows the slice as the
// bytes arrive: a claim of 256 MiB with ten bytes behind it costs one block.
func (d *snapshotDecoder) bytes(n uint32) ([]byte, error) {
	const step = snapshotBlockSize
	if n <= step {
		b := make([]byte, n)
		return b, d.full(b)
	}
	var b []byte
	for left := int(n); left > 0; {
		m := min(left, max(step, len(b)))
		b = append(b, make([]byte, m)...)
		if err := d.full(b[len(b)-m:]); err != nil {
			return nil, err
		}
		left -= m
	}
	return b, nil
}

func (d *snapshotDecoder) uint32() (uint32, error) {
	err := d.full(d.scratch[:4])
	return binary.BigEndian.Uint32(d.scratch[:4]), err
}

func (d *snapshotDecoder) uint64() (uint64, error) {
	err := d.full(d.scratch[:8])
	return binary.BigEndian.Uint64(d.scratch[:8]), err
}

// full fills p; the trailer inside a record is malformed.
func (d *snapshotDecoder) full(p []byte) error {
	_, err := io.ReadFull(d.in, p)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return malformed("trailer inside a record")
	}
	return err
}

// truncated tells the end of the stream from a failure to read it.
func truncated(err error) error {
	if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
		return ErrSnapshotTruncated
	}
	return fmt.Errorf("store: read snapshot: %w", err)
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrSnapshotMalformed, fmt.Sprintf(format, args...))
}

package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/elastickv/elastickv/encryption"
)

// A sealed snapshot is a snapshot, as snapshot_format.go has it, cut into frames that are sealed one
// by one under the key of the store's values. So whoever restores it needs that key.
//
//	| magic (8) | version 2 (4) | key id (4) | stream id (12) | 0 (8) | sum (4) |  header
//	| last (1 bit), length (31 bits), 1..65536 | nonce (12) | ciphertext (length) | tag (16) |    frame, at least one
//
// The sum is the CRC-32C of what is before it, and where that of a plain snapshot is: so whoever knows
// those alone can tell that this one is newer. The stream id is a nonce that was drawn for
// nothing else; no two streams have the same. A frame is AES-256-GCM's, and its additional data
//
//	| header without sum (36) | number of the frame, from 0 (8) | last and length (4) |
//
// so no frame can be changed, left out, doubled, moved, or taken for one of another snapshot, and
// the stream not cut short.
const (
	snapshotVersionSealed = 2 // part of the format; never change

	sealedHeaderSize = snapshotHeaderSize
	sealedFrameSize  = 64 << 10 // part of the format: a reader refuses longer frames
	sealedFrameLast  = 1 << 31  // part of the format; never change
	sealedFrameHead  = 4 + encryption.NonceSize
)

// ErrSnapshotSealed says that a snapshot is sealed, and the store that is to restore it has no
// cipher. Restore it into one that has the key.
var ErrSnapshotSealed = errors.New("store: snapshot is sealed; restore it with the keys of the store that it was taken of")

// WithSealedSnapshots makes a store that seals its values seal its snapshots too, under the
// same key. Without it they are plain. It takes effect together with WithEncryption.
func WithSealedSnapshots() PebbleStoreOption {
	return func(s *pebbleStore) { s.seal.snapshots = true }
}

// snapshotOut returns where a snapshot is written to that goes to w; close ends it.
func (s *sealing) snapshotOut(w io.Writer) (out io.Writer, close func() error, err error) {
	if !s.snapshots {
		return plainOut(w)
	}
	id, err := s.keyID(directPath)
	if err != nil {
		return nil, nil, err
	}
	if id == 0 {
		return plainOut(w)
	}
	sw, err := s.newSealedWriter(w, id)
	if err != nil {
		return nil, nil, err
	}
	return sw, sw.close, nil
}

// plainOut is the snapshotOut of a snapshot that is plain.
func plainOut(w io.Writer) (io.Writer, func() error, error) {
	return w, func() error { return nil }, nil
}

// PlainSnapshot is a snapshot that can be written in clear although the store seals its snapshots: for whoever
// restores it into a store with other keys, and sees to it that it is read by nobody on the way.
type PlainSnapshot interface {
	Snapshot
	// WritePlainTo is WriteTo, and seals nothing.
	WritePlainTo(w io.Writer) (int64, error)
}

var _ PlainSnapshot = (*pebbleSnapshot)(nil)

// sealedWriter seals what is written to it, in frames.
type sealedWriter struct {
	w      io.Writer
	seal   *sealing
	keyID  uint32
	bound  []byte // the header, and room for the rest of the additional data
	number uint64
	plain  []byte
	frame  []byte // a buffer
	err    error  // the first one; it is final
}

func (s *sealing) newSealedWriter(w io.Writer, keyID uint32) (*sealedWriter, error) {
	stream, err := s.nonces.Next()
	if err != nil {
		return nil, fmt.Errorf("store: no nonce to seal a snapshot with: %w", err)
	}
	head := binary.BigEndian.AppendUint32([]byte(snapshotMagic), snapshotVersionSealed)
	head = append(binary.BigEndian.AppendUint32(head, keyID), stream[:]...)
	head = binary.BigEndian.AppendUint64(head, 0)
	sw := &sealedWriter{w: w, seal: s, keyID: keyID, bound: head, plain: make([]byte, 0, sealedFrameSize)}
	_, sw.err = w.Write(binary.BigEndian.AppendUint32(head[:len(head):len(head)], crc32.Checksum(head, castagnoli)))
	return sw, sw.err
}

// Write implements io.Writer. A frame is written when it is known not to be the last.
func (sw *sealedWriter) Write(p []byte) (n int, err error) {
	for len(p) > 0 && sw.err == nil {
		if len(sw.plain) == sealedFrameSize {
			sw.flush(0)
		}
		m := min(len(p), sealedFrameSize-len(sw.plain))
		sw.plain = append(sw.plain, p[:m]...)
		p, n = p[m:], n+m
	}
	return n, sw.err
}

func (sw *sealedWriter) close() error {
	sw.flush(sealedFrameLast)
	return sw.err
}

func (sw *sealedWriter) flush(last uint32) {
	if sw.err != nil {
		return
	}
	nonce, err := sw.seal.nonces.Next()
	if err != nil {
		sw.err = fmt.Errorf("store: no nonce to seal a snapshot with: %w", err)
		return
	}
	length := uint32(len(sw.plain)) | last
	sw.frame = append(binary.BigEndian.AppendUint32(sw.frame[:0], length), nonce[:]...)
	sw.frame, sw.err = sw.seal.cipher.Seal(sw.frame, sw.keyID, &nonce, sw.plain, frameBinding(sw.bound, sw.number, length))
	if sw.err == nil {
		_, sw.err = sw.w.Write(sw.frame)
	}
	sw.plain = sw.plain[:0]
	sw.number++
}

// frameBinding appends to a header what binds a frame.
func frameBinding(header []byte, number uint64, length uint32) []byte {
	b := binary.BigEndian.AppendUint64(header[:sealedHeaderSize], number)
	return binary.BigEndian.AppendUint32(b, length)
}

// openSnapshot returns the plain stream of the snapshot that r has, sealed or not. cipher
// may be nil.
func openSnapshot(r io.Reader, cipher *encryption.Cipher) (io.Reader, error) {
	head := make([]byte, sealedHeaderSize+4, sealedHeaderSize+8+4)
	const begin = len(snapshotMagic) + 4
	n, err := io.ReadFull(r, head[:begin])
	if err != nil || string(head[:len(snapshotMagic)]) != snapshotMagic || binary.BigEndian.Uint32(head[8:]) != snapshotVersionSealed {
		return io.MultiReader(&readOnce{head[:n], err}, r), nil // that it is none, or cut, is said by whoever reads it
	}
	if _, err := io.ReadFull(r, head[begin:]); err != nil {
		return nil, truncated(err)
	}
	if binary.BigEndian.Uint32(head[sealedHeaderSize:]) != crc32.Checksum(head[:sealedHeaderSize], castagnoli) {
		return nil, fmt.Errorf("store: snapshot: %w", ErrInvalidChecksum)
	}
	if binary.BigEndian.Uint64(head[sealedHeaderSize-8:]) != 0 {
		return nil, malformed("header %x", head)
	}
	if cipher == nil {
		return nil, ErrSnapshotSealed
	}
	return &sealedReader{r: r, cipher: cipher, keyID: binary.BigEndian.Uint32(head[12:]), bound: head}, nil
}

// readOnce yields some bytes, and then the error that came with them; io.EOF and
// io.ErrUnexpectedEOF are left to come again.
type readOnce struct {
	rest []byte
	err  error
}

func (o *readOnce) Read(p []byte) (int, error) {
	if len(o.rest) > 0 {
		n := copy(p, o.rest)
		o.rest = o.rest[n:]
		return n, nil
	}
	if o.err != nil && o.err != io.EOF && o.err != io.ErrUnexpectedEOF {
		return 0, o.err
	}
	return 0, io.EOF
}

// sealedReader opens the frames of a sealed snapshot. What it yields is intact; that it is
// all there is known when it ends.
type sealedReader struct {
	r      io.Reader
	cipher *encryption.Cipher
	keyID  uint32
	bound  []byte
	number uint64
	buf    [sealedFrameHead + sealedFrameSize + encryption.TagSize]byte
	plain  []byte // a buffer
	rest   []byte // of the current frame, in plain
	ended  bool   // the last frame has been opened
}

// Read implements io.Reader.
func (sr *sealedReader) Read(p []byte) (int, error) {
	for len(sr.rest) == 0 {
		if err := sr.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, sr.rest)
	sr.rest = sr.rest[n:]
	return n, nil
}

// next opens a frame. io.EOF says that the last one was opened and nothing follows it.
func (sr *sealedReader) next() error {
	if sr.ended {
		switch n, err := io.ReadFull(sr.r, sr.buf[:1]); {
		case n > 0:
			return malformed("data after the last frame")
		case err != io.EOF:
			return fmt.Errorf("store: read snapshot: %w", err)
		}
		return io.EOF
	}
	if _, err := io.ReadFull(sr.r, sr.buf[:sealedFrameHead]); err != nil {
		return truncated(err)
	}
	length := binary.BigEndian.Uint32(sr.buf[:4])
	n := length &^ sealedFrameLast
	if n == 0 || n > sealedFrameSize {
		return malformed("frame of %d bytes", n)
	}
	sealed := sr.buf[sealedFrameHead : sealedFrameHead+n+encryption.TagSize]
	if _, err := io.ReadFull(sr.r, sealed); err != nil {
		return truncated(err)
	}
	var err error
	nonce := (*[encryption.NonceSize]byte)(sr.buf[4:])
	sr.plain, err = sr.cipher.Open(sr.plain[:0], sr.keyID, nonce, sealed, frameBinding(sr.bound, sr.number, length))
	if err != nil {
		return fmt.Errorf("%w: snapshot, frame %d: %w", ErrEncryptedReadIntegrity, sr.number, err)
	}
	sr.rest, sr.ended = sr.plain, length&sealedFrameLast != 0
	sr.number++
	return nil
}

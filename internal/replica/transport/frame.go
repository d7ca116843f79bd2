package transport

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"slices"
)

// A connection carries frames, each of them
//
//	| length of the body (4) | kind (1) | CRC-32C (4) | body … |
//
// in big endian. The sum is that of the first five bytes and the body.
const (
	sumAt      = 5
	frameStart = 9
)

// kind says what the body of a frame is. The numbers are part of the format; never change.
type kind byte

const (
	kindHello    kind = 1  // the first one, of who dials: a hello
	kindWelcome  kind = 2  // the answer: a welcome
	kindRefusal  kind = 3  // the last one, of who was dialled: why, in UTF-8
	kindMessage  kind = 4  // | group (4) | from (8) | to (8) | raftpb.Message |
	kindPing     kind = 5  // of who dials; no body
	kindPong     kind = 6  // the answer; no body
	kindNote     kind = 13 // what a host says of its node; the host knows its form
	kindWord     kind = 14 // what a host passes on to another, of any length; likewise
	kindSnapshot kind = 7  // as a message: the MsgSnap whose image follows
	kindChunk    kind = 8  // a part of an image
	kindEnd      kind = 9  // | length of the image (8) | SHA-256 (32) | of the snapshot's body and the image
	kindAccepted kind = 10 // the answer, when the host has the image: the SHA-256 (32)
	kindHave     kind = 11 // the answer to a snapshot: | length (8) | SHA-256 (32) | of what is there of its image, and of its body and that
	kindAgain    kind = 12 // in the place of the first chunk: what is there is of another image, and this one begins anew; no body
)

// Limits of bodies. They are part of the format: what is longer is refused.
const (
	maxHello    = 1 << 10 // also of a later version
	maxRefusal  = 1 << 10
	maxNote     = 4 << 10
	maxWord     = 64 << 20
	maxMessage  = 65 << 20 // what raft takes as uncommitted, and some more
	maxSnapshot = 1 << 20
	maxChunk    = 256 << 10
	endSize     = 8 + 32
)

// limits are those of the kinds there are.
var limits = map[kind]uint32{
	kindNote: maxNote, kindWord: maxWord,
	kindHello: maxHello, kindWelcome: maxHello, kindRefusal: maxRefusal, kindMessage: maxMessage, kindPing: 0, kindPong: 0,
	kindSnapshot: maxSnapshot, kindChunk: maxChunk, kindEnd: endSize, kindAccepted: 32,
	kindHave: endSize, kindAgain: 0,
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// beginFrame appends the start of a frame; endFrame completes it when the body, no longer than
// its limit, is behind it.
func beginFrame(dst []byte, k kind) []byte { return append(dst, 0, 0, 0, 0, byte(k), 0, 0, 0, 0) }

func endFrame(dst []byte, at int) []byte {
	f := dst[at:]
	binary.BigEndian.PutUint32(f, uint32(len(f)-frameStart))
	binary.BigEndian.PutUint32(f[sumAt:], frameSum(f[:sumAt], f[frameStart:]))
	return dst
}

func frameSum(start, body []byte) uint32 {
	return crc32.Update(crc32.Checksum(start, castagnoli), castagnoli, body)
}

func appendFrame(dst []byte, k kind, body []byte) []byte {
	at := len(dst)
	return endFrame(append(beginFrame(dst, k), body...), at)
}

// frameReader reads frames. It keeps one body at a time, and takes memory for what has arrived, not for
// what was announced.
type frameReader struct {
	r   io.Reader
	buf []byte
}

// A body is read in steps that double from the first one; a buffer above keepBuffer is not kept.
const (
	firstStep  = 64 << 10
	keepBuffer = 1 << 20
)

// next returns the next frame, which has to be of one of the kinds; its body is valid until the
// next call. The error is io.EOF only between frames, and a refusal if the other side is to blame.
func (f *frameReader) next(kinds ...kind) (kind, []byte, error) {
	var start [frameStart]byte
	if _, err := io.ReadFull(f.r, start[:]); err != nil {
		return 0, nil, err
	}
	k, n := kind(start[4]), binary.BigEndian.Uint32(start[:])
	if !slices.Contains(kinds, k) {
		return 0, nil, refusef("a frame of kind %d has no place here", k)
	}
	if n > limits[k] {
		return 0, nil, refusef("a frame of kind %d announces %d bytes; %d are the most", k, n, limits[k])
	}
	body, err := f.body(int(n))
	if err != nil {
		return 0, nil, err
	}
	if binary.BigEndian.Uint32(start[sumAt:]) != frameSum(start[:sumAt], body) {
		return 0, nil, refusef("a frame of kind %d is damaged: its sum is wrong", k)
	}
	return k, body, nil
}

func (f *frameReader) body(n int) ([]byte, error) {
	if cap(f.buf) > keepBuffer {
		f.buf = nil
	}
	f.buf = f.buf[:0]
	for len(f.buf) < n {
		have := len(f.buf)
		step := min(n-have, max(firstStep, have))
		f.buf = slices.Grow(f.buf, step)[:have+step]
		if _, err := io.ReadFull(f.r, f.buf[have:]); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
	return f.buf, nil
}

package transport

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
)

// takeSnapshot receives a snapshot, if not too many are on their way already.
func (t *Transport) takeSnapshot(c *conn, from NodeID) error {
	select {
	case t.taking <- struct{}{}:
		defer func() { <-t.taking }()
	default:
		return refusef("this node is receiving %d snapshots already", cap(t.taking))
	}
	if err := t.welcome(c, t.o.SnapshotTimeout); err != nil {
		return err
	}
	k, body, err := c.frames.next(kindSnapshot)
	if err != nil {
		return err
	}
	group, m, err := parseMessage(k, body)
	if err != nil {
		return err
	}
	image := newImageReader(&c.frames, body)
	file, err := t.o.Host.StageSnapshot(from, group, m)
	if err != nil {
		return refusal(err.Error())
	}
	if err := stage(file, image); err != nil {
		return err
	}
	if err := t.o.Host.ReceiveSnapshot(from, group, m, file.Name()); err != nil {
		return errors.Join(refusal(err.Error()), os.Remove(file.Name()))
	}
	_, err = c.Write(appendFrame(nil, kindAccepted, image.hash.Sum(nil)))
	return err
}

// stage writes an image to a file and closes it. If anything fails there is no file.
func stage(file *os.File, image io.Reader) error {
	var disk error
	_, err := io.Copy(writerFunc(func(p []byte) (int, error) {
		n, err := file.Write(p)
		disk = err
		return n, err
	}), image)
	if err == nil {
		disk = file.Sync()
	}
	if closed := file.Close(); disk == nil {
		disk = closed
	}
	if disk != nil {
		err = refusef("the image cannot be kept: %v", disk)
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return nil
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// imageReader reads an image. It returns io.EOF only when the image is whole, and any other
// error if it is not.
type imageReader struct {
	frames *frameReader
	hash   hash.Hash // of the snapshot's body and what was read
	size   uint64
	chunk  []byte // not read yet
	ended  bool
}

// newImageReader reads the image behind a frame of kindSnapshot with this body.
func newImageReader(frames *frameReader, body []byte) *imageReader {
	r := &imageReader{frames: frames, hash: newSum()}
	r.hash.Write(body)
	return r
}

// newSum is the sum over a snapshot.
func newSum() hash.Hash { return sha256.New() }

// Read implements io.Reader.
func (r *imageReader) Read(p []byte) (int, error) {
	for len(r.chunk) == 0 {
		if r.ended {
			return 0, io.EOF
		}
		k, body, err := r.frames.next(kindChunk, kindEnd)
		switch {
		case errors.Is(err, io.EOF):
			return 0, fmt.Errorf("the image ends without its end: %w", io.ErrUnexpectedEOF)
		case err != nil:
			return 0, err
		case k == kindEnd:
			if err := r.end(body); err != nil {
				return 0, err
			}
			r.ended = true
		default:
			r.hash.Write(body)
			r.size += uint64(len(body))
			r.chunk = body
		}
	}
	n := copy(p, r.chunk)
	r.chunk = r.chunk[n:]
	return n, nil
}

// end compares what was announced with what has come.
func (r *imageReader) end(body []byte) error {
	if len(body) != endSize {
		return refusef("an end of %d bytes; it has %d", len(body), endSize)
	}
	if size := binary.BigEndian.Uint64(body); size != r.size {
		return refusef("the image has %d bytes and ends after %d", size, r.size)
	}
	if string(body[8:]) != string(r.hash.Sum(nil)) {
		return refusef("the image is not what was sent: its SHA-256 is wrong")
	}
	return nil
}

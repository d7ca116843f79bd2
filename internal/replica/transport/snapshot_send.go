package transport

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"
)

// Image is what a replica is made of, such as a store.Snapshot.
type Image interface {
	io.WriterTo
	io.Closer
}

// OpenImage makes an image, and the MsgSnap that says of which moment it is. It is called when the image's turn
// to be sent has come.
type OpenImage func() (*pb.Message, Image, error)

// SendSnapshot sends an image to a replica on another node. How that ended, Host.SnapshotSent is told:
// after Close by this call, else by a goroutine of its own.
func (t *Transport) SendSnapshot(node NodeID, to Address, open OpenImage) {
	if !t.spawn(func() { t.o.Host.SnapshotSent(to, t.sendSnapshot(node, to, open)) }) {
		t.o.Host.SnapshotSent(to, ErrClosed)
	}
}

func (t *Transport) sendSnapshot(node NodeID, to Address, open OpenImage) error {
	p, err := t.peer(node)
	if err != nil {
		return err
	}
	turn, cancel := context.WithTimeout(p.ctx, t.o.SnapshotTimeout)
	defer cancel()
	select {
	case t.sending <- struct{}{}:
		defer func() { <-t.sending }()
	case <-turn.Done():
		return fmt.Errorf("transport: a snapshot to node %d has not had its turn: %w", node, turn.Err())
	}
	if err := t.sendImage(p, to, open); err != nil {
		return fmt.Errorf("transport: a snapshot to node %d: %w", node, err)
	}
	return nil
}

// resumeMost is how often in a row a connection may break before more of the image has got there.
const resumeMost = 4

// sendImage sends a snapshot on a connection of its own, and if that breaks, goes on where it was on another one. The other
// node is reached first: an image is not made in vain.
func (t *Transport) sendImage(p *peer, to Address, open OpenImage) (err error) {
	s := &imageSender{t: t, p: p, to: to, open: open}
	defer func() {
		if s.image != nil {
			err = errors.Join(err, s.image.Close())
		}
	}()
	backoff := min(backoffFirst, t.o.Backoff)
	for vain := 0; ; vain++ {
		before := s.there
		if err = s.attempt(); err == nil || !s.broken || s.image == nil || p.ctx.Err() != nil {
			return err
		}
		if s.there > before {
			vain, backoff = 0, min(backoffFirst, t.o.Backoff)
		}
		if vain == resumeMost {
			return err
		}
		t.o.Log.Info("a snapshot goes on after its connection has broken", "node", p.id, "there", s.there, "error", err)
		if err := sleep(p.ctx, backoff); err != nil {
			return err
		}
		backoff = min(2*backoff, t.o.Backoff)
	}
}

// imageSender is the sending of one image.
type imageSender struct {
	t    *Transport
	p    *peer
	to   Address
	open OpenImage

	image  Image  // nil before it is made
	frame  []byte // of its MsgSnap
	there  uint64 // bytes of it that the other node has, as it has said last
	broken bool   // the last attempt has failed for want of a connection
}

// attempt sends the image, or the rest of it, on a new connection.
func (s *imageSender) attempt() error {
	s.broken = true
	c, closeConn, err := s.t.connect(s.p.ctx, s.p, forSnapshot)
	if err != nil {
		s.broken = !isRefused(err)
		return err
	}
	defer closeConn()
	if err := s.make(); err != nil {
		s.broken = false
		return err
	}
	if _, err := c.Write(s.frame); err != nil {
		return s.reason(c, err)
	}
	if err := c.SetReadDeadline(s.t.o.Now().Add(s.t.o.SnapshotTimeout)); err != nil {
		return err
	}
	have, err := c.answer(s.p.id, kindHave)
	if err != nil {
		s.broken = !isRefused(err)
		return err
	}
	if len(have) != endSize {
		s.broken = false
		return fmt.Errorf("an answer to a snapshot of %d bytes; it has %d", len(have), endSize)
	}
	if err := c.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	s.there = binary.BigEndian.Uint64(have)
	return s.rest(c, closeConn, have[8:])
}

// reason returns why a write has failed: the other node may have said it.
func (s *imageSender) reason(c *conn, err error) error {
	if c.SetReadDeadline(s.t.o.Now().Add(s.t.o.Timeout)) != nil {
		return err
	}
	if _, why := c.answer(s.p.id, kindHave); isRefused(why) {
		s.broken = false
		return why
	}
	return err
}

// isRefused reports whether an error is no matter of the connection: to try again would be in vain.
func isRefused(err error) bool {
	_, refused := errors.AsType[*refusedError](err)
	_, wrong := errors.AsType[refusal](err)
	return refused || wrong
}

// make makes the image, once.
func (s *imageSender) make() error {
	if s.image != nil {
		return nil
	}
	m, image, err := s.open()
	if err != nil {
		return err
	}
	s.image = image
	if m.GetTo() != s.to.Replica {
		return fmt.Errorf("%w: a snapshot for replica %d is addressed to %d", ErrNotSendable, s.to.Replica, m.GetTo())
	}
	if _, err := messageSize(kindSnapshot, m); err != nil {
		return err
	}
	s.frame, err = appendMessage(nil, kindSnapshot, s.to.Group, m)
	return err
}

// rest sends what the other node does not have of the image, if what it has is of this one, whose sum is given.
func (s *imageSender) rest(c *conn, closeConn func(), have []byte) error {
	sum := make(chan []byte, 1) // of what was sent, when all of it was
	heard := make(chan error, 1)
	go func() {
		err := awaitAccepted(c, s.p.id, sum)
		closeConn()
		heard <- err
	}()
	w := &chunkWriter{ctx: s.p.ctx, c: c, rate: s.t.o.SnapshotRate, body: s.frame[frameStart:], there: s.there, have: have}
	sendErr := w.send(s.image, func() error {
		sum <- w.hash.Sum(nil)
		return c.SetReadDeadline(s.t.o.Now().Add(s.t.o.SnapshotTimeout))
	})
	if sendErr != nil {
		closeConn()
	}
	why := <-heard
	if sendErr == nil || !closedHere(why) {
		s.broken = !isRefused(why) && !errors.Is(why, errWrongAccept)
		return why
	}
	s.broken = w.broken
	return sendErr
}

var errWrongAccept = errors.New("what was accepted is not what was sent")

// awaitAccepted reads the answer to a snapshot.
func awaitAccepted(c *conn, by NodeID, sum <-chan []byte) error {
	got, err := c.answer(by, kindAccepted)
	if err != nil {
		return err
	}
	select {
	case want := <-sum:
		if string(got) == string(want) {
			return nil
		}
		return fmt.Errorf("%w: another snapshot was", errWrongAccept)
	default:
		return fmt.Errorf("%w: the snapshot was accepted before its end", errWrongAccept)
	}
}

// chunkWriter writes an image as chunks, no faster than rate. What is there already it passes over.
type chunkWriter struct {
	ctx    context.Context
	c      *conn
	rate   int    // bytes a second; 0 is no limit
	body   []byte // of the snapshot
	there  uint64 // bytes of an image that are there
	have   []byte // the sum of the body and those
	hash   hash.Hash
	size   uint64 // of what was passed over or sent
	passed uint64 // bytes since something was sent
	broken bool   // the connection
	buf    []byte
}

// passedMost is how much of an image is passed over before the other node hears that this goes on.
const passedMost = 16 << 20

// errAnother says that what is there is of another image.
var errAnother = errors.New("the image is not the one of which a part is there")

// send writes the image behind the frame of its MsgSnap, and the end. Just before the end it calls ending.
func (w *chunkWriter) send(image Image, ending func() error) error {
	err := w.pass(image)
	if errors.Is(err, errAnother) {
		if err = w.write(kindAgain, nil); err == nil {
			w.there = 0
			err = w.pass(image)
		}
	}
	if err != nil {
		return err
	}
	end := w.hash.Sum(binary.BigEndian.AppendUint64(nil, w.size))
	if err := ending(); err != nil {
		return err
	}
	return w.write(kindEnd, end)
}

// pass writes the image once, from its beginning on.
func (w *chunkWriter) pass(image Image) error {
	w.hash, w.size, w.passed = newSum(), 0, 0
	w.hash.Write(w.body)
	buffered := bufio.NewWriterSize(w, maxChunk)
	if _, err := image.WriteTo(buffered); err != nil {
		return err
	}
	if err := buffered.Flush(); err != nil {
		return err
	}
	if w.size < w.there {
		return errAnother
	}
	return nil
}

func (w *chunkWriter) write(k kind, body []byte) error {
	w.buf = appendFrame(w.buf[:0], k, body)
	_, err := w.c.Write(w.buf)
	w.broken = err != nil
	return err
}

// Write implements io.Writer.
func (w *chunkWriter) Write(p []byte) (n int, err error) {
	for len(p) > 0 {
		chunk := p[:min(len(p), maxChunk)]
		if w.size < w.there {
			chunk = chunk[:min(uint64(len(chunk)), w.there-w.size)]
			err = w.skip(chunk)
		} else {
			err = w.chunk(chunk)
		}
		if err != nil {
			return n, err
		}
		n += len(chunk)
		p = p[len(chunk):]
	}
	return n, nil
}

// skip passes over what is there, and compares it at the end.
func (w *chunkWriter) skip(b []byte) error {
	w.hash.Write(b)
	w.size += uint64(len(b))
	if w.size == w.there && string(w.hash.Sum(nil)) != string(w.have) {
		return errAnother
	}
	if w.passed += uint64(len(b)); w.passed >= passedMost {
		w.passed = 0
		return w.write(kindChunk, nil) // a sign of life
	}
	return nil
}

func (w *chunkWriter) chunk(b []byte) error {
	w.hash.Write(b)
	w.size += uint64(len(b))
	if err := w.write(kindChunk, b); err != nil || w.rate == 0 {
		return err
	}
	return sleep(w.ctx, time.Duration(len(b))*time.Second/time.Duration(w.rate))
}

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

// sendImage sends a snapshot on a connection of its own. The other node is reached first: an image is
// not made in vain.
func (t *Transport) sendImage(p *peer, to Address, open OpenImage) (err error) {
	c, closeConn, err := t.connect(p.ctx, p, forSnapshot)
	if err != nil {
		return err
	}
	defer closeConn()
	m, image, err := open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, image.Close()) }()
	if m.GetTo() != to.Replica {
		return fmt.Errorf("%w: a snapshot for replica %d is addressed to %d", ErrNotSendable, to.Replica, m.GetTo())
	}
	if _, err := messageSize(kindSnapshot, m); err != nil {
		return err
	}
	frame, err := appendMessage(nil, kindSnapshot, to.Group, m)
	if err != nil {
		return err
	}
	sum := make(chan []byte, 1) // of what was sent, when all of it was
	heard := make(chan error, 1)
	go func() {
		err := awaitAccepted(c, p.id, sum)
		closeConn()
		heard <- err
	}()
	w := &chunkWriter{ctx: p.ctx, c: c, rate: t.o.SnapshotRate, hash: newSum()}
	sendErr := w.send(frame, image, func() error {
		sum <- w.hash.Sum(nil)
		return c.SetReadDeadline(t.o.Now().Add(t.o.SnapshotTimeout))
	})
	if sendErr != nil {
		closeConn()
	}
	if why := <-heard; sendErr == nil || !closedHere(why) {
		return why
	}
	return sendErr
}

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
		return errors.New("another snapshot than the one sent was accepted")
	default:
		return errors.New("the snapshot was accepted before its end")
	}
}

// chunkWriter writes an image as chunks, no faster than rate.
type chunkWriter struct {
	ctx  context.Context
	c    *conn
	rate int       // bytes a second; 0 is no limit
	hash hash.Hash // of the snapshot's body and the image
	size uint64    // of the image
	buf  []byte
}

// send writes the frame of a MsgSnap, the image, and the end. Just before the end it calls ending.
func (w *chunkWriter) send(frame []byte, image Image, ending func() error) error {
	w.hash.Write(frame[frameStart:])
	if _, err := w.c.Write(frame); err != nil {
		return err
	}
	buffered := bufio.NewWriterSize(w, maxChunk)
	if _, err := image.WriteTo(buffered); err != nil {
		return err
	}
	if err := buffered.Flush(); err != nil {
		return err
	}
	end := w.hash.Sum(binary.BigEndian.AppendUint64(nil, w.size))
	if err := ending(); err != nil {
		return err
	}
	_, err := w.c.Write(appendFrame(nil, kindEnd, end))
	return err
}

// Write implements io.Writer.
func (w *chunkWriter) Write(p []byte) (n int, err error) {
	for len(p) > 0 {
		chunk := p[:min(len(p), maxChunk)]
		w.hash.Write(chunk)
		w.size += uint64(len(chunk))
		w.buf = appendFrame(w.buf[:0], kindChunk, chunk)
		if _, err := w.c.Write(w.buf); err != nil {
			return n, err
		}
		n += len(chunk)
		p = p[len(chunk):]
		if w.rate > 0 {
			if err := sleep(w.ctx, time.Duration(len(chunk))*time.Second/time.Duration(w.rate)); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

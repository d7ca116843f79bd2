package transport

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"
)

// takeSnapshot receives a snapshot, if not too many are on their way already. If its connection breaks, what has come is kept
// for the next one.
func (t *Transport) takeSnapshot(c *conn, from NodeID) error {
	release, err := t.takeTurn(from)
	if err != nil {
		return err
	}
	defer release()
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
	key := imageKey{from, Address{group, m.GetTo()}}
	r, leave, err := t.enter(inboundKey{from, forSnapshot, key.to}, c)
	defer leave()
	if err != nil {
		return err
	}
	p := t.takePartial(key, body)
	if p == nil {
		stage, err := t.o.Host.StageSnapshot(from, group, m)
		if err != nil {
			return refusal(err.Error())
		}
		p = newPartial(stage, body)
	}
	if _, err := c.Write(appendFrame(nil, kindHave, p.have())); err != nil {
		t.keepPartial(key, p)
		return err
	}
	if err := p.receive(&c.frames, func() { r.heard.Store(int64(t.age())) }); err != nil {
		if _, refused := errors.AsType[refusal](err); refused {
			return errors.Join(err, p.stage.Remove())
		}
		t.keepPartial(key, p)
		return err
	}
	if err := t.o.Host.ReceiveSnapshot(from, group, m, p.stage); err != nil {
		return errors.Join(refusal(err.Error()), p.stage.Remove())
	}
	_, err = c.Write(appendFrame(nil, kindAccepted, p.hash.Sum(nil)))
	return err
}

// imageKey names the images of which one is received at a time, on one connection.
type imageKey struct {
	from NodeID
	to   Address
}

// takeTurn returns when a snapshot of a node may be received. If too many are, one of the same node that has been silent for a
// while is taken for dead.
func (t *Transport) takeTurn(from NodeID) (release func(), err error) {
	release = func() { <-t.taking }
	select {
	case t.taking <- struct{}{}:
		return release, nil
	default:
	}
	var silent *inbound
	t.mu.Lock()
	for key, r := range t.mu.inbound {
		if key.node == from && key.use == forSnapshot && t.age()-time.Duration(r.heard.Load()) > t.o.Timeout {
			silent = r
		}
	}
	t.mu.Unlock()
	if silent != nil {
		_ = silent.c.Close()
		select {
		case t.taking <- struct{}{}:
			return release, nil
		case <-t.ctx.Done():
			return nil, t.ctx.Err()
		}
	}
	return nil, refusef("this node is receiving %d snapshots already", cap(t.taking))
}

// partial is an image as far as it has come.
type partial struct {
	body  []byte // of the snapshot
	stage Stage
	hash  hash.Hash // of the body and what is in the stage
	size  uint64    // of what is in the stage
	timer *time.Timer
}

func newPartial(stage Stage, body []byte) *partial {
	p := &partial{body: bytes.Clone(body), stage: stage}
	p.begin()
	return p
}

// begin has it that nothing has come.
func (p *partial) begin() {
	p.hash, p.size = newSum(), 0
	p.hash.Write(p.body)
}

func (p *partial) have() []byte { return p.hash.Sum(binary.BigEndian.AppendUint64(nil, p.size)) }

// receive writes what comes into the stage, up to the end of the image, and finishes it. After a refusal the stage is of no use,
// after any other error it is what it was before, and more.
func (p *partial) receive(frames *frameReader, heard func()) error {
	for {
		k, body, err := frames.next(kindChunk, kindEnd, kindAgain)
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("the image ends without its end: %w", io.ErrUnexpectedEOF)
		}
		if err != nil {
			return err
		}
		heard()
		switch k {
		case kindChunk:
			if _, err = p.stage.Write(body); err == nil {
				p.hash.Write(body)
				p.size += uint64(len(body))
			}
		case kindAgain:
			p.begin()
			err = p.stage.Restart()
		case kindEnd:
			if err := p.end(body); err != nil {
				return err
			}
			if err = p.stage.Finish(); err == nil {
				return nil
			}
		}
		if err != nil {
			return refusef("the image cannot be kept: %v", err)
		}
	}
}

// end compares what was announced with what has come.
func (p *partial) end(body []byte) error {
	if len(body) != endSize {
		return refusef("an end of %d bytes; it has %d", len(body), endSize)
	}
	if size := binary.BigEndian.Uint64(body); size != p.size {
		return refusef("the image has %d bytes and ends after %d", size, p.size)
	}
	if string(body[8:]) != string(p.hash.Sum(nil)) {
		return refusef("the image is not what was sent: its SHA-256 is wrong")
	}
	return nil
}

// partialWaits is how many times Options.SnapshotTimeout a part of an image is kept for.
const partialWaits = 5

// keepPartial keeps what has come of an image until somebody goes on with it, or nobody does for a while.
func (t *Transport) keepPartial(key imageKey, p *partial) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.mu.closed || len(t.mu.partial) >= 2*cap(t.taking) {
		t.left(p.stage.Remove())
		return
	}
	t.mu.partial[key] = p
	p.timer = time.AfterFunc(partialWaits*t.o.SnapshotTimeout, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.mu.partial[key] == p {
			delete(t.mu.partial, key)
			t.left(p.stage.Remove())
		}
	})
}

// takePartial returns what has come of the image of a snapshot, or nil. What there is of another one is removed.
func (t *Transport) takePartial(key imageKey, body []byte) *partial {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.mu.partial[key]
	if p == nil {
		return nil
	}
	delete(t.mu.partial, key)
	p.timer.Stop()
	if !bytes.Equal(p.body, body) {
		t.left(p.stage.Remove())
		return nil
	}
	return p
}

func (t *Transport) dropPartials() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for key, p := range t.mu.partial {
		p.timer.Stop()
		t.left(p.stage.Remove())
		delete(t.mu.partial, key)
	}
}

// left says that a file was left, if it was.
func (t *Transport) left(err error) {
	if err != nil {
		t.o.Log.Warn("a part of an image was left", "error", err)
	}
}

// newSum is the sum over a snapshot.
func newSum() hash.Hash { return sha256.New() }

package raftlog

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	pb "go.etcd.io/raft/v3/raftpb"

	"github.com/elastickv/elastickv/encryption"
)

// Seal says how entries are sealed. The zero value seals nothing, and opens nothing.
type Seal struct {
	Cipher *encryption.Cipher
	// Nonce returns a nonce that nobody has used under any key of Cipher.
	Nonce func() ([encryption.NonceSize]byte, error)
	// Key returns the key that entries are sealed under from now on; 0: they are written clear.
	Key func() uint32
	// Floor returns the key below which no entry is, clear ones being below 1: one that is found all the same is
	// refused, because somebody has put it there.
	Floor func() uint32
}

// key returns the key that an entry is sealed under that is written now; 0: none.
func (s *Seal) key() uint32 {
	if s.Cipher == nil {
		return 0
	}
	return s.Key()
}

// floor returns what readers that begin now go by: who asks later would refuse what he has found before.
func (s *Seal) floor() uint32 {
	if s.Cipher == nil {
		return 0
	}
	return s.Floor()
}

// A sealed entry has an envelope in the place of its data, and sealedType in its type. What is sealed is bound to the place
// of the entry:
//
//	| header of the envelope (6) | "raftlog" | group (4) | index (8) | term (8) | type (1) |     additional data
const sealedType = 0x80 // part of the format; never change

const sealLabel = "raftlog" // part of the format; never change

func appendBinding(dst []byte, g GroupID, index, term uint64, kind byte) []byte {
	dst = append(dst, sealLabel...)
	dst = binary.BigEndian.AppendUint32(dst, uint32(g))
	dst = binary.BigEndian.AppendUint64(dst, index)
	dst = binary.BigEndian.AppendUint64(dst, term)
	return append(dst, kind)
}

// appendRow appends the row of an entry, sealed under a key, or clear if that is 0.
func (s *Seal) appendRow(dst []byte, g GroupID, e *pb.Entry, key uint32) ([]byte, error) {
	if key == 0 {
		return appendEntry(dst, e), nil
	}
	nonce, err := s.Nonce()
	if err != nil {
		return dst, err
	}
	kind := byte(e.GetType()) | sealedType
	dst = append(binary.BigEndian.AppendUint64(dst, e.GetTerm()), kind)
	var room [64]byte
	bound := appendBinding(encryption.AppendEnvelopeHeader(room[:0], key), g, e.GetIndex(), e.GetTerm(), kind)
	dst = append(encryption.AppendEnvelopeHeader(dst, key), nonce[:]...)
	return s.Cipher.Seal(dst, key, &nonce, e.GetData(), bound)
}

// parseRow decodes the row of an entry, and opens it if it is sealed. The entry's data is a copy. floor is from before the
// row was looked for.
func (s *Seal) parseRow(g GroupID, index uint64, row []byte, floor uint32) (*pb.Entry, error) {
	key, err := s.keyOf(g, index, row, floor)
	if err != nil {
		return nil, err
	}
	if key == 0 {
		return parseEntry(index, row)
	}
	sealed, err := encryption.ParseEnvelope(row[9:])
	if err != nil {
		return nil, tampered(g, index, err)
	}
	var room [64]byte
	bound := appendBinding(append(room[:0], row[9:9+encryption.EnvelopeHeaderSize]...), g, index, binary.BigEndian.Uint64(row), row[8])
	plain, err := s.Cipher.Open(append(make([]byte, 0, 9+len(sealed.Sealed)), row[:9]...), key, sealed.Nonce, sealed.Sealed, bound)
	if err != nil {
		return nil, tampered(g, index, err)
	}
	plain[8] &^= sealedType
	return parseEntry(index, plain)
}

// keyOf returns the key that a row is sealed under, 0 if it is clear, or an error if it may not be.
func (s *Seal) keyOf(g GroupID, index uint64, row []byte, floor uint32) (key uint32, err error) {
	if len(row) < 9 {
		return 0, fmt.Errorf("%w: entry %d in %d bytes", ErrDamaged, index, len(row))
	}
	if row[8]&sealedType != 0 {
		sealed, err := encryption.ParseEnvelope(row[9:])
		if err != nil {
			return 0, tampered(g, index, err)
		}
		key = sealed.KeyID
	}
	if s.Cipher == nil {
		if key != 0 {
			return 0, fmt.Errorf("%w: group %d, entry %d", ErrSealed, g, index)
		}
		return 0, nil
	}
	if key < floor {
		return 0, tampered(g, index, fmt.Errorf("it is under key %d, and there should be none below %d", key, floor))
	}
	return key, nil
}

func tampered(g GroupID, index uint64, err error) error {
	return fmt.Errorf("%w: group %d, entry %d: %w (%w)", ErrTampered, g, index, err, ErrDamaged)
}

// resealBatch is how many bytes of entries are sealed again at once. Meanwhile nothing else is written.
const resealBatch = 256 << 10

// ResealOptions say what Reseal does.
type ResealOptions struct {
	Below uint32 // entries under a lower key are sealed again, clear ones being under 0
	// Throttle returns when so many bytes may have been written since it was called last.
	Throttle func(ctx context.Context, bytes int) error
	// Purge has the engine merge its tables in the end, so that they no longer hold what was replaced.
	Purge bool
}

// Reseal seals entries again, while others are written. It may be called again after an error.
func (l *Log) Reseal(ctx context.Context, o ResealOptions) error {
	for _, g := range l.groups() {
		for next, more := uint64(0), true; more; {
			var bytes int
			var err error
			if next, bytes, more, err = l.resealSome(g, next, o.Below); err != nil {
				return fmt.Errorf("raftlog: reseal: %w", err)
			}
			if err := o.Throttle(ctx, bytes); err != nil {
				return err
			}
		}
	}
	if !o.Purge {
		return nil
	}
	if err := l.db.Flush(); err != nil {
		return fmt.Errorf("raftlog: reseal: %w", err)
	}
	if err := l.db.Compact(ctx, []byte{0}, []byte{0xff, 0xff, 0xff, 0xff, 0xff}, false); err != nil {
		return fmt.Errorf("raftlog: reseal: %w", err)
	}
	return nil
}

// resealSome seals a batch of entries of a group again, from an index on. It returns where to go on, how many bytes it has
// looked at, and whether there are more.
func (l *Log) resealSome(g *Group, from uint64, below uint32) (next uint64, bytes int, more bool, err error) {
	l.order.Lock()
	defer l.order.Unlock()
	first, _ := g.FirstIndex()
	last := g.lastIndex()
	floor := l.o.Seal.floor()
	var again []*pb.Entry
	for next = max(from, first); next <= last && bytes < resealBatch; next++ {
		row, ok, err := l.row(appendEntryKey(nil, g.id, next))
		if err != nil || !ok {
			return 0, 0, false, errors.Join(err, fmt.Errorf("%w: group %d has no entry %d", ErrDamaged, g.id, next))
		}
		bytes += len(row)
		key, err := l.o.Seal.keyOf(g.id, next, row, floor)
		if err != nil {
			return 0, 0, false, err
		}
		if key >= below {
			continue
		}
		e, err := l.o.Seal.parseRow(g.id, next, row, floor)
		if err != nil {
			return 0, 0, false, err
		}
		again = append(again, e)
	}
	if len(again) == 0 {
		return next, bytes, next <= last, nil
	}
	if key := l.o.Seal.key(); key < below {
		return 0, 0, false, fmt.Errorf("entries below key %d are to go, and key %d is in use", below, key)
	}
	err = l.changeLocked(pebble.Sync, func(b *pebble.Batch) error { return l.putEntries(b, g.id, again) }, func() {})
	return next, bytes, next <= last, err
}

package store

import (
	"encoding/binary"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/elastickv/elastickv/encryption"
)

// The registry of writers is rows of the store's own, one for each key id and folded
// node id:
//
//	| 0x00 | "!writer|" | key id (4) | folded node id (2) | 0x00 |      key
//	| node id (8) | first epoch (2) | last epoch (2) |                 value, all big endian
//
// They tell which nonces were made, and a nonce that was made stays made: so they sort
// below everything that a restore replaces.
const writerRowSize = 8 + 2 + 2 // part of the format; never change

var (
	metaWriterPrefix = []byte("\x00!writer|")     // part of the format; never change
	metaWriterFirst  = []byte("\x00!writer|\x00") // the bound below every row of the registry
	metaWriterEnd    = []byte("\x00!writer}\x00") // the bound above
)

// WriterRegistryFor returns the registry of writers that s keeps beside its values. It
// fails with ErrUnsupportedStoreForWriterRegistry unless NewPebbleStore made s. The
// registry is closed with s.
func WriterRegistryFor(s MVCCStore) (encryption.WriterRegistryStore, error) {
	p, ok := s.(*pebbleStore)
	if !ok || p == nil {
		return nil, ErrUnsupportedStoreForWriterRegistry
	}
	return writerRegistry{p}, nil
}

// writerRegistry is the registry of writers in a store.
type writerRegistry struct{ s *pebbleStore }

// WriterRow implements encryption.WriterRegistryStore.
func (r writerRegistry) WriterRow(keyID uint32, folded uint16) (encryption.WriterRow, bool, error) {
	if err := r.s.enter(); err != nil {
		return encryption.WriterRow{}, false, err
	}
	defer r.s.gate.leave()
	key := appendWriterKey(nil, keyID, folded)
	row, ok, err := r.s.metaRow(key)
	if err != nil || !ok {
		return encryption.WriterRow{}, false, err
	}
	w, err := parseWriterRow(key, row)
	return w, err == nil, err
}

// PutWriterRow implements encryption.WriterRegistryStore.
func (r writerRegistry) PutWriterRow(w encryption.WriterRow) error {
	if w.KeyID == 0 {
		return fmt.Errorf("store: writer registry: %w", encryption.ErrKeyIDReserved)
	}
	if err := r.s.enter(); err != nil {
		return err
	}
	defer r.s.gate.leave()
	row := r.s.newWrite(directPath)
	key := appendWriterKey(nil, w.KeyID, encryption.FoldNodeID(w.NodeID))
	if err := row.batch.Set(key, appendWriterRow(nil, w), nil); err != nil {
		return firstError(err, row.batch.Close())
	}
	return row.commit()
}

// WalkWriterRows implements encryption.WriterRegistryStore.
func (r writerRegistry) WalkWriterRows(fn func(encryption.WriterRow) error) (err error) {
	if err := r.s.enter(); err != nil {
		return err
	}
	defer r.s.gate.leave()
	iter, err := r.s.db.NewIter(&pebble.IterOptions{LowerBound: metaWriterFirst, UpperBound: metaWriterEnd})
	if err != nil {
		return err
	}
	defer func() { err = firstError(err, iter.Close()) }()
	for ok := iter.First(); ok; ok = iter.Next() {
		row, err := iter.ValueAndErr()
		if err != nil {
			return err
		}
		w, err := parseWriterRow(iter.Key(), row)
		if err != nil {
			return err
		}
		if err := fn(w); err != nil {
			return err
		}
	}
	return iter.Error()
}

func appendWriterKey(dst []byte, keyID uint32, folded uint16) []byte {
	dst = binary.BigEndian.AppendUint32(append(dst, metaWriterPrefix...), keyID)
	return append(binary.BigEndian.AppendUint16(dst, folded), keySentinel)
}

func appendWriterRow(dst []byte, w encryption.WriterRow) []byte {
	dst = binary.BigEndian.AppendUint64(dst, w.NodeID)
	dst = binary.BigEndian.AppendUint16(dst, w.FirstEpoch)
	return binary.BigEndian.AppendUint16(dst, w.LastEpoch)
}

// parseWriterRow decodes a row of the registry and checks that it stands under its key.
func parseWriterRow(key, row []byte) (encryption.WriterRow, error) {
	if len(key) != len(metaWriterPrefix)+4+2+1 || len(row) != writerRowSize {
		return encryption.WriterRow{}, fmt.Errorf("%w: writer registry: row %x under %q", errValueDamaged, row, key)
	}
	w := encryption.WriterRow{
		KeyID:      binary.BigEndian.Uint32(key[len(metaWriterPrefix):]),
		NodeID:     binary.BigEndian.Uint64(row),
		FirstEpoch: binary.BigEndian.Uint16(row[8:]),
		LastEpoch:  binary.BigEndian.Uint16(row[10:]),
	}
	folded := binary.BigEndian.Uint16(key[len(metaWriterPrefix)+4:])
	if w.KeyID == 0 || w.FirstEpoch > w.LastEpoch || folded != encryption.FoldNodeID(w.NodeID) {
		return encryption.WriterRow{}, fmt.Errorf("%w: writer registry: row %x under %q", errValueDamaged, row, key)
	}
	return w, nil
}

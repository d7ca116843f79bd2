package encryption

import "fmt"

// A nonce is made of who makes it, which of its lives it is in, and a counter:
//
//	| folded node id (2) | epoch (2) | counter (8) |      all big endian
//
// A node raises its epoch each time that it starts, before it makes a nonce. So no two nonces
// under a key are alike as long as no two nodes fold to the same id and no epoch
// is lived twice, and that is what the registry of writers is for: it has one row for each
// key and node, and who is not admitted by it makes no nonces.

// WriterRow is a row of the registry: a node that has sealed under a key.
type WriterRow struct {
	KeyID      uint32
	NodeID     uint64
	FirstEpoch uint16
	LastEpoch  uint16
}

// WriterRegistryStore keeps the rows of the registry, one for each key id and folded
// node id. It is safe for concurrent use.
type WriterRegistryStore interface {
	// WriterRow returns the row of a key id and a folded node id, and whether there is one.
	WriterRow(keyID uint32, folded uint16) (WriterRow, bool, error)
	// PutWriterRow stores row in place of the one with its key id and folded node id.
	// The row is durable when it returns.
	PutWriterRow(row WriterRow) error
	// WalkWriterRows calls fn for every row, in order of key id and folded node id,
	// until fn returns an error, which it returns.
	WalkWriterRows(fn func(WriterRow) error) error
}

// FoldNodeID returns the 16 bits that stand for a node in its nonces.
func FoldNodeID(id uint64) uint16 {
	return uint16(id ^ id>>16 ^ id>>32 ^ id>>48) // part of the format; never change
}

// Writer is a node that asks to seal under a key, in one of its epochs.
type Writer struct {
	KeyID  uint32
	NodeID uint64
	Epoch  uint16
}

// Admit returns the row of w after known, the row that the registry has for its key id and
// folded node id, or nil. It fails with a *NodeCollisionError or an *EpochError; then w must
// not make nonces.
//
// An epoch that is the last one known is refused like an earlier one: a disk that was put
// back to before its last start rises to just that epoch. A log that may
// deliver one registration twice has to tell that by other means.
func (w Writer) Admit(known *WriterRow) (WriterRow, error) {
	switch {
	case w.KeyID == 0:
		return WriterRow{}, ErrKeyIDReserved
	case known == nil:
		return WriterRow{KeyID: w.KeyID, NodeID: w.NodeID, FirstEpoch: w.Epoch, LastEpoch: w.Epoch}, nil
	case known.NodeID != w.NodeID:
		return WriterRow{}, &NodeCollisionError{Writer: w, Taken: known.NodeID}
	case w.Epoch <= known.LastEpoch:
		return WriterRow{}, &EpochError{Writer: w, Last: known.LastEpoch}
	}
	row := *known
	row.LastEpoch = w.Epoch
	return row, nil
}

// RegisterWriter admits w and makes its row durable. One caller registers at a time.
func RegisterWriter(rows WriterRegistryStore, w Writer) (WriterRow, error) {
	row, ok, err := rows.WriterRow(w.KeyID, FoldNodeID(w.NodeID))
	if err != nil {
		return WriterRow{}, err
	}
	known := &row
	if !ok {
		known = nil
	}
	admitted, err := w.Admit(known)
	if err != nil {
		return WriterRow{}, err
	}
	return admitted, rows.PutWriterRow(admitted)
}

// NodeCollisionError says that two nodes would make the same nonces.
type NodeCollisionError struct {
	Writer Writer
	Taken  uint64 // node id of the other one
}

// Error implements error.
func (e *NodeCollisionError) Error() string {
	return fmt.Sprintf("encryption: nodes %#x and %#x would make the same nonces under key %d, as both ids fold to %#04x; give one of them another id",
		e.Writer.NodeID, e.Taken, e.Writer.KeyID, FoldNodeID(e.Taken))
}

// EpochError says that a node has gone back to an epoch that was lived already.
type EpochError struct {
	Writer Writer
	Last   uint16 // epoch that the registry has
}

// Error implements error.
func (e *EpochError) Error() string {
	return fmt.Sprintf("encryption: node %#x comes in epoch %d under key %d, and has been in %d: its disk was put back to an earlier state or is in use twice; join it as a new node",
		e.Writer.NodeID, e.Writer.Epoch, e.Writer.KeyID, e.Last)
}

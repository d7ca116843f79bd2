package backup

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"time"
)

// A backup. Integers are big endian, the sum is the CRC-32C of all that is before it.
//
//	| magic (8) | version (4) | length (4) | Header as JSON (length) | sum (4) | snapshot, to the end |
const (
	magic      = "EKVBACK\n" // part of the format; never change
	version    = 1           // part of the format; never change
	headerMost = 64 << 20    // bytes of JSON
)

// Errors of Open, beside those of a reader.
var (
	// ErrNotBackup says that the bytes do not begin as a backup does.
	ErrNotBackup = errors.New("backup: not a backup")

	// ErrTooNew says that a later release has written the backup.
	ErrTooNew = errors.New("backup: a format newer than this program knows; use the release that has written it")

	// ErrDamaged says that the header is not what was written. Damage behind it is reported as
	// an error of the snapshot.
	ErrDamaged = errors.New("backup: its header is damaged or cut short; take another copy of it")
)

// Header is what a backup says of itself.
type Header struct {
	Created time.Time `json:"created"`        // by the clock of the server
	Server  string    `json:"server"`         // the release that has written it
	Keys    []byte    `json:"keys,omitempty"` // keys.json of the folder, if its values are sealed
}

// Sealed reports whether the snapshot can only be read with the keys.
func (h *Header) Sealed() bool { return len(h.Keys) > 0 }

// Source is what is backed up.
type Source struct {
	Snapshot io.WriterTo            // a store.Snapshot
	Header   Header                 // without Keys
	Keys     func() ([]byte, error) // the present keys.json; nil if nothing is sealed
}

// Write writes a backup to w. If it fails, what it has written is cut short, and Open or the
// reading of the snapshot says so.
func Write(w io.Writer, src Source) error {
	_, err := src.Snapshot.WriteTo(&headed{w: w, src: src})
	return err
}

// headed writes the header before the first byte of the snapshot. By then the snapshot has chosen
// the key that it is sealed under, so that the keys read now have it, whatever happens to them later.
type headed struct {
	w     io.Writer
	src   Source
	begun bool
}

func (h *headed) Write(p []byte) (int, error) {
	if !h.begun {
		h.begun = true
		if err := h.begin(); err != nil {
			return 0, err
		}
	}
	return h.w.Write(p)
}

func (h *headed) begin() (err error) {
	head := h.src.Header
	if head.Keys, err = h.src.Keys(); err != nil {
		return err
	}
	text, err := json.Marshal(head)
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	if len(text) > headerMost {
		return fmt.Errorf("backup: header of %d bytes, more than %d", len(text), headerMost)
	}
	b := binary.BigEndian.AppendUint32([]byte(magic), version)
	b = binary.BigEndian.AppendUint32(b, uint32(len(text)))
	b = append(b, text...)
	_, err = h.w.Write(binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli)))
	return err
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Open reads the header of the backup in r. What is left in r then is the snapshot; give it to
// store.OpenSnapshot. No memory is taken for a length before that many bytes have come.
func Open(r io.Reader) (*Header, error) {
	fixed := make([]byte, len(magic)+8)
	n, err := io.ReadFull(r, fixed)
	switch {
	case n < len(magic) || string(fixed[:len(magic)]) != magic:
		if err != nil && !cut(err) {
			return nil, fmt.Errorf("backup: %w", err)
		}
		return nil, ErrNotBackup
	case err != nil:
		return nil, damaged(err)
	}
	if v := binary.BigEndian.Uint32(fixed[len(magic):]); v > version {
		return nil, fmt.Errorf("%w (format %d, this program knows %d)", ErrTooNew, v, version)
	}
	length := binary.BigEndian.Uint32(fixed[len(magic)+4:])
	if length > headerMost {
		return nil, ErrDamaged
	}
	var text bytes.Buffer
	if _, err := io.CopyN(&text, r, int64(length)+4); err != nil {
		return nil, damaged(err)
	}
	sum := crc32.Update(crc32.Checksum(fixed, castagnoli), castagnoli, text.Bytes()[:length])
	if sum != binary.BigEndian.Uint32(text.Bytes()[length:]) {
		return nil, ErrDamaged
	}
	var h Header
	if err := json.Unmarshal(text.Bytes()[:length], &h); err != nil {
		return nil, fmt.Errorf("%w (%w)", ErrDamaged, err)
	}
	return &h, nil
}

func cut(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }

// damaged returns what a failed read in the header means.
func damaged(err error) error {
	if cut(err) {
		return ErrDamaged
	}
	return fmt.Errorf("backup: %w", err)
}

package store

import (
	"io"

	"github.com/elastickv/elastickv/encryption"
)

// SnapshotInfo is what a snapshot holds.
type SnapshotInfo struct {
	LastCommitTS uint64 // of the store that it was taken of
	MinTS        uint64 // reads below it fail; 0: none does
	AppliedIndex uint64
	Keys         uint64
	Versions     uint64
	Ranges       uint64 // range tombstones
}

// OpenSnapshot returns the plain stream of the snapshot in r, which cipher opens if it is sealed:
// with ErrSnapshotSealed if cipher is nil. Any store restores it. The caller goes on to
// read r through what is returned alone.
//
// A store that has the keys needs no OpenSnapshot: its Restore takes sealed streams as they are.
// It is for those who restore into a store with other keys, or none.
func OpenSnapshot(r io.Reader, cipher *encryption.Cipher) (io.Reader, error) {
	return openSnapshot(r, cipher)
}

// VerifySnapshot reads the snapshot in r to its end, in constant memory, and checks all that
// Restore does: every checksum, the order and the limits of its content, and that it is whole. Give
// it what OpenSnapshot returns if it may be sealed.
func VerifySnapshot(r io.Reader) (SnapshotInfo, error) {
	var info SnapshotInfo
	var last []byte
	r, err := openSnapshot(r, nil)
	if err != nil {
		return SnapshotInfo{}, err
	}
	err = readSnapshot(r, snapshotSink{
		header: func(h snapshotHeader) error {
			info.LastCommitTS, info.MinTS, info.AppliedIndex = h.LastCommitTS, h.Floor, h.AppliedIndex
			return nil
		},
		ranged: func(rangeTombstone) error { info.Ranges++; return nil },
		version: func(key []byte, _ VersionedValue) error {
			if info.Versions == 0 || string(key) != string(last) {
				info.Keys++
				last = key
			}
			info.Versions++
			return nil
		},
	})
	if err != nil {
		return SnapshotInfo{}, err
	}
	return info, nil
}

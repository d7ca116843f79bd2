package store

import (
	"bytes"
	"testing"
)

// A header that claims less than what follows it does not take the last timestamp below
// a version that can be read.
func TestRestoreRaisesLastCommit(t *testing.T) {
	version := []snapshotEntry{{key: "k", v: VersionedValue{TS: 9, Value: []byte("v")}}}
	ranged := append([]snapshotEntry{{ranged: &rangeTombstone{span: Span{Start: []byte{}}, ts: 12}}}, version...)
	for want, entries := range map[uint64][]snapshotEntry{9: version, 12: ranged} {
		stream := writeEntries(t, snapshotHeader{LastCommitTS: 3}, entries)
		for _, e := range []MVCCStore{NewMVCCStore(), openMem(t)} {
			must(t, e.Restore(bytes.NewReader(stream)))
			if got := e.LastCommitTS(); got != want {
				t.Errorf("%T: last commit %d, want %d", e, got, want)
			}
		}
	}
}

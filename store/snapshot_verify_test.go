package store

import (
	"bytes"
	"errors"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A snapshot is verified without a store, sealed or not, and whatever is missing of it or follows it
// is noticed.
func TestVerifySnapshot(t *testing.T) {
	skipUnderRace(t)
	keys := newSealer(t)
	for name, opts := range map[string][]PebbleStoreOption{"clear": nil, "sealed": append(keys.options(), WithSealedSnapshots())} {
		t.Run(name, func(t *testing.T) {
			s := openTest(t, "db", append(opts, WithFS(vfs.NewMem()), WithEagerRanges())...)
			fillMixed(t, s, 50)
			image := imageOf(t, s)
			verify := func(image []byte) (SnapshotInfo, error) {
				plain, err := OpenSnapshot(bytes.NewReader(image), keys.cipher)
				if err != nil {
					return SnapshotInfo{}, err
				}
				return VerifySnapshot(plain)
			}
			info, err := verify(image)
			want := SnapshotInfo{LastCommitTS: s.LastCommitTS(), MinTS: s.MinRetainedTS()}
			walkImage(t, image, keys, &want)
			if err != nil || info != want || info.Versions <= info.Keys || info.Ranges == 0 {
				t.Errorf("got %+v, %v, want %+v", info, err, want)
			}
			for n := 0; n < len(image); n++ {
				if n > 100 && n < len(image)-100 {
					n = min(n+96, len(image)-100)
				}
				if got, err := verify(image[:n]); err == nil || got != (SnapshotInfo{}) {
					t.Fatalf("cut at %d: got %+v, %v", n, got, err)
				}
			}
			if _, err := verify(append(bytes.Clone(image), 0)); err == nil {
				t.Error("a byte behind it was not noticed")
			}
			_, err = VerifySnapshot(bytes.NewReader(image))
			if sealed := name == "sealed"; errors.Is(err, ErrSnapshotSealed) != sealed || !sealed && err != nil {
				t.Errorf("without a cipher: %v", err)
			}
		})
	}
}

// walkImage counts what an image restores.
func walkImage(t *testing.T, image []byte, keys *sealer, info *SnapshotInfo) {
	t.Helper()
	plain, err := OpenSnapshot(bytes.NewReader(image), keys.cipher)
	must(t, err)
	_, entries, err := readEntries(plain)
	must(t, err)
	seen := map[string]bool{}
	for _, e := range entries {
		if e.ranged != nil {
			info.Ranges++
			continue
		}
		seen[e.key] = true
		info.Versions++
	}
	info.Keys = uint64(len(seen))
}

package store

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/elastickv/elastickv/internal/watermark"
)

// openWatermark compares the highest timestamp that the engine has with the one that was acknowledged, at least:
// damage in the newest file of the log looks like the place where a power cut has torn that off, and what is before it
// is opened.
func (s *pebbleStore) openWatermark() error {
	path := s.fs.PathJoin(s.dir, watermarkFile)
	mark, err := watermark.Open(s.fs, s.dir, watermarkFile)
	if errors.Is(err, fs.ErrNotExist) {
		mark, err = watermark.Create(s.fs, s.dir, watermarkFile)
	}
	if errors.Is(err, watermark.ErrDamaged) {
		return folderError(s.dir, ErrDamagedFolder, fmt.Errorf("%w; if everything else is whole, go on without %s", err, path))
	}
	if err != nil {
		return fmt.Errorf("store: open %s: %w", s.dir, err)
	}
	if at := mark.At(); at > s.apply.stagedTS {
		err := fmt.Errorf("the last writes are lost: what is left ends at timestamp %d, and %d was acknowledged; to go on with what is left, remove %s",
			s.apply.stagedTS, at, path)
		return firstError(folderError(s.dir, ErrDamagedFolder, err), mark.Close())
	}
	s.watermark = mark
	return nil
}

// noteCommitted notes that what w has committed is durable, and all before it. Who applies a log brings back by itself what it finds
// missing, and needs no such note: that would have a folder refused that is whole in a moment. The caller holds publish.
func (s *pebbleStore) noteCommitted(w *write) {
	if w.path == directPath && w.highTS != 0 {
		s.watermark.Note(w.stagedTS)
	}
}

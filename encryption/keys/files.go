package keys

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// The names of the sidecar in a data folder.
const (
	FileName    = "keys.json"     // part of the format; never change
	NewFileName = "keys.json.new" // while it is being written; part of the format
)

// FS is what is needed of a file system to keep keys.json.
type FS interface {
	// Read returns the first most bytes of a file, or an error that is fs.ErrNotExist.
	Read(name string, most int) ([]byte, error)
	// Create makes a file, for its owner only; there is none of this name.
	Create(name string) (File, error)
	// Remove removes a file; that there is none is no error.
	Remove(name string) error
	// Rename gives a file another name, from which it removes what had it.
	Rename(from, to string) error
	// SyncFolder makes the names of a folder's files durable.
	SyncFolder(name string) error
}

// File is a file that is being written.
type File interface {
	io.WriteCloser
	// Sync makes what was written durable.
	Sync() error
}

// OS is the file system of the machine.
var OS FS = osFS{}

type osFS struct{}

func (osFS) Read(name string, most int) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, int64(most)))
}

func (osFS) Create(name string) (File, error) {
	return os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
}

func (osFS) Remove(name string) error {
	if err := os.Remove(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (osFS) Rename(from, to string) error { return os.Rename(from, to) }

func (osFS) SyncFolder(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// read returns the bytes of the sidecar, and whether there is one. What a crash has left of
// one that was being written does not count.
func (o *Options) read() ([]byte, bool, error) {
	text, err := o.FS.Read(filepath.Join(o.Dir, FileName), sidecarMost+1)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, false, nil
	case err != nil:
		return nil, false, fmt.Errorf("keys: read %s: %w", FileName, err)
	case len(text) > sidecarMost:
		return nil, false, fmt.Errorf("%w (over %d bytes)", ErrDamaged, sidecarMost)
	}
	return text, true, nil
}

// write puts text in the place of the sidecar. After a crash at any point the folder has the
// old file or the new one, and once write has returned nil it has the new one.
func (o *Options) write(text []byte) error {
	fresh := filepath.Join(o.Dir, NewFileName)
	if err := o.FS.Remove(fresh); err != nil {
		return fmt.Errorf("keys: write %s: %w", FileName, err)
	}
	f, err := o.FS.Create(fresh)
	if err != nil {
		return fmt.Errorf("keys: write %s: %w", FileName, err)
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = o.FS.Rename(fresh, filepath.Join(o.Dir, FileName))
	}
	if err == nil {
		err = o.FS.SyncFolder(o.Dir)
	}
	if err != nil {
		return fmt.Errorf("keys: write %s: %w", FileName, err)
	}
	return nil
}

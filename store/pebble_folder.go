package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// The file that tells a store's folder from any other, and its format:
//
//	elastickv store\nformat 1\n
//
// It is read before the engine is opened, because opening changes files. An
// upgrade writes it first and then the rows that an earlier release would not
// understand. While a folder is being created the file has another name, so
// that what a crash leaves of the engine's first files, in which nothing has
// been acknowledged, can be told from a store that has lost files.
const (
	formatFile     = "STORE"                    // part of the format; never change
	creationFile   = "STORE.new"                // part of the format; never change
	formatHead     = "elastickv store\nformat " // part of the format; never change
	formatVersion  = 2                          // of keys, values, the engine's own rows and the log
	formatEngines  = 1                          // the one whose log was the engine's
	formatSizeMost = 256                        // bytes; what is longer is not ours

	lockFile      = "LOCK"       // the engine's
	watermarkFile = "COMMITTED"  // part of the format; never change; see pebble_watermark.go
	restoreFolder = "restore"    // where Restore gathers what it reads
	lostAndFound  = "lost+found" // what a fresh file system comes with
	folderMode    = 0o700        // values are not for other users
)

// folder is the place of a store, before the engine is opened.
type folder struct {
	fs  vfs.FS
	dir string
}

// folderState is how far a folder has come.
type folderState uint8

const (
	folderEmpty      folderState = iota // nothing is in it yet
	folderUnfinished                    // its creation was cut short
	folderFinished                      // it is a store
	folderOlder                         // it is one of formatEngines
)

func (f folder) path(name string) string { return f.fs.PathJoin(f.dir, name) }

// inspect says what the folder is, creating it if need be. It fails, having
// changed nothing, if the folder is not for this program.
func (f folder) inspect() (folderState, error) {
	names, err := f.fs.List(f.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return folderEmpty, f.create()
	}
	if err != nil {
		return folderEmpty, fmt.Errorf("store: open %s: %w", f.dir, err)
	}
	if slices.Contains(names, formatFile) {
		return f.checkFormat()
	}
	state := folderEmpty
	if slices.Contains(names, creationFile) {
		// The engine's first file comes after the mark is durable.
		if text, err := f.read(creationFile); err != nil {
			return state, fmt.Errorf("store: open %s: %w", f.dir, err)
		} else if strings.HasPrefix(text, formatHead) {
			state = folderUnfinished
		}
	}
	for _, name := range names {
		switch {
		case name == lockFile, name == lostAndFound, name == creationFile:
		case state == folderUnfinished && (isEngineFile(name) || strings.HasPrefix(name, watermarkFile)):
		default:
			return state, folderError(f.dir, ErrForeignFolder, nil)
		}
	}
	return state, nil
}

// isEngineFile reports whether the engine gives files such names.
func isEngineFile(name string) bool {
	for _, prefix := range []string{"MANIFEST-", "OPTIONS-", "marker.", "temporary."} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	for _, suffix := range []string{".log", ".sst", ".blob", ".dbtmp"} {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	return false
}

// create makes the folder and those above it, each with its entry durable in
// the one above it.
func (f folder) create() error {
	missing := []string{f.dir}
	for {
		last := missing[len(missing)-1]
		parent := f.fs.PathDir(last)
		if _, err := f.fs.Stat(parent); parent == last || !errors.Is(err, fs.ErrNotExist) {
			break
		}
		missing = append(missing, parent)
	}
	err := f.fs.MkdirAll(f.dir, folderMode)
	for _, d := range missing {
		if err == nil {
			err = syncFolder(f.fs, f.fs.PathDir(d))
		}
	}
	if err != nil {
		return fmt.Errorf("store: create %s: %w", f.dir, err)
	}
	return nil
}

func syncFolder(fsys vfs.FS, dir string) error {
	if dir == "" {
		dir = "."
	}
	d, err := fsys.OpenDir(dir)
	if err != nil {
		return err
	}
	return firstError(d.Sync(), d.Close())
}

// lock takes the engine's lock on the folder.
func (f folder) lock() (*pebble.Lock, error) {
	lock, err := pebble.LockDirectory(f.dir, f.fs)
	if err == nil {
		return lock, nil
	}
	var errno syscall.Errno
	here := !errors.As(err, &errno) // the engine's own words for a lock held by this very process
	if here || errors.Is(err, syscall.EAGAIN) {
		return nil, folderError(f.dir, ErrFolderLocked, nil)
	}
	return nil, fmt.Errorf("store: lock %s: %w", f.dir, err)
}

// checkFormat fails unless this program can read the folder.
func (f folder) checkFormat() (folderState, error) {
	text, err := f.read(formatFile)
	if err != nil {
		return folderEmpty, folderError(f.dir, ErrDamagedFolder, err)
	}
	digits, ok := strings.CutPrefix(text, formatHead)
	if !ok {
		return folderEmpty, folderError(f.dir, ErrForeignFolder, nil)
	}
	digits, _, ok = strings.Cut(digits, "\n")
	version, err := strconv.ParseUint(digits, 10, 32)
	if !ok || err != nil || version == 0 {
		return folderEmpty, folderError(f.dir, ErrDamagedFolder, fmt.Errorf("unreadable format in %s", formatFile))
	}
	switch {
	case version > formatVersion:
		return folderEmpty, folderError(f.dir, ErrNewerFormat, fmt.Errorf("format %d, this program knows %d", version, formatVersion))
	case version == formatEngines:
		return folderOlder, nil
	}
	return folderFinished, nil
}

// read returns the beginning of a file.
func (f folder) read(name string) (string, error) {
	file, err := f.fs.Open(f.path(name))
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(io.LimitReader(file, formatSizeMost))
	return string(text), firstError(err, file.Close())
}

// prepareMark writes, durably, what becomes the mark of the folder when everything else is there.
func (f folder) prepareMark() error {
	file, err := f.fs.Create(f.path(creationFile), vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(file, "%s%d\n", formatHead, formatVersion)
	err = firstError(err, file.Sync())
	if err := firstError(err, file.Close()); err != nil {
		return err
	}
	return syncFolder(f.fs, f.dir)
}

// beginCreation marks the folder, durably, as one whose engine files are nobody
// else's, and then clears away those of a creation that was cut short.
func (f folder) beginCreation() error {
	if err := f.prepareMark(); err != nil {
		return err
	}
	names, err := f.fs.List(f.dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if isEngineFile(name) {
			if err := f.fs.Remove(f.path(name)); err != nil {
				return err
			}
		}
	}
	return syncFolder(f.fs, f.dir)
}

// finishCreation marks the folder, durably, as a store.
func (f folder) finishCreation() error {
	if err := f.fs.Rename(f.path(creationFile), f.path(formatFile)); err != nil {
		return err
	}
	return syncFolder(f.fs, f.dir)
}

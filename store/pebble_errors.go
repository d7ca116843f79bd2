package store

import (
	"errors"
	"fmt"
	"strings"
)

// Errors of opening a folder. Each comes wrapped with the folder's name.
var (
	// ErrFolderLocked says that another store, in this process or another one,
	// has the folder open.
	ErrFolderLocked = errors.New("the folder is in use; stop the process that has it open, or choose another folder")

	// ErrForeignFolder says that the folder holds files, but none that say it is a
	// store. Nothing in it has been touched.
	ErrForeignFolder = errors.New("the folder is not empty and is not a store; choose an empty or a new folder")

	// ErrNewerFormat says that a later release has written the folder. Nothing
	// in it has been touched.
	ErrNewerFormat = errors.New("the folder has a format newer than this program knows; open it with a newer release")

	// ErrDamagedFolder says that the folder is a store that cannot be read.
	ErrDamagedFolder = errors.New("the folder is damaged or cannot be read; check the disk, or restore a backup into a new folder")
)

// Errors of using a store.
var (
	// ErrBatchTooLarge says that one atomic write is larger than the engine
	// can take. Split it.
	ErrBatchTooLarge = errors.New("store: too much for one atomic write; split it")

	// ErrLogFailed says that the write-ahead log could not be written. What was
	// acknowledged before is safe; nothing can be promised of later writes, so
	// the store refuses them until it is opened again.
	ErrLogFailed = errors.New("store: write-ahead log failed")
)

// folderError ties what is wrong with a folder to its name and, if there is one,
// to the cause, in one line.
func folderError(dir string, what, cause error) error {
	if cause == nil {
		return fmt.Errorf("store: open %s: %w", dir, what)
	}
	return fmt.Errorf("store: open %s: %w (%w)", dir, what, oneLine{cause})
}

// oneLine prints an error without line breaks.
type oneLine struct{ error }

// Error replaces each run of white space by one space.
func (e oneLine) Error() string { return strings.Join(strings.Fields(e.error.Error()), " ") }

// Unwrap returns the error as it was.
func (e oneLine) Unwrap() error { return e.error }

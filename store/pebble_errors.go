package store

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
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

	// ErrTooManyFiles says that the process, or the machine, has as many files open as
	// it may. Nothing is wrong with the folder.
	ErrTooManyFiles = errors.New("too many open files; raise the limit (ulimit -n, or LimitNOFILE of the service) and start again")

	// ErrDiskFull says that there is no room for what opening a folder writes. Nothing is
	// wrong with the folder.
	ErrDiskFull = errors.New("no space left on the disk; free some and start again")

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
// to the cause, in one line. A cause that lies with the machine says itself what is wrong.
func folderError(dir string, what, cause error) error {
	if cause == nil {
		return fmt.Errorf("store: open %s: %w", dir, what)
	}
	if m := machineFault(cause); m != nil {
		what = m
	}
	if most, ok := openFilesMost(); ok && errors.Is(what, ErrTooManyFiles) {
		what = fmt.Errorf("%w (the limit of this process is %d)", what, most)
	}
	return fmt.Errorf("store: open %s: %w (%w)", dir, what, oneLine{cause})
}

// machineFault returns what is wrong with the machine rather than with a folder, or nil.
// The engine's fatal failures keep nothing of their cause but its text.
func machineFault(cause error) error {
	for _, fault := range []struct {
		errno syscall.Errno
		what  error
	}{
		{syscall.EMFILE, ErrTooManyFiles}, {syscall.ENFILE, ErrTooManyFiles},
		{syscall.ENOSPC, ErrDiskFull}, {syscall.EDQUOT, ErrDiskFull},
	} {
		if errors.Is(cause, fault.errno) || strings.Contains(cause.Error(), fault.errno.Error()) {
			return fault.what
		}
	}
	return nil
}

// oneLine prints an error without line breaks.
type oneLine struct{ error }

// Error replaces each run of white space by one space.
func (e oneLine) Error() string { return strings.Join(strings.Fields(e.error.Error()), " ") }

// Unwrap returns the error as it was.
func (e oneLine) Unwrap() error { return e.error }

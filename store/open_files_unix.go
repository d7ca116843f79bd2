//go:build unix

package store

import "syscall"

// openFilesMost returns how many files this process may have open.
func openFilesMost() (uint64, bool) {
	var limit syscall.Rlimit
	err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit)
	return uint64(limit.Cur), err == nil
}

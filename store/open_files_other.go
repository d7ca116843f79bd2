//go:build !unix

package store

// openFilesMost returns how many files this process may have open, where that is limited.
func openFilesMost() (uint64, bool) { return 0, false }

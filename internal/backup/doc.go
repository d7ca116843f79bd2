// Package backup answers one question: how does a store get out as one file, and back in?
//
// A backup is a snapshot of a store behind a header that says when it was taken and, where its
// values are sealed, has the wrapped keys that open it: the file and the key encryption key are all
// that a restore needs. A backup is written and read in constant memory.
//
// It knows nothing of stores, folders and servers, or of how keys are wrapped, and imports nothing.
package backup

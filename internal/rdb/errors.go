package rdb

import "errors"

// Errors of Parse.
var (
	// ErrFooter says that a payload is damaged, or of a newer format.
	ErrFooter = errors.New("rdb: version or checksum of the payload are wrong")
	// ErrFormat says that a payload is not what Redis writes.
	ErrFormat = errors.New("rdb: bad data format")
	// ErrTooLarge says that the value in a payload takes more memory than any value may.
	ErrTooLarge = errors.New("rdb: the value is too large")
)

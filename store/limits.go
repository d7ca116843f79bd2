package store

// What one write, and so one snapshot, may hold. Writers enforce the first two,
// so that whatever was accepted can be carried by a snapshot and read back.
const (
	maxKeySize        = 1 << 20   // bytes of a user key
	maxValueSize      = 256 << 20 // bytes of a value
	maxVersionsPerKey = 1 << 20   // versions of one key in a snapshot
)

// CheckSize reports, with the error that a write would return, whether a key or
// a value is over the limits of the store: 1 MiB and 256 MiB.
func CheckSize(key, value []byte) error {
	if len(key) > maxKeySize {
		return ErrSnapshotKeyTooLarge
	}
	if len(value) > maxValueSize {
		return ErrValueTooLarge
	}
	return nil
}

package store

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
)

// The kinds of conflict: on a key that the transaction writes, and on one that
// it has only read.
const (
	WriteConflictKindWrite = "write"
	WriteConflictKindRead  = "read"
)

// WriteConflictError names the key on which a transaction lost to another one.
// It unwraps to ErrWriteConflict.
type WriteConflictError struct {
	key []byte // the error's own copy
}

// NewWriteConflictError returns a *WriteConflictError for key, which it copies.
func NewWriteConflictError(key []byte) error {
	return &WriteConflictError{key: cloneBytes(key)}
}

// Error quotes the key, so that it can be logged whatever its bytes are.
func (e *WriteConflictError) Error() string {
	return fmt.Sprintf("%v on key %q", ErrWriteConflict, e.key)
}

// Unwrap returns ErrWriteConflict.
func (e *WriteConflictError) Unwrap() error { return ErrWriteConflict }

// WriteConflictKey returns a copy of the key of the first *WriteConflictError
// in err's chain, and whether there is one.
func WriteConflictKey(err error) ([]byte, bool) {
	var c *WriteConflictError
	if !errors.As(err, &c) {
		return nil, false
	}
	return cloneBytes(c.key), true
}

// EncodeWriteConflictLabel joins a kind and a key class into a label of
// WriteConflictCountsByPrefix.
func EncodeWriteConflictLabel(kind, keyClass string) string { return kind + "|" + keyClass }

// DecodeWriteConflictLabel splits a label at its first '|'. ok is false if
// there is none or if one side is empty.
func DecodeWriteConflictLabel(label string) (kind, keyClass string, ok bool) {
	kind, keyClass, ok = strings.Cut(label, "|")
	if !ok || kind == "" || keyClass == "" {
		return "", "", false
	}
	return kind, keyClass, true
}

// conflictClasses maps key prefixes to the class they are counted under. The
// first match wins, so a family's catch-all stands after its members. The
// classes are label values of a metric: their number stays small.
var conflictClasses = []struct {
	prefix []byte
	class  string
}{
	{[]byte("!txn|lock|"), "txn_lock"},
	{[]byte("!txn|int|"), "txn_intent"},
	{[]byte("!txn|cmt|"), "txn_commit"},
	{[]byte("!txn|rb|"), "txn_rollback"},
	{[]byte("!txn|meta|"), "txn_meta"},
	{[]byte("!txn|"), "txn_other"},
	{[]byte("!redis|str|"), "redis_string"},
	{[]byte("!redis|ttl|"), "redis_ttl"},
	{[]byte("!redis|hll|"), "redis_hll"},
	{[]byte("!redis|hash|"), "hash"},
	{[]byte("!redis|set|"), "set"},
	{[]byte("!redis|zset|"), "zset"},
	{[]byte("!redis|stream|"), "stream"},
	{[]byte("!redis|"), "redis_other"},
	{[]byte("!hs|"), "hash"},
	{[]byte("!st|"), "set"},
	{[]byte("!zs|"), "zset"},
	{[]byte("!lst|"), "list"},
	{[]byte("!stream|"), "stream"},
	{[]byte("!ddb|"), "dynamodb"},
}

// conflictClass returns the class a conflict on key is counted under.
func conflictClass(key []byte) string {
	for _, c := range conflictClasses {
		if bytes.HasPrefix(key, c.prefix) {
			return c.class
		}
	}
	return "other"
}

// conflictCounts counts conflicts by label. The zero value is ready to use, and
// all methods are safe for concurrent use.
type conflictCounts struct {
	mu      sync.Mutex
	byLabel map[string]uint64
}

// add counts one conflict of kind on key.
func (c *conflictCounts) add(kind string, key []byte) {
	label := EncodeWriteConflictLabel(kind, conflictClass(key))
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byLabel == nil {
		c.byLabel = make(map[string]uint64)
	}
	c.byLabel[label]++
}

// snapshot returns a copy of the counts, never nil.
func (c *conflictCounts) snapshot() map[string]uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byLabel == nil {
		return map[string]uint64{}
	}
	return maps.Clone(c.byLabel)
}

// cloneBytes copies b; the copy is never nil.
func cloneBytes(b []byte) []byte { return append(make([]byte, 0, len(b)), b...) }

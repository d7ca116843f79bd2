package store

import (
	"bytes"
	"context"
	"time"
)

// Engine is an MVCCStore with what a transaction layer needs besides: versions
// with their timestamps, scans that stream, and many commits in one write.
// Both stores of this package implement it.
type Engine interface {
	MVCCStore
	RetentionController

	// VersionAt returns the newest version of key at or below ts, whatever its
	// state: a tombstone and an expired version are returned too, and the
	// boolean reports whether there is any. The value is shared, nobody changes
	// it any more, and it must not be modified.
	VersionAt(ctx context.Context, key []byte, ts uint64) (VersionedValue, bool, error)

	// Prefetch has the processor bring near what VersionAt is about to look at for keys, as far as memory
	// has it, so that looking them up one after the other does not wait for memory each time. It changes nothing, reads nothing
	// from the disk and never fails.
	Prefetch(keys [][]byte)

	// WalkAt calls fn for every key of span with its newest version at or below
	// ts, in the given order, until fn returns false. Tombstones are left out;
	// expired versions are not: the caller judges ExpireAt at a moment of its
	// own. key and v.Value are valid only during the call.
	WalkAt(ctx context.Context, span Span, order Order, ts uint64, fn func(key []byte, v VersionedValue) bool) error

	// WalkKeeping is WalkAt for one who goes on to look up some of the keys by themselves: what VersionAt is going to answer for those of
	// which fn says keep is kept at hand, as if it had been asked for, so far as there is room. A walk passes a key in a
	// fraction of the time that looking it up takes.
	WalkKeeping(ctx context.Context, span Span, order Order, ts uint64, fn func(key []byte, v VersionedValue) (more, keep bool)) error

	// WalkBehind is WalkAt but for the first rows, as many as skip says, expired ones included. Of a span that was walked lately it does
	// not look at each of those.
	WalkBehind(ctx context.Context, span Span, order Order, skip int64, ts uint64, fn func(key []byte, v VersionedValue) bool) error

	// CountAt returns how many keys of span WalkAt shows at ts, but for those that have expired at moment, a hybrid-logical timestamp as
	// ExpireAt is. Of a span that was walked lately it does not look at each.
	CountAt(ctx context.Context, span Span, ts, moment uint64) (int64, error)

	// Stage writes commits, in order, as one atomic batch of the engine. Each keeps
	// its own commit timestamp. When Stage returns, reads at those timestamps
	// see them; a crash can still take them back until Staged.Wait has returned.
	// A commit that conflicts makes the whole call fail with a
	// *WriteConflictError and changes nothing. Nothing of commits is kept.
	Stage(ctx context.Context, commits []Commit) (Staged, error)

	// Verify fails as Stage would with a commit that conflicts, and changes nothing. The commit needs no timestamp.
	Verify(ctx context.Context, c Commit) error

	// ApplyCommitsRaftAt writes commits like Stage, as a log applies them: with the durability
	// that the mode for log entries says, and appliedIndex in the same batch; 0 leaves the
	// recorded one. No commits at all are legal, for entries that change nothing.
	ApplyCommitsRaftAt(ctx context.Context, commits []Commit, appliedIndex uint64) error

	// LastAppliedIndex returns the highest applied index that was recorded.
	LastAppliedIndex() uint64

	// ReadWaits returns how long reads have waited for the disk so far, all together, because the system did not
	// have a file in memory.
	ReadWaits() time.Duration
}

// Commit is one transaction as Stage takes it.
type Commit struct {
	TS uint64 // commit timestamp of everything in it; above 0
	// Deleted are spans of which every key is deleted at TS, before the mutations
	// are made. That costs the same for few keys and for many. TS must then be
	// above every timestamp written before, and no later commit of the same call may
	// be below it: ErrDeletedNotNewest.
	Deleted   []Span
	Mutations []*KVPairMutation // of two of one key the later wins
	// Check, if not nil, is verified against everything committed before,
	// atomically with the write.
	Check *Check
}

// Check is what an optimistic transaction has relied on: nothing it wrote,
// deleted or read has a version newer than StartTS. A span that an earlier commit
// of the same call deletes counts as a change of every key in it.
type Check struct {
	StartTS    uint64
	ReadKeys   [][]byte
	ReadRanges []Span
}

// Staged is a batch on its way to the disk.
type Staged interface {
	// Wait returns when the batch is durable and LastCommitTS has reached its
	// highest timestamp. Batches become durable in the order they were staged.
	// Wait is called exactly once. An error is final: the store can no longer promise
	// durability and refuses writes from then on.
	Wait() error
}

// Span is a range of keys, [Start, End). A nil End is unbounded, a nil or empty Start is
// the first key, and an empty non-nil End covers nothing.
type Span struct{ Start, End []byte }

// Contains reports whether key lies in the span.
func (s Span) Contains(key []byte) bool {
	return bytes.Compare(key, s.Start) >= 0 && (s.End == nil || bytes.Compare(key, s.End) < 0)
}

// empty reports whether no key can lie in the span.
func (s Span) empty() bool { return s.End != nil && bytes.Compare(s.Start, s.End) >= 0 }

// PrefixSpan covers every key that begins with prefix, and no other.
func PrefixSpan(prefix []byte) Span { return Span{Start: prefix, End: prefixEnd(prefix)} }

// Order is the direction of a scan.
type Order bool

// The two directions of a scan.
const (
	Ascending  Order = false
	Descending Order = true
)

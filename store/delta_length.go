package store

import (
	"context"
	"errors"
	"fmt"
)

// HashLenAt returns the number of fields of a hash at ts: the base meta and all
// deltas. Without a base the deltas count from zero, and a hash that is not there
// has no fields. More than MaxDeltaScanLimit unfolded deltas are
// ErrDeltaScanTruncated; a sum that is negative or out of range is an error, too.
//
// The base and the deltas are of one moment at any ts, whatever folds do
// meanwhile: if a new base comes in between, the length is read again.
func HashLenAt(ctx context.Context, s MVCCStore, userKey []byte, ts uint64) (int64, error) {
	return countings[CollectionHash].lenAt(ctx, s, userKey, ts)
}

// SetLenAt returns the number of members of a set at ts, as HashLenAt does.
func SetLenAt(ctx context.Context, s MVCCStore, userKey []byte, ts uint64) (int64, error) {
	return countings[CollectionSet].lenAt(ctx, s, userKey, ts)
}

// ZSetLenAt returns the number of members of a sorted set at ts, as HashLenAt
// does.
func ZSetLenAt(ctx context.Context, s MVCCStore, userKey []byte, ts uint64) (int64, error) {
	return countings[CollectionZSet].lenAt(ctx, s, userKey, ts)
}

// ListMetaAt returns where the elements of a list are at ts, its deltas included;
// for the rest it is like HashLenAt. A list that is not there is empty and begins
// at 0.
func ListMetaAt(ctx context.Context, s MVCCStore, userKey []byte, ts uint64) (ListMeta, error) {
	e, err := countings[CollectionList].extentAt(ctx, s, userKey, ts)
	return ListMeta{Head: e.head, Tail: e.head + e.len, Len: e.len}, err
}

func (c *counting) lenAt(ctx context.Context, s MVCCStore, userKey []byte, ts uint64) (int64, error) {
	e, err := c.extentAt(ctx, s, userKey, ts)
	return e.len, err
}

// extentAt returns base and deltas. They are read one after the other, and at a
// timestamp that is still being written, such as the highest, a fold may come in
// between: its deltas are then missing in both. Every fold leaves a newer version
// of the base, so the marks before and after differ. A base that had a version
// at or above ts from the first does not change at ts any more.
func (c *counting) extentAt(ctx context.Context, s MVCCStore, userKey []byte, ts uint64) (extent, error) {
	baseKey := c.baseKey(userKey)
	before, err := baseMarkOf(ctx, s, baseKey)
	if err != nil {
		return extent{}, c.wrap(userKey, err)
	}
	for {
		e, err := c.sumAt(ctx, s, userKey, ts)
		if before.found && before.newest >= ts {
			return e, c.wrap(userKey, err)
		}
		after, markErr := baseMarkOf(ctx, s, baseKey)
		if markErr != nil {
			return extent{}, c.wrap(userKey, markErr)
		}
		if after == before {
			return e, c.wrap(userKey, err)
		}
		before = after
	}
}

// wrap adds to an error which collection it is about.
func (c *counting) wrap(userKey []byte, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %q: %w", c.name, userKey, err)
}

// baseMark tells whether a base has been written between two looks at it. The
// newest version does, unless a compaction has removed it, as it does with a
// tombstone: then it has raised the retention floor to it or above, and since the first
// look, because the store refuses transactions that began below the floor.
type baseMark struct {
	newest uint64
	found  bool
	floor  uint64 // 0 if the store does not say
}

func baseMarkOf(ctx context.Context, s MVCCStore, baseKey []byte) (m baseMark, err error) {
	if m.newest, m.found, err = s.LatestCommitTS(ctx, baseKey); err != nil {
		return baseMark{}, err
	}
	// Last, so that a compaction that the look above has noticed is noticed here.
	if r, ok := s.(RetentionController); ok {
		m.floor = r.MinRetainedTS()
	}
	return m, nil
}

// sumAt adds the deltas to the base, which it reads first.
func (c *counting) sumAt(ctx context.Context, s MVCCStore, userKey []byte, ts uint64) (extent, error) {
	sum, err := c.baseAt(ctx, s, userKey, ts)
	if err != nil {
		return extent{}, err
	}
	span := PrefixSpan(c.deltas.prefix(userKey, 0))
	deltas, err := c.deltasAt(ctx, s, span, MaxDeltaScanLimit+1, ts)
	if err != nil {
		return extent{}, err
	}
	if len(deltas) > MaxDeltaScanLimit {
		return extent{}, fmt.Errorf("%w, more than %d: fold them", ErrDeltaScanTruncated, MaxDeltaScanLimit)
	}
	if sum, err = addDeltas(sum, deltas); err != nil {
		return extent{}, err
	}
	if !sum.valid() {
		return extent{}, errLenRange("base and deltas", sum.len)
	}
	return sum, nil
}

// baseAt returns the base, or zero if there is none.
func (c *counting) baseAt(ctx context.Context, s MVCCStore, userKey []byte, ts uint64) (extent, error) {
	value, err := s.GetAt(ctx, c.baseKey(userKey), ts)
	if errors.Is(err, ErrKeyNotFound) {
		return extent{}, nil
	}
	if err != nil {
		return extent{}, err
	}
	return c.parseBase(value)
}

// addDeltas returns sum with the deltas added. On the way it may be negative: an
// owner may have counted in the base what came after the first of the deltas.
func addDeltas(sum extent, deltas []delta) (extent, error) {
	for _, d := range deltas {
		next, ok := sum.add(d.change)
		if !ok {
			return extent{}, fmt.Errorf("delta %q: the sum with it leaves the range of 64 bits", d.key)
		}
		sum = next
	}
	return sum, nil
}

package store

import (
	"bytes"
	"context"
	"slices"
)

// Folded is what a fold has done.
type Folded struct {
	Deltas int // deltas that are in the base now
	Claims int // claims of a list that were removed
}

// Fold adds the deltas of one collection to its base and deletes them, oldest
// first, in transactions of MaxDeltaScanLimit deltas. It takes the deltas that are there
// when it begins, any number of them. From a list it first removes the claims of
// elements that the list no longer holds, so that a list with claims to remove
// has deltas, by which a later fold finds it.
//
// No read at any timestamp changes its answer by a fold: below the commit of each
// transaction the deltas are there as before, and from it on they are in the
// base. Writers of deltas are not disturbed; a transaction that writes the base
// meanwhile makes that step of the fold start again. If Fold fails, what it
// returns beside the error has been done and stays so.
func (c *Committer) Fold(ctx context.Context, kind CollectionKind, userKey []byte) (Folded, error) {
	k, err := kind.counting()
	if err != nil {
		return Folded{}, err
	}
	f := fold{c: c, kind: k, userKey: bytes.Clone(userKey)}
	err = c.view(func(startTS uint64) error { return f.begin(ctx, startTS) })
	for err == nil && !f.finished {
		err = f.step(ctx)
	}
	return f.done, k.wrap(userKey, err)
}

// fold is what is left to do for one collection.
type fold struct {
	c       *Committer
	kind    *counting
	userKey []byte

	claims   []Span // spans of claims that are still to be removed
	deltas   Span   // the deltas that are still to be folded
	finished bool
	done     Folded
}

// begin settles what is to be folded.
func (f *fold) begin(ctx context.Context, startTS uint64) error {
	// Deltas of later transactions are left alone, so that a fold ends however fast
	// they come in.
	f.deltas = Span{
		Start: f.kind.deltas.prefix(f.userKey, 0),
		End:   f.kind.deltas.deltaKey(f.userKey, startTS, 0),
	}
	if f.kind != &countings[CollectionList] {
		return nil
	}
	return f.findClaims(ctx, startTS)
}

// findClaims settles which claims go: those outside the list as it is at ts. A
// pop that has started before they go and wants one of their elements conflicts
// all the same, because to remove a claim is a newer version of it.
func (f *fold) findClaims(ctx context.Context, ts uint64) error {
	list, err := f.kind.baseAt(ctx, f.c.s, f.userKey, ts)
	if err != nil {
		return err
	}
	for span := f.deltas; ; {
		deltas, err := f.kind.deltasAt(ctx, f.c.s, span, MaxDeltaScanLimit, ts)
		if err != nil {
			return err
		}
		if list, err = addDeltas(list, deltas); err != nil {
			return err
		}
		if len(deltas) < MaxDeltaScanLimit {
			break
		}
		span.Start = keyAfter(deltas[len(deltas)-1].key)
	}
	if !list.valid() {
		return errLenRange("base and deltas", list.len)
	}
	all := PrefixSpan(ListClaimScanPrefix(f.userKey))
	f.claims = []Span{
		{Start: all.Start, End: ListClaimKey(f.userKey, list.head)},
		{Start: ListClaimKey(f.userKey, list.head+list.len), End: all.End},
	}
	return nil
}

// step commits one transaction: removed claims and, when no more claims are left
// than it can remove, folded deltas.
func (f *fold) step(ctx context.Context) error {
	var next fold
	_, err := f.c.Update(ctx, func(startTS uint64) (Change, error) {
		next = *f
		next.claims = slices.Clone(f.claims)
		mutations, err := next.plan(ctx, startTS)
		if err != nil || len(mutations) == 0 {
			return Change{}, err
		}
		return Change{Mutations: func(uint64) []*KVPairMutation { return mutations }}, nil
	})
	if err != nil {
		return err
	}
	*f = next
	return nil
}

// plan returns what one transaction writes, and makes f what is left after it.
func (f *fold) plan(ctx context.Context, startTS uint64) ([]*KVPairMutation, error) {
	mutations, err := f.takeClaims(ctx, startTS)
	if err != nil || len(mutations) == MaxDeltaScanLimit {
		return mutations, err
	}
	deltas, sum, err := f.takeDeltas(ctx, startTS)
	if err != nil || len(deltas) == 0 {
		return mutations, err
	}
	base, err := f.kind.putBase(f.kind.baseKey(f.userKey), sum)
	if err != nil {
		return nil, err
	}
	mutations = append(mutations, base)
	for _, d := range deltas {
		mutations = append(mutations, &KVPairMutation{Op: OpTypeDelete, Key: d.key})
	}
	return mutations, nil
}

// takeClaims returns the writes that remove claims, at most MaxDeltaScanLimit.
func (f *fold) takeClaims(ctx context.Context, ts uint64) ([]*KVPairMutation, error) {
	var removed []*KVPairMutation
	for len(f.claims) > 0 && len(removed) < MaxDeltaScanLimit {
		span, most := &f.claims[0], MaxDeltaScanLimit-len(removed)
		rows, err := f.c.s.ScanAt(ctx, span.Start, span.End, most, ts)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			removed = append(removed, &KVPairMutation{Op: OpTypeDelete, Key: row.Key})
		}
		if len(rows) < most {
			f.claims = f.claims[1:]
			continue
		}
		span.Start = keyAfter(rows[len(rows)-1].Key)
	}
	f.done.Claims += len(removed)
	return removed, nil
}

// takeDeltas returns the next deltas and the base with them added. They are
// MaxDeltaScanLimit, or more if the base would be negative: an owner may have
// counted in the base what came after some of the deltas.
func (f *fold) takeDeltas(ctx context.Context, ts uint64) (taken []delta, sum extent, err error) {
	if sum, err = f.kind.baseAt(ctx, f.c.s, f.userKey, ts); err != nil {
		return nil, extent{}, err
	}
	for !f.finished && (len(taken) == 0 || !sum.valid()) {
		deltas, err := f.kind.deltasAt(ctx, f.c.s, f.deltas, MaxDeltaScanLimit, ts)
		if err != nil {
			return nil, extent{}, err
		}
		if sum, err = addDeltas(sum, deltas); err != nil {
			return nil, extent{}, err
		}
		taken = append(taken, deltas...)
		f.finished = len(deltas) < MaxDeltaScanLimit
		if !f.finished {
			f.deltas.Start = keyAfter(deltas[len(deltas)-1].key)
		}
	}
	if !sum.valid() {
		return nil, extent{}, errLenRange("base and deltas", sum.len)
	}
	f.done.Deltas += len(taken)
	return taken, sum, nil
}

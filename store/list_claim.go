package store

import (
	"context"
	"errors"
	"fmt"
	"math"
)

// ListEnd is the end of a list at which elements are pushed or popped.
//
// A list needs no owner for that: PushList and PopList work at both ends, for any
// number of writers at once, and none of them writes the base. Each commits the rows
// of its elements and one delta. These rules keep them apart, and whoever writes the
// rows of such a list in another way keeps to them, too:
//
//   - Elements have the sequence numbers [Head, Tail) without a hole, at every
//     timestamp. A push takes the number beyond its end, a pop the number at it.
//   - A pop of an element claims its number: it writes the claim and deletes the
//     element. Two pops of one element write the same keys, and the later conflicts.
//   - At one end, whatever comes first takes what the others have started from.
//     So a push has read the element at its end, which a pop there would delete,
//     and a pop has read the number beyond, which a push there would write. A pop
//     that takes the last element has read the number beyond the other end as well.
//     The two ends do not disturb each other until they meet.
//   - A number can come back: what was popped from the head and is pushed there
//     again. The push removes the claim of the number, if there still is one.
//   - All of them have read the base, so an owner that writes it is not overlooked;
//     nor is a fold, which costs them one more try. The owner keeps to the rules above
//     for the elements that it adds or takes, but counts them in the base. Whoever
//     removes a list deletes its base, be there one or not, with everything else, and
//     has read the numbers beyond both ends.
//   - All go through one Committer.
type ListEnd bool

// The two ends of a list.
const (
	ListHead ListEnd = false
	ListTail ListEnd = true
)

// outwards is the step from an element to the number beyond it.
func (e ListEnd) outwards() int64 {
	if e == ListHead {
		return -1
	}
	return 1
}

// beyond is the number that the next push at e takes.
func (e ListEnd) beyond(m ListMeta) int64 {
	if e == ListHead {
		return m.Head - 1
	}
	return m.Tail
}

// PushList adds elements at one end of a list, one after the other, so that the last
// one is the outermost. It returns the commit timestamp. With more than
// MaxDeltaScanLimit unfolded deltas it fails with ErrDeltaScanTruncated: fold the
// list first.
func (c *Committer) PushList(ctx context.Context, userKey []byte, end ListEnd, elements ...[]byte) (uint64, error) {
	return c.Update(ctx, func(startTS uint64) (Change, error) {
		l, err := c.openList(ctx, userKey, startTS)
		if err != nil || len(elements) == 0 {
			return Change{}, err
		}
		return l.push(ctx, end, elements)
	})
}

// PopList takes up to n elements from one end of a list, the outermost first, and
// returns them with the commit timestamp. No two pops ever return one element. From
// an empty list it takes nothing, and the timestamp is one at which the list was empty.
// It fails like PushList, and if the list's rows are not as ListEnd says.
func (c *Committer) PopList(ctx context.Context, userKey []byte, end ListEnd, n int) ([][]byte, uint64, error) {
	var popped [][]byte
	ts, err := c.Update(ctx, func(startTS uint64) (Change, error) {
		popped = nil
		l, err := c.openList(ctx, userKey, startTS)
		if err != nil || n <= 0 || l.Len == 0 {
			return Change{}, err
		}
		var change Change
		popped, change, err = l.pop(ctx, end, min(int64(n), l.Len))
		return change, err
	})
	if err != nil {
		return nil, 0, err
	}
	return popped, ts, nil
}

// openedList is a list as one transaction sees it.
type openedList struct {
	ListMeta
	s       MVCCStore
	userKey []byte
	ts      uint64
}

func (c *Committer) openList(ctx context.Context, userKey []byte, ts uint64) (*openedList, error) {
	m, err := ListMetaAt(ctx, c.s, userKey, ts)
	return &openedList{ListMeta: m, s: c.s, userKey: userKey, ts: ts}, err
}

// change returns a transaction that has read the base and the elements at seqs.
func (l *openedList) change(mutations []*KVPairMutation, d ListMetaDelta, seqs ...int64) Change {
	c := Change{ReadKeys: [][]byte{ListMetaKey(l.userKey)}}
	for _, seq := range seqs {
		c.ReadKeys = append(c.ReadKeys, ListItemKey(l.userKey, seq))
	}
	c.Mutations = func(commitTS uint64) []*KVPairMutation {
		key := ListMetaDeltaKey(l.userKey, commitTS, 0)
		return append(mutations, &KVPairMutation{Op: OpTypePut, Key: key, Value: MarshalListMetaDelta(d)})
	}
	return c
}

func (l *openedList) push(ctx context.Context, end ListEnd, elements [][]byte) (Change, error) {
	n, step, first := int64(len(elements)), end.outwards(), end.beyond(l.ListMeta)
	d := ListMetaDelta{LenDelta: n}
	if end == ListHead {
		d.HeadDelta = -n
	}
	if end == ListHead && l.Head < math.MinInt64+n || end == ListTail && addOverflows(l.Tail, n) || addOverflows(l.Len, n) {
		return Change{}, fmt.Errorf("list %q: no sequence numbers for %d more elements beside [%d, %d)", l.userKey, n, l.Head, l.Tail)
	}
	claims, err := l.claims(ctx, first, first+step*(n-1))
	if err != nil {
		return Change{}, err
	}
	var mutations []*KVPairMutation
	for _, claim := range claims {
		mutations = append(mutations, &KVPairMutation{Op: OpTypeDelete, Key: claim.Key})
	}
	for i, element := range elements {
		key := ListItemKey(l.userKey, first+step*int64(i))
		mutations = append(mutations, &KVPairMutation{Op: OpTypePut, Key: key, Value: element})
	}
	return l.change(mutations, d, first-step), nil
}

func (l *openedList) pop(ctx context.Context, end ListEnd, n int64) ([][]byte, Change, error) {
	beyond, step := end.beyond(l.ListMeta), end.outwards()
	claims, err := l.claims(ctx, beyond-step, beyond-step*n)
	if err != nil {
		return nil, Change{}, err
	}
	if len(claims) > 0 {
		return nil, Change{}, fmt.Errorf("list %q: claim %q is of an element that [%d, %d) still holds: whoever pushed there had to remove it",
			l.userKey, claims[0].Key, l.Head, l.Tail)
	}
	var popped [][]byte
	var mutations []*KVPairMutation
	for i := range n {
		seq := beyond - step*(i+1)
		element, err := l.element(ctx, seq)
		if err != nil {
			return nil, Change{}, err
		}
		popped = append(popped, element)
		mutations = append(mutations,
			&KVPairMutation{Op: OpTypePut, Key: ListClaimKey(l.userKey, seq)},
			&KVPairMutation{Op: OpTypeDelete, Key: ListItemKey(l.userKey, seq)})
	}
	d := ListMetaDelta{LenDelta: -n}
	if end == ListHead {
		d.HeadDelta = n
	}
	guards := []int64{beyond}
	if n == l.Len {
		guards = append(guards, (!end).beyond(l.ListMeta))
	}
	return popped, l.change(mutations, d, guards...), nil
}

// claims returns the claims of the elements from a to b, in any order.
func (l *openedList) claims(ctx context.Context, a, b int64) ([]*KVPair, error) {
	end := keyAfter(ListClaimKey(l.userKey, max(a, b)))
	return l.s.ScanAt(ctx, ListClaimKey(l.userKey, min(a, b)), end, math.MaxInt, l.ts)
}

func (l *openedList) element(ctx context.Context, seq int64) ([]byte, error) {
	element, err := l.s.GetAt(ctx, ListItemKey(l.userKey, seq), l.ts)
	if errors.Is(err, ErrKeyNotFound) {
		return nil, fmt.Errorf("list %q: element %d is missing in [%d, %d): the list was not written by the rules of ListEnd", l.userKey, seq, l.Head, l.Tail)
	}
	return element, err
}

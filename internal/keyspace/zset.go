package keyspace

import (
	"errors"
	"math"

	"github.com/elastickv/elastickv/internal/txn"
	"github.com/elastickv/elastickv/store"
)

// ErrNaN says that a score would not be a number. It has no place in the order.
var ErrNaN = errors.New("keyspace: score is not a number")

// ZSet is the sorted set at one key. A sorted set that is not there is empty.
//
// A member has two rows: its own, found by its name, which holds the score, and
// one in the index, which lies in the order of scores, then names. The index
// knows no minus zero; the member's own row does, once the set is large, and the
// entry says that there may be one. As in Redis, a compact set knows none. A set
// that has grown large has counts beside: see zset_counts.go.
type ZSet struct{ collection }

// ScoredMember is a member of a sorted set with its score.
type ScoredMember struct {
	Member []byte
	Score  float64
}

// ZSet opens the sorted set at key.
func (s *Space) ZSet(key []byte) (*ZSet, error) {
	c, err := s.openCollection(key, KindZSet)
	if err != nil {
		return nil, err
	}
	z := room(s.shared.memory, func(m *Memory) *spare[ZSet] { return &m.zset })
	*z = ZSet{c}
	return z, nil
}

// Len returns the number of members.
func (z *ZSet) Len() (int64, error) { return z.metaLen() }

// Score returns the score of a member and whether it is in the set.
func (z *ZSet) Score(member []byte) (float64, bool, error) {
	if !z.Exists() {
		return 0, false, nil
	}
	z.s.buf = store.AppendZSetMemberKey(z.s.scratch(), z.home, member)
	row, ok, err := z.s.tx.Get(z.s.buf)
	if err != nil || !ok {
		return 0, false, err
	}
	score, err := store.UnmarshalZSetScore(row.Value)
	return score, err == nil, err
}

// Set gives a member a score and reports whether the member is new.
func (z *ZSet) Set(member []byte, score float64) (bool, error) {
	var added bool
	err := z.Update(member, func(_ float64, there bool) (float64, bool) {
		added = !there
		return score, true
	})
	return added && err == nil, err
}

// Update calls next with the score of a member, if it is there, and gives the
// member the score that next returns, unless that says false. ErrNaN if it is
// not a number. A score equal to the old one changes nothing, not even the sign
// of a zero.
func (z *ZSet) Update(member []byte, next func(old float64, there bool) (float64, bool)) error {
	old, there, err := z.Score(member)
	if err != nil {
		return err
	}
	score, write := next(old, there)
	switch {
	case !write || there && score == old:
		return nil
	case math.IsNaN(score):
		return ErrNaN
	case there:
		return z.move(member, old, score)
	}
	return z.add(member, score)
}

// add puts in a member that is not in the set.
func (z *ZSet) add(member []byte, score float64) error {
	n, err := z.Len()
	if err != nil {
		return err
	}
	if err := z.ensure(KindZSet, z.s.zsetEncoding(n+1, len(member))); err != nil {
		return err
	}
	if err := z.putRows(ScoredMember{member, score}); err != nil {
		return err
	}
	if err := z.setMetaLen(n + 1); err != nil {
		return err
	}
	return z.countAdded(ScoredMember{member, score}, n+1)
}

// move changes the score of a member from old, which is what it is.
func (z *ZSet) move(member []byte, old, score float64) error {
	if err := z.s.tx.Delete(z.indexName(member, old)); err != nil {
		return err
	}
	z.s.changed(z.key)
	if err := z.putRows(ScoredMember{member, score}); err != nil || !z.entry.counted() {
		return err
	}
	return z.recountMoved(indexTail(member, old), indexTail(member, score))
}

// putRows writes the two rows of a member.
func (z *ZSet) putRows(m ScoredMember) error {
	if m.Score == 0 && math.Signbit(m.Score) {
		if z.Compact() {
			m.Score = 0 // drops the sign
		} else if err := z.ensure(KindZSet, encSigned); err != nil {
			return err
		}
	}
	if err := z.s.tx.Put(z.memberName(m.Member), store.MarshalZSetScore(m.Score), 0); err != nil {
		return err
	}
	return z.s.tx.Put(z.indexName(m.Member, m.Score), nil, 0)
}

// Delete removes a member and reports whether it was there.
func (z *ZSet) Delete(member []byte) (bool, error) {
	score, ok, err := z.Score(member)
	if err != nil || !ok {
		return false, err
	}
	return true, z.deleteAll([]ScoredMember{{member, score}})
}

// sweepMin is the length from which on a set that loses all its members is
// removed as a whole and not row by row.
const sweepMin = 64

// deleteAll removes members that are in the set, each listed once.
func (z *ZSet) deleteAll(members []ScoredMember) error {
	n, err := z.Len()
	if err != nil || len(members) == 0 {
		return err
	}
	if n == int64(len(members)) && n >= sweepMin {
		return z.removeAll()
	}
	for _, m := range members {
		if err := z.s.tx.Delete(z.memberName(m.Member)); err != nil {
			return err
		}
		if err := z.s.tx.Delete(z.indexName(m.Member, m.Score)); err != nil {
			return err
		}
	}
	z.s.changed(z.key)
	n -= int64(len(members))
	if err := z.countRemoved(members, n); err != nil {
		return err
	}
	return z.setMetaLen(n)
}

// StoreZSet makes key a sorted set of the given members, each listed once,
// whatever it was before and without an expiry. Without members the key is
// removed.
func (s *Space) StoreZSet(key []byte, members []ScoredMember) error {
	if len(members) == 0 {
		_, err := s.Remove(key)
		return err
	}
	var longest int
	for _, m := range members {
		if math.IsNaN(m.Score) {
			return ErrNaN
		}
		longest = max(longest, len(m.Member))
	}
	old, home, err := s.clearForRows(key)
	if err != nil {
		return err
	}
	e := entry{kind: KindZSet, enc: s.zsetEncoding(int64(len(members)), longest)}.at(key, home)
	if err := s.write(key, old, e); err != nil {
		return err
	}
	z := &ZSet{s.collection(key, e)}
	for _, m := range members {
		if err := z.putRows(m); err != nil {
			return err
		}
	}
	if err := z.setMetaLen(int64(len(members))); err != nil || int64(len(members)) <= z.countLimits().from() {
		return err
	}
	return z.beginCountsOf(members)
}

// zsetEncoding is the encoding of n members, the longest of that many bytes.
func (s *Space) zsetEncoding(n int64, longest int) encoding {
	l := s.shared.limits
	if n > int64(l.ZSetMaxListpackEntries) || longest > l.ZSetMaxListpackValue {
		return encLarge
	}
	return encCompact
}

func (z *ZSet) memberName(member []byte) []byte {
	return store.AppendZSetMemberKey(z.s.row(len(store.ZSetMemberPrefix)+4+len(z.home)+len(member)), z.home, member)
}

func (z *ZSet) indexName(member []byte, score float64) []byte {
	return store.AppendZSetScoreKey(z.s.row(len(store.ZSetScorePrefix)+4+len(z.home)+8+len(member)), z.home, score, member)
}

// indexTail is what the index row of a member has behind the set's key.
func indexTail(member []byte, score float64) []byte {
	b := store.EncodeSortableFloat64(score)
	return append(append(make([]byte, 0, len(b)+len(member)), b[:]...), member...)
}

// WalkNames calls fn for every member from start on (nil: from the first), in
// ascending order of their names, until fn returns false. fn must not write;
// member is valid only during the call.
func (z *ZSet) WalkNames(start []byte, fn func(member []byte, score float64) bool) error {
	var bad error
	err := z.walkElements(store.ZSetMemberScanPrefix(z.home), start, store.Ascending, func(member []byte, r txn.Row) bool {
		var score float64
		if score, bad = store.UnmarshalZSetScore(r.Value); bad != nil {
			return false
		}
		return fn(member, score)
	})
	return errors.Join(err, bad)
}

// Compact reports whether the set is one that Redis keeps in a listpack.
func (z *ZSet) Compact() bool { return z.entry.enc == encCompact }

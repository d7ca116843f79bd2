package keyspace

import (
	"bytes"
	"cmp"
	"math"
	"slices"
)

// Operand is an input of the operations on several sorted sets: a sorted set, or
// a set, whose members all have the score 1.
type Operand struct {
	Weight float64 // what scores are multiplied with
	len    int64
	find   func(member []byte) (float64, bool, error)
	walk   func(start []byte, fn func(member []byte, score float64) bool) error
}

// Operand opens the set or sorted set at key, with the weight 1.
func (s *Space) Operand(key []byte) (Operand, error) {
	kind, err := s.Kind(key)
	if err != nil {
		return Operand{}, err
	}
	if kind == KindSet {
		return s.setOperand(key)
	}
	again := *s
	again.reading = false // the key has been asked for already
	z, err := again.ZSet(key)
	if err != nil {
		return Operand{}, err
	}
	n, err := z.Len()
	return Operand{Weight: 1, len: n, find: z.Score, walk: z.WalkNames}, err
}

func (s *Space) setOperand(key []byte) (Operand, error) {
	t, err := s.Set(key)
	if err != nil {
		return Operand{}, err
	}
	n, err := t.Len()
	find := func(member []byte) (float64, bool, error) {
		ok, err := t.Has(member)
		return 1, ok, err
	}
	walk := func(start []byte, fn func([]byte, float64) bool) error {
		return t.Walk(start, func(member []byte) bool { return fn(member, 1) })
	}
	return Operand{Weight: 1, len: n, find: find, walk: walk}, err
}

// Aggregate says how the scores that one member has in several operands become one.
type Aggregate func(a, b float64) float64

// Sum adds scores; those that cancel each other's infinity give 0.
func Sum(a, b float64) float64 {
	if a += b; math.IsNaN(a) {
		return 0
	}
	return a
}

// Min is the lower score, the first of two that are equal.
func Min(a, b float64) float64 {
	if b < a {
		return b
	}
	return a
}

// Max is the higher score, the first of two that are equal.
func Max(a, b float64) float64 {
	if b > a {
		return b
	}
	return a
}

// weigh multiplies a score with the operand's weight; no number counts as 0.
func (o *Operand) weigh(score float64) float64 {
	if score *= o.Weight; math.IsNaN(score) {
		return 0
	}
	return score
}

// smallestFirst orders operands by their lengths. Sums of floating-point
// numbers depend on the order; this is Redis'.
func smallestFirst(ops []Operand) []Operand {
	ops = slices.Clone(ops)
	slices.SortStableFunc(ops, func(a, b Operand) int { return cmp.Compare(a.len, b.len) })
	return ops
}

// Union returns the members of all operands, in the order of a sorted set.
func Union(ops []Operand, agg Aggregate) ([]ScoredMember, error) {
	scores := make(map[string]float64)
	for _, o := range smallestFirst(ops) {
		err := o.walk(nil, func(member []byte, score float64) bool {
			score = o.weigh(score)
			if old, ok := scores[string(member)]; ok {
				score = agg(old, score)
			}
			scores[string(member)] = score
			return true
		})
		if err != nil {
			return nil, err
		}
	}
	out := make([]ScoredMember, 0, len(scores))
	for member, score := range scores {
		out = append(out, ScoredMember{[]byte(member), score})
	}
	return inOrder(out), nil
}

// Inter returns the members that are in every operand, in the order of a sorted set.
func Inter(ops []Operand, agg Aggregate) ([]ScoredMember, error) {
	var out []ScoredMember
	err := eachCommon(ops, agg, func(m ScoredMember) bool {
		out = append(out, m)
		return true
	})
	return inOrder(out), err
}

// InterLen returns the number of members that are in every operand, or limit,
// if that is above 0 and there are more.
func InterLen(ops []Operand, limit int64) (int64, error) {
	var n int64
	err := eachCommon(ops, Sum, func(ScoredMember) bool {
		n++
		return n != limit
	})
	return n, err
}

// eachCommon calls fn for each member that is in every operand, until it returns
// false. It goes through the smallest operand, page by page, and looks for its
// members in the others.
func eachCommon(ops []Operand, agg Aggregate, fn func(ScoredMember) bool) error {
	const pageLen = 1024
	ops = smallestFirst(ops)
	for start := []byte(nil); ; {
		var page []ScoredMember
		err := ops[0].walk(start, func(member []byte, score float64) bool {
			page = append(page, ScoredMember{bytes.Clone(member), ops[0].weigh(score)})
			return len(page) < pageLen
		})
		if err != nil {
			return err
		}
		for _, m := range page {
			common, err := m.foldIn(ops[1:], agg)
			if err != nil {
				return err
			}
			if common && !fn(m) {
				return nil
			}
		}
		if len(page) < pageLen {
			return nil
		}
		start = append(bytes.Clone(page[pageLen-1].Member), 0)
	}
}

// foldIn adds the scores that a member has in ops to its own, and reports
// whether it is in all of them.
func (m *ScoredMember) foldIn(ops []Operand, agg Aggregate) (bool, error) {
	for i := range ops {
		score, ok, err := ops[i].find(m.Member)
		if err != nil || !ok {
			return false, err
		}
		m.Score = agg(m.Score, score*ops[i].Weight)
	}
	return true, nil
}

// Diff returns the members of the first operand that are in no other, with
// their scores, in the order of a sorted set.
func Diff(ops []Operand) ([]ScoredMember, error) {
	left := make(map[string]float64, ops[0].len)
	err := ops[0].walk(nil, func(member []byte, score float64) bool {
		left[string(member)] = score
		return true
	})
	for i := 1; i < len(ops) && err == nil && len(left) > 0; i++ {
		err = subtract(left, ops[i])
	}
	if err != nil {
		return nil, err
	}
	out := make([]ScoredMember, 0, len(left))
	for member, score := range left {
		out = append(out, ScoredMember{[]byte(member), score})
	}
	return inOrder(out), nil
}

// subtract takes the members of o out of left: one by one, or, if o is much the
// larger, by looking for each that is left.
func subtract(left map[string]float64, o Operand) error {
	const walkGain = 4 // rows that a walk passes in the time of one look-up
	if o.len <= walkGain*int64(len(left)) {
		return o.walk(nil, func(member []byte, _ float64) bool {
			delete(left, string(member))
			return true
		})
	}
	for member := range left {
		_, ok, err := o.find([]byte(member))
		if err != nil {
			return err
		}
		if ok {
			delete(left, member)
		}
	}
	return nil
}

func inOrder(members []ScoredMember) []ScoredMember {
	slices.SortFunc(members, func(a, b ScoredMember) int {
		if c := cmp.Compare(a.Score, b.Score); c != 0 {
			return c
		}
		return bytes.Compare(a.Member, b.Member)
	})
	return members
}

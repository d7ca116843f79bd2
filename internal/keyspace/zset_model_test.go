package keyspace

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// modelZSet is what a sorted set should be.
type modelZSet struct {
	scores   map[string]float64
	large    bool  // beyond the limits of a compact one at some time
	expireAt int64 // Unix milliseconds; 0: never
}

// zsetModel is the sorted sets of one logical database, kept in the plainest way.
type zsetModel map[string]*modelZSet

var zsetModelLimits = Limits{ZSetMaxListpackEntries: 3, ZSetMaxListpackValue: 4}

// zsetCountLimits are sizes that sets of a few members reach. The first lets none have counts, and those
// that have some lose them: so that other limits meet large sets without any.
var zsetCountLimits = []CountLimits{{From: 1 << 30}, {From: 1, Block: 2, Group: 2}, {From: 4, Block: 4, Group: 4}, {From: 12, Block: 5, Group: 8}, {From: 20, Block: 8, Group: 3}}

func (m zsetModel) clone() zsetModel {
	c := make(zsetModel, len(m))
	for k, z := range m {
		c[k] = &modelZSet{maps.Clone(z.scores), z.large, z.expireAt}
	}
	return c
}

func (m zsetModel) expire(now int64) {
	maps.DeleteFunc(m, func(_ string, z *modelZSet) bool { return z.expireAt != 0 && z.expireAt <= now })
}

func (m zsetModel) set(key, member string, score float64) {
	z := m[key]
	if z == nil {
		z = &modelZSet{scores: map[string]float64{}}
		m[key] = z
	}
	old, there := z.scores[member]
	if there && old == score {
		return
	}
	z.large = z.large || !there && (len(z.scores)+1 > zsetModelLimits.ZSetMaxListpackEntries || len(member) > zsetModelLimits.ZSetMaxListpackValue)
	if score == 0 && !z.large {
		score = 0
	}
	z.scores[member] = score
}

func (m zsetModel) remove(key string, members []ScoredMember) {
	for _, e := range members {
		delete(m[key].scores, string(e.Member))
	}
	if z := m[key]; z != nil && len(z.scores) == 0 {
		delete(m, key)
	}
}

func (m zsetModel) store(key string, members []ScoredMember) {
	delete(m, key)
	large := len(members) > zsetModelLimits.ZSetMaxListpackEntries
	for _, e := range members {
		large = large || len(e.Member) > zsetModelLimits.ZSetMaxListpackValue
	}
	if len(members) > 0 {
		m[key] = &modelZSet{scores: map[string]float64{}, large: large}
	}
	for _, e := range members {
		m.set(key, string(e.Member), e.Score)
	}
}

// inOrder returns the members from the lowest to the highest.
func (z *modelZSet) inOrder() []ScoredMember {
	if z == nil {
		return nil
	}
	var out []ScoredMember
	for member, score := range z.scores {
		out = append(out, ScoredMember{[]byte(member), score})
	}
	slices.SortFunc(out, func(a, b ScoredMember) int {
		return cmp.Or(cmp.Compare(a.Score, b.Score), strings.Compare(string(a.Member), string(b.Member)))
	})
	return out
}

// view is the members that ok picks, in the window.
func view(all []ScoredMember, w Window, ok func(ScoredMember) bool) []ScoredMember {
	out := slices.DeleteFunc(slices.Clone(all), func(e ScoredMember) bool { return !ok(e) })
	if w.Reverse {
		slices.Reverse(out)
	}
	if w.Skip < 0 {
		return nil
	}
	out = out[min(w.Skip, int64(len(out))):]
	if w.Limit >= 0 {
		out = out[:min(w.Limit, int64(len(out)))]
	}
	return out
}

func (r ScoreRange) admits(e ScoredMember) bool {
	return (e.Score > r.Min || e.Score == r.Min && !r.MinOpen) && (e.Score < r.Max || e.Score == r.Max && !r.MaxOpen)
}

func (r LexRange) admits(e ScoredMember) bool {
	c, d := strings.Compare(string(e.Member), string(r.Min.Member)), strings.Compare(string(r.Max.Member), string(e.Member))
	above := r.Min.Beyond < 0 || r.Min.Beyond == 0 && (c > 0 || c == 0 && !r.Min.Open)
	below := r.Max.Beyond > 0 || r.Max.Beyond == 0 && (d > 0 || d == 0 && !r.Max.Open)
	return above && below
}

// oneScore reports whether all members have the same score, so that ranges of
// names are plain.
func oneScore(all []ScoredMember) bool {
	return len(all) == 0 || all[0].Score == all[len(all)-1].Score
}

var (
	zsetKeys    = rapid.SampledFrom([]string{"", "a", "a\x00", "\xff"})
	zsetMembers = rapid.OneOf(
		rapid.SampledFrom([]string{"", "\x00", "a", "a\x00", "aa", "b", "long member", "\xff", "\xff\xff"}),
		rapid.Map(rapid.IntRange(0, 99), func(i int) string { return fmt.Sprint(i) }))
	zsetScores = rapid.OneOf(rapid.SampledFrom([]float64{0, math.Copysign(0, -1), 1, 1, -1, math.Inf(1), math.Inf(-1), 5e-324, -5e-324, math.MaxFloat64}), rapid.Float64())
)

var (
	zsetFew  = rapid.OneOf(rapid.Int64Range(-1, 4), rapid.Int64Range(-1, 60))
	zsetRank = rapid.OneOf(rapid.Int64Range(-5, 5), rapid.Int64Range(-80, 80))
)

func drawWindow(t *rapid.T) Window {
	return Window{Reverse: rapid.Bool().Draw(t, "reverse"), Skip: zsetFew.Draw(t, "skip"), Limit: zsetFew.Draw(t, "limit"), Scores: true}
}

func drawScoreRange(t *rapid.T) ScoreRange {
	return ScoreRange{zsetScores.Draw(t, "min"), zsetScores.Draw(t, "max"), rapid.Bool().Draw(t, "minOpen"), rapid.Bool().Draw(t, "maxOpen")}
}

func drawLexBound(t *rapid.T) LexBound {
	return LexBound{[]byte(zsetMembers.Draw(t, "member")), rapid.Bool().Draw(t, "open"), rapid.SampledFrom([]int{0, 0, -1, 1}).Draw(t, "beyond")}
}

func (m zsetModel) step(t *rapid.T, s *Space) error {
	key := zsetKeys.Draw(t, "key")
	z, err := s.ZSet([]byte(key))
	if err != nil {
		return err
	}
	all := m[key].inOrder()
	switch rapid.SampledFrom([]string{"set", "set", "set", "fill", "fill", "queue", "delete", "delete", "byRank", "byScore", "byLex", "pop", "combine", "copy", "expire", "remove"}).Draw(t, "operation") {
	case "set":
		member, score := zsetMembers.Draw(t, "member"), zsetScores.Draw(t, "score")
		_, there := m[key].get(member)
		m.set(key, member, score)
		got, err := z.Set([]byte(member), score)
		return expectZ(err, "added", got, !there)
	case "fill":
		return m.fill(t, z, key)
	case "queue":
		return m.queue(t, z, key)
	case "copy":
		return m.copy(t, s, key)
	case "delete":
		member := zsetMembers.Draw(t, "member")
		_, there := m[key].get(member)
		if there {
			m.remove(key, []ScoredMember{{Member: []byte(member)}})
		}
		got, err := z.Delete([]byte(member))
		return expectZ(err, "deleted", got, there)
	case "byRank":
		first, last := zsetRank.Draw(t, "first"), zsetRank.Draw(t, "last")
		want := byRank(all, first, last)
		m.remove(key, want)
		got, err := z.RemoveByRank(first, last)
		return expectZ(err, "removed", got, len(want))
	case "byScore":
		r, w := drawScoreRange(t), drawWindow(t)
		want := view(all, w, r.admits)
		m.remove(key, want)
		got, err := z.RemoveRange(ByScore(r), w)
		return sameScored(err, got, want)
	case "byLex":
		return m.removeLex(t, z, key, all)
	case "pop":
		w := drawWindow(t)
		want := view(all, w, func(ScoredMember) bool { return true })
		m.remove(key, want)
		got, err := z.RemoveRange(ZRange{}, w)
		return sameScored(err, got, want)
	case "combine":
		return m.combine(t, s, key)
	case "expire":
		at := s.Now() + rapid.Int64Range(-1, 50).Draw(t, "after")
		if m[key] != nil {
			m[key].expireAt = at
			m.expire(s.Now())
		}
		_, err := s.SetExpiry([]byte(key), at)
		return err
	default:
		delete(m, key)
		_, err := s.Remove([]byte(key))
		return err
	}
}

// fill sets many members, with scores in some order or all the same.
func (m zsetModel) fill(t *rapid.T, z *ZSet, key string) error {
	from, n := rapid.IntRange(0, 99).Draw(t, "from"), rapid.IntRange(1, 60).Draw(t, "number")
	step := rapid.SampledFrom([]float64{0, 1, -1, 0.5}).Draw(t, "step")
	for i := range n {
		member, score := fmt.Sprint((from+7*i)%100), step*float64(i%(n/2+1))
		m.set(key, member, score)
		if _, err := z.Set([]byte(member), score); err != nil {
			return err
		}
	}
	return nil
}

// queue adds members at one end and takes others from one, by turns.
func (m zsetModel) queue(t *rapid.T, z *ZSet, key string) error {
	highest, w := rapid.Bool().Draw(t, "at the end"), Window{Reverse: rapid.Bool().Draw(t, "from the end"), Limit: rapid.Int64Range(1, 2).Draw(t, "at once"), Scores: true}
	for i := range rapid.IntRange(1, 60).Draw(t, "turns") {
		member, score := fmt.Sprint("q", i), float64(1000+i)
		if !highest {
			score = -score
		}
		m.set(key, member, score)
		if _, err := z.Set([]byte(member), score); err != nil {
			return err
		}
		want := view(m[key].inOrder(), w, func(ScoredMember) bool { return true })
		m.remove(key, want)
		got, err := z.RemoveRange(ZRange{}, w)
		if err := sameScored(err, got, want); err != nil {
			return err
		}
	}
	return nil
}

// copy makes another key a copy of the set.
func (m zsetModel) copy(t *rapid.T, s *Space, key string) error {
	dst := zsetKeys.Draw(t, "copy")
	if dst == key || m[key] == nil {
		return nil
	}
	from := m[key]
	m[dst] = &modelZSet{maps.Clone(from.scores), from.large, from.expireAt}
	if rapid.Bool().Draw(t, "keep") {
		return s.Copy([]byte(key), s, []byte(dst))
	}
	delete(m, key)
	return s.Rename([]byte(key), []byte(dst))
}

func (z *modelZSet) get(member string) (float64, bool) {
	if z == nil {
		return 0, false
	}
	score, ok := z.scores[member]
	return score, ok
}

func byRank(all []ScoredMember, first, last int64) []ScoredMember {
	n := int64(len(all))
	var out []ScoredMember
	for i, e := range all {
		i := int64(i)
		if (i >= first && first >= 0 || first < 0 && i >= first+n) && (i <= last && last >= 0 || last < 0 && i <= last+n) {
			out = append(out, e)
		}
	}
	return out
}

func (m zsetModel) removeLex(t *rapid.T, z *ZSet, key string, all []ScoredMember) error {
	lex, w := LexRange{drawLexBound(t), drawLexBound(t)}, drawWindow(t)
	if !oneScore(all) {
		return nil
	}
	want := view(all, w, lex.admits)
	m.remove(key, want)
	r, err := z.ByLex(lex)
	if err != nil {
		return err
	}
	got, err := z.RemoveRange(r, w)
	return sameScored(err, got, want)
}

// combine stores what some of the sets make together.
func (m zsetModel) combine(t *rapid.T, s *Space, key string) error {
	keys := rapid.SliceOfN(zsetKeys, 1, 3).Draw(t, "operands")
	var ops []Operand
	for _, k := range keys {
		o, err := s.Operand([]byte(k))
		if err != nil {
			return err
		}
		ops = append(ops, o)
	}
	name := rapid.SampledFrom([]string{"union", "inter", "diff"}).Draw(t, "combination")
	var got []ScoredMember
	var err error
	switch name {
	case "union":
		got, err = Union(ops, Min)
	case "inter":
		got, err = Inter(ops, Min)
	default:
		got, err = Diff(ops)
	}
	want := m.combined(name, keys)
	if err := sameScored(err, got, want); err != nil {
		return fmt.Errorf("%s of %q: %w", name, keys, err)
	}
	m.store(key, want)
	return s.StoreZSet([]byte(key), got)
}

// combined is a set made member by member, with the lowest of the scores.
func (m zsetModel) combined(name string, keys []string) []ScoredMember {
	out := &modelZSet{scores: map[string]float64{}}
	seen := map[string]int{}
	slices.SortStableFunc(keys[b2i(name == "diff"):], func(a, b string) int { return len(m[a].inOrder()) - len(m[b].inOrder()) })
	for i, key := range keys {
		for _, e := range m[key].inOrder() {
			member := string(e.Member)
			if name == "diff" && i > 0 {
				delete(out.scores, member)
				continue
			}
			old, there := out.scores[member]
			if !there || e.Score < old {
				out.scores[member] = e.Score
			}
			seen[member]++
		}
	}
	if name == "inter" {
		maps.DeleteFunc(out.scores, func(member string, _ float64) bool { return seen[member] < len(keys) })
	}
	return out.inOrder()
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// check reads every set in all ways.
func (m zsetModel) check(t *rapid.T, s *Space) error {
	for _, key := range []string{"", "a", "a\x00", "\xff"} {
		z, err := s.ZSet([]byte(key))
		if err != nil {
			return err
		}
		if err := m[key].check(t, z); err != nil {
			return fmt.Errorf("sorted set %q: %w", key, err)
		}
		at, _, err := s.Expiry([]byte(key))
		if m[key] != nil && (err != nil || at != m[key].expireAt) {
			return fmt.Errorf("expiry of %q: got %d, %v; want %d", key, at, err, m[key].expireAt)
		}
	}
	return nil
}

func (z *modelZSet) check(t *rapid.T, got *ZSet) error {
	all := z.inOrder()
	n, err := got.Len()
	if err := expectZ(err, "length", n, int64(len(all))); err != nil {
		return err
	}
	if z != nil && got.Compact() == z.large {
		return fmt.Errorf("compact: got %v", got.Compact())
	}
	for i, e := range all {
		score, ok, err := got.Score(e.Member)
		if err != nil || !ok || math.Float64bits(score) != math.Float64bits(e.Score) {
			return fmt.Errorf("score of %q: got %v, %v, %v; want %v", e.Member, score, ok, err, e.Score)
		}
		rank, ok, err := got.Rank(e.Member)
		if err != nil || !ok || rank.Before != int64(i) || rank.Behind != n-1-int64(i) {
			return fmt.Errorf("rank of %q: got %+v, %v, %v; want %d", e.Member, rank, ok, err, i)
		}
	}
	if _, ok, err := got.Rank([]byte("nosuch")); ok || err != nil {
		return fmt.Errorf("rank of a member that is not there: %v, %v", ok, err)
	}
	return errors.Join(z.checkRanges(t, got, all), z.checkNames(got))
}

func (z *modelZSet) checkRanges(t *rapid.T, got *ZSet, all []ScoredMember) error {
	w := drawWindow(t)
	scores := drawScoreRange(t)
	r, err := got.Slice(ByScore(scores), w)
	if err := sameScored(err, r, view(all, w, scores.admits)); err != nil {
		return fmt.Errorf("%+v, %+v: %w", scores, w, err)
	}
	count, err := got.Count(ByScore(scores))
	if err := expectZ(err, "count", int(count), len(view(all, Window{Limit: -1}, scores.admits))); err != nil {
		return err
	}
	if lex := (LexRange{drawLexBound(t), drawLexBound(t)}); oneScore(all) {
		span, err := got.ByLex(lex)
		if err != nil {
			return err
		}
		r, err := got.Slice(span, w)
		if err := sameScored(err, r, view(all, w, lex.admits)); err != nil {
			return fmt.Errorf("%+v, %+v: %w", lex, w, err)
		}
	}
	first, last := zsetRank.Draw(t, "first"), zsetRank.Draw(t, "last")
	r, err = got.ByRank(first, last, Window{Reverse: w.Reverse, Scores: true})
	if w.Reverse {
		slices.Reverse(all)
	}
	return sameScored(err, r, byRank(all, first, last))
}

func (z *modelZSet) checkNames(got *ZSet) error {
	names := map[string]float64{}
	err := got.WalkNames(nil, func(member []byte, score float64) bool {
		names[string(member)] = score
		return true
	})
	if z == nil {
		z = &modelZSet{}
	}
	if err != nil || !maps.Equal(names, z.scores) {
		return fmt.Errorf("by name: got %v, %v; want %v", names, err, z.scores)
	}
	return nil
}

func expectZ[T comparable](err error, what string, got, want T) error {
	if err == nil && got != want {
		return fmt.Errorf("%s: got %v, want %v", what, got, want)
	}
	return err
}

// sameScored compares members in order, scores bit by bit.
func sameScored(err error, got, want []ScoredMember) error {
	same := slices.EqualFunc(got, want, func(a, b ScoredMember) bool {
		return string(a.Member) == string(b.Member) && math.Float64bits(a.Score) == math.Float64bits(b.Score)
	})
	if err == nil && !same {
		return fmt.Errorf("members: got %q, want %q", fmt.Sprint(got), fmt.Sprint(want))
	}
	return err
}

// transaction draws some operations; parts of it are taken back.
func (m zsetModel) transaction(t *rapid.T, s *Space) error {
	m.expire(s.Now())
	for range rapid.IntRange(1, 4).Draw(t, "parts") {
		before, fails := m.clone(), rapid.IntRange(0, 3).Draw(t, "fails") == 0
		takenBack := errors.New("taken back")
		err := s.Atomically(func() error {
			for range rapid.IntRange(1, 5).Draw(t, "operations") {
				if err := m.step(t, s); err != nil {
					return err
				}
			}
			if fails {
				return takenBack
			}
			return nil
		})
		switch err {
		case nil:
		case takenBack:
			clear(m)
			maps.Copy(m, before)
		default:
			return err
		}
		if err := m.check(t, s); err != nil {
			return err
		}
	}
	return nil
}

// TestZSetModel runs random histories of transactions, some of them taken back
// in part, against the model, and looks for rows that nobody owns.
func TestZSetModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		defer w.close()
		db := rapid.SampledFrom([]int{0, 15}).Draw(t, "database")
		m := zsetModel{}
		for range rapid.IntRange(1, 10).Draw(t, "transactions") {
			m.commit(t, w, db)
			w.audit(t)
			w.now = w.now.Add(time.Duration(rapid.IntRange(0, 20).Draw(t, "pause")) * time.Millisecond)
		}
	})
}

// commit runs a transaction on the test's own goroutine, which is where rapid
// wants its draws to be made.
func (m zsetModel) commit(t *rapid.T, w *world, db int) {
	ctx := context.Background()
	tx, err := w.db.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	limits := zsetModelLimits
	limits.ZSetCounts = rapid.SampledFrom(zsetCountLimits).Draw(t, "counts")
	if err := m.transaction(t, w.memory.Open(tx, db, Env{Limits: &limits, Samples: w.samples})); err != nil {
		t.Fatal(err)
	}
	if err := w.db.Commit(ctx, tx); err != nil {
		t.Fatal(err)
	}
}

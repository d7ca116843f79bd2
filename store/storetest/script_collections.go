package storetest

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/elastickv/elastickv/store"
)

// collectionCommands are what scripts say of lengths, deltas and claims. kind is
// hash, set, zset or list. What a commit prints begins with its timestamp, which
// is the next of the script's clock.
//
//	base kind k len [head] ts · delta kind k by [head] ts [seq] [times]
//	len kind k ts
//	clock ts                                     the next timestamp is above ts
//	fold kind k · foldall [least]
//	push k end=head|tail v=(x, …) · pop k end=head|tail [n=1]
//	claim k seq ts [times] · item k seq v ts
//	rows ts                                      every visible row, without the items of lists
//
// A delta with times=n is n deltas, at ts and the timestamps after it; a claim is n
// claims, of seq and the numbers after it.
var collectionCommands = map[string]func(*script){
	"base":    (*script).base,
	"delta":   (*script).delta,
	"len":     (*script).length,
	"clock":   func(s *script) { s.clock.observe(s.ts("ts")) },
	"fold":    (*script).fold,
	"foldall": (*script).foldAll,
	"push":    (*script).push,
	"pop":     (*script).pop,
	"claim":   (*script).claim,
	"item":    (*script).item,
	"rows":    (*script).rows,
}

// collection is how a script writes one kind of collection.
type collection struct {
	kind  store.CollectionKind
	base  func(userKey []byte, head, length int64) (key, value []byte)
	delta func(userKey []byte, ts uint64, seq uint32, d store.ListMetaDelta) (key, value []byte)
	len   func(e store.MVCCStore, userKey []byte, ts uint64) (int64, error)
}

var collections = map[string]collection{
	"hash": {
		kind: store.CollectionHash,
		base: func(k []byte, _, n int64) ([]byte, []byte) {
			return store.HashMetaKey(k), store.MarshalHashMeta(store.HashMeta{Len: n})
		},
		delta: func(k []byte, ts uint64, seq uint32, d store.ListMetaDelta) ([]byte, []byte) {
			return store.HashMetaDeltaKey(k, ts, seq), store.MarshalHashMetaDelta(store.HashMetaDelta{LenDelta: d.LenDelta})
		},
		len: func(e store.MVCCStore, k []byte, ts uint64) (int64, error) { return store.HashLenAt(ctx, e, k, ts) },
	},
	"set": {
		kind: store.CollectionSet,
		base: func(k []byte, _, n int64) ([]byte, []byte) {
			return store.SetMetaKey(k), store.MarshalSetMeta(store.SetMeta{Len: n})
		},
		delta: func(k []byte, ts uint64, seq uint32, d store.ListMetaDelta) ([]byte, []byte) {
			return store.SetMetaDeltaKey(k, ts, seq), store.MarshalSetMetaDelta(store.SetMetaDelta{LenDelta: d.LenDelta})
		},
		len: func(e store.MVCCStore, k []byte, ts uint64) (int64, error) { return store.SetLenAt(ctx, e, k, ts) },
	},
	"zset": {
		kind: store.CollectionZSet,
		base: func(k []byte, _, n int64) ([]byte, []byte) {
			return store.ZSetMetaKey(k), store.MarshalZSetMeta(store.ZSetMeta{Len: n})
		},
		delta: func(k []byte, ts uint64, seq uint32, d store.ListMetaDelta) ([]byte, []byte) {
			return store.ZSetMetaDeltaKey(k, ts, seq), store.MarshalZSetMetaDelta(store.ZSetMetaDelta{LenDelta: d.LenDelta})
		},
		len: func(e store.MVCCStore, k []byte, ts uint64) (int64, error) { return store.ZSetLenAt(ctx, e, k, ts) },
	},
	"list": {
		kind: store.CollectionList,
		base: func(k []byte, head, n int64) ([]byte, []byte) {
			value, err := store.MarshalListMeta(store.ListMeta{Head: head, Len: n})
			if err != nil {
				panic(err)
			}
			return store.ListMetaKey(k), value
		},
		delta: func(k []byte, ts uint64, seq uint32, d store.ListMetaDelta) ([]byte, []byte) {
			return store.ListMetaDeltaKey(k, ts, seq), store.MarshalListMetaDelta(d)
		},
		len: func(e store.MVCCStore, k []byte, ts uint64) (int64, error) {
			m, err := store.ListMetaAt(ctx, e, k, ts)
			return m.Len, err
		},
	},
}

// counter is a clock that counts.
type counter struct{ last uint64 }

func (c *counter) Now() uint64 {
	c.last++
	return c.last
}

func (c *counter) observe(ts uint64) { c.last = max(c.last, ts) }

func (s *script) collection() collection {
	c, ok := collections[s.string("kind")]
	if !ok {
		s.t.Fatalf("%s: unknown kind %q", s.c.name, s.string("kind"))
	}
	return c
}

// committer is of the script's clock, which has passed everything in the store.
func (s *script) committer() *store.Committer {
	s.clock.observe(s.e.LastCommitTS())
	return store.NewCommitter(s.e, &s.clock)
}

func (s *script) base() {
	key, value := s.collection().base(s.bytes("k"), s.int("head"), s.int("len"))
	s.report(s.e.PutAt(ctx, key, value, s.ts("ts"), 0))
}

func (s *script) delta() {
	c, d := s.collection(), store.ListMetaDelta{HeadDelta: s.int("head"), LenDelta: s.int("by")}
	for i := range max(s.optional("times"), 1) {
		ts := s.ts("ts") + i
		key, value := c.delta(s.bytes("k"), ts, uint32(s.optional("seq")), d)
		s.report(s.e.PutAt(ctx, key, value, ts, 0))
	}
}

func (s *script) length() {
	c, k, ts := s.collection(), s.bytes("k"), s.ts("ts")
	n, err := c.len(s.e, k, ts)
	if err != nil {
		s.printf("%s", s.collectionError(err))
		return
	}
	if c.kind != store.CollectionList {
		s.printf("%d", n)
		return
	}
	m, err := store.ListMetaAt(ctx, s.e, k, ts)
	s.report(err)
	s.printf("%d in [%d, %d)", n, m.Head, m.Tail)
}

func (s *script) fold() {
	done, err := s.committer().Fold(ctx, s.collection().kind, s.bytes("k"))
	s.printf("@%d %d deltas %d claims", s.clock.last, done.Deltas, done.Claims)
	if err != nil {
		s.printf("%s", s.collectionError(err))
	}
}

func (s *script) foldAll() {
	f, err := store.NewDeltaFolder(s.committer(), store.DeltaFolderOptions{LeastDeltas: int(s.optional("least"))})
	if err != nil {
		s.printf("%v", err)
		return
	}
	r, err := f.FoldOnce(ctx)
	s.printf("%d collections %d deltas %d claims %d failed", r.Collections, r.Deltas, r.Claims, r.Failed)
	if err != nil {
		s.printf("%s", s.collectionError(err))
	}
}

func (s *script) end() store.ListEnd { return s.string("end") == "tail" }

func (s *script) push() {
	arg, _ := s.arg("v")
	ts, err := s.committer().PushList(ctx, s.bytes("k"), s.end(), s.unquoteAll(arg.Vals)...)
	s.printTransaction(ts, nil, err)
}

func (s *script) pop() {
	n := 1
	if s.has("n") {
		n = int(s.int("n"))
	}
	popped, ts, err := s.committer().PopList(ctx, s.bytes("k"), s.end(), n)
	s.printTransaction(ts, popped, err)
}

func (s *script) printTransaction(ts uint64, elements [][]byte, err error) {
	if err != nil {
		s.printf("%s", s.collectionError(err))
		return
	}
	s.printf("%s", strings.TrimSpace(fmt.Sprintf("@%d %s", ts, showAll(elements))))
}

func (s *script) claim() {
	for i := range max(int64(s.optional("times")), 1) {
		s.report(s.e.PutAt(ctx, store.ListClaimKey(s.bytes("k"), s.int("seq")+i), nil, s.ts("ts"), 0))
	}
}

func (s *script) item() {
	s.report(s.e.PutAt(ctx, store.ListItemKey(s.bytes("k"), s.int("seq")), s.bytes("v"), s.ts("ts"), 0))
}

// rows shows what there is in words, as far as it is of a collection.
func (s *script) rows() {
	pairs, err := s.e.ScanAt(ctx, nil, nil, 100, s.ts("ts"))
	s.report(err)
	for _, p := range pairs {
		if !store.IsListItemKey(p.Key) {
			s.printf("%s = %x", show(p.Key), p.Value)
		}
	}
	if len(pairs) == 0 {
		s.printf("nothing")
	}
}

// collectionError shows a sentinel by its name and anything else in full, because
// errors of this package's own are part of what a script specifies.
func (s *script) collectionError(err error) string {
	if errors.Is(err, store.ErrDeltaScanTruncated) {
		return store.ErrDeltaScanTruncated.Error()
	}
	if text := s.errorText(err); text != "refused" {
		return text
	}
	return err.Error()
}

// int returns a signed number, or 0 if it was left out.
func (s *script) int(key string) int64 {
	if !s.has(key) {
		return 0
	}
	n, err := strconv.ParseInt(s.string(key), 10, 64)
	if err != nil {
		s.t.Fatalf("%s: %v", s.c.name, err)
	}
	return n
}

func showAll(elements [][]byte) string {
	texts := make([]string, len(elements))
	for i, e := range elements {
		texts[i] = show(e)
	}
	return strings.Join(texts, " ")
}

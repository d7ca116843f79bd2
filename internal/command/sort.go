package command

import (
	"bytes"
	"math"
	"slices"
	"strings"

	"github.com/elastickv/elastickv/internal/keyspace"
	"github.com/elastickv/elastickv/internal/pqsort"
)

const costOfSort = "O(N+M*log(M)) where N is the number of elements and M the number of those returned"

var sortCommands = []*Command{
	{Name: "sort", Arity: -2, Flags: Write | DenyOOM | MovableKeys, Group: GroupGeneric, Cats: CatSet | CatSortedSet | CatList | CatDangerous,
		Syntax: "key [BY by-pattern=pattern] [LIMIT (offset count)] [GET get-pattern=pattern]... [order(ASC | DESC)] [sorting=ALPHA] [STORE destination]",
		Keys:   []KeySpec{keyAt(1, KeyRO|KeyAccess), unknownKeys(KeyRO | KeyAccess), unknownKeys(KeyOW | KeyUpdate)},
		Run:    sortKey, FindKeys: sortKeys, MayWrite: storesAt(2),
		Since: "1.0.0", Complexity: costOfSort, Summary: "Returns or stores the elements of a list, set or sorted set in order."},
	{Name: "sort_ro", Arity: -2, Flags: ReadOnly | MovableKeys, Group: GroupGeneric, Cats: CatSet | CatSortedSet | CatList | CatDangerous,
		Syntax: "key [BY by-pattern=pattern] [LIMIT (offset count)] [GET get-pattern=pattern]... [order(ASC | DESC)] [sorting=ALPHA]",
		Keys:   []KeySpec{keyAt(1, KeyRO|KeyAccess), unknownKeys(KeyRO | KeyAccess)}, Run: sortKeyRO,
		Since: "7.0.0", Complexity: costOfSort, Summary: "Returns the elements of a list, set or sorted set in order."},
}

// sortKeys finds the keys of SORT that can be told: the first, and the target of the last STORE.
func sortKeys(args [][]byte) []Key {
	keys := []Key{{1, KeyRO | KeyAccess}}
	var target []Key
	for i := 2; i < len(args); i++ {
		switch strings.ToUpper(string(clip(args[i], 8))) {
		case "LIMIT":
			i += 2
		case "GET", "BY":
			i++
		case "STORE":
			if i++; i < len(args) {
				target = []Key{{i, KeyOW | KeyUpdate}}
			}
		}
	}
	return append(keys, target...)
}

// sorting is one call of SORT.
type sorting struct {
	readOnly, descending, alpha bool
	asIs                        bool // a BY without an asterisk: nothing is sorted
	skip, limit                 int64
	by                          []byte   // pattern; nil: the elements themselves
	get                         [][]byte // patterns
	target                      []byte   // nil: none
	room                        int64    // bytes of values that may yet be copied
}

// sortBytesMost is how many bytes of values a SORT copies at most. One large value can be wanted
// for each of a million elements.
const sortBytesMost = 1 << 30

// copied returns a copy of a value.
func (s *sorting) copied(value []byte) ([]byte, error) {
	const overhead = 24 // the slice
	if s.room -= int64(len(value) + overhead); s.room < 0 {
		return nil, ErrSortTooLarge
	}
	return append([]byte{}, value...), nil
}

// sortElement is an element with what it is sorted by.
type sortElement struct {
	element []byte
	score   float64
	text    []byte // nil if there is none
}

func sortKey(c *Ctx) error { return (&sorting{room: sortBytesMost}).run(c) }

func sortKeyRO(c *Ctx) error { return (&sorting{room: sortBytesMost, readOnly: true}).run(c) }

func (s *sorting) run(c *Ctx) error {
	s.limit = -1
	for i := 2; i < len(c.Args); {
		n, err := s.option(c, i)
		if err != nil {
			return err
		}
		i += n
	}
	kind, err := c.Keys.Reading().Kind(c.Args[1])
	if err != nil {
		return err
	}
	elements, first, last, err := s.load(c, kind)
	if err != nil {
		return err
	}
	if !s.asIs {
		if err := s.weigh(c, elements); err != nil {
			return err
		}
		s.arrange(elements, first, last)
	}
	elements = elements[first : last+1]
	if s.target != nil {
		return s.store(c, elements)
	}
	return s.reply(c, elements)
}

// option reads the option at argument i and returns how many arguments it takes.
func (s *sorting) option(c *Ctx, i int) (n int, err error) {
	behind := len(c.Args) - i - 1
	switch {
	case c.is(i, "ASC"):
		s.descending = false
	case c.is(i, "DESC"):
		s.descending = true
	case c.is(i, "ALPHA"):
		s.alpha = true
	case c.is(i, "LIMIT") && behind >= 2:
		if s.skip, err = c.int(i + 1); err != nil {
			return 0, err
		}
		s.limit, err = c.int(i + 2)
		return 3, err
	case c.is(i, "STORE") && behind >= 1 && !s.readOnly:
		s.target = c.Args[i+1]
		return 2, nil
	case c.is(i, "BY") && behind >= 1:
		s.by = c.Args[i+1]
		if asterisk(s.by) < 0 {
			s.asIs = true
		} else if !c.readsAll() {
			return 0, ErrSortByDenied
		}
		return 2, nil
	case c.is(i, "GET") && behind >= 1 && !c.readsAll():
		return 0, ErrSortGetDenied
	case c.is(i, "GET") && behind >= 1:
		s.get = append(s.get, c.Args[i+1])
		return 2, nil
	default:
		return 0, ErrSyntax
	}
	return 1, nil
}

func (c *Ctx) readsAll() bool { return c.ReadsAll == nil || c.ReadsAll(c.Cmd, c.Args) }

// load returns the elements that have to be looked at, and which of them are wanted once they
// are in order.
func (s *sorting) load(c *Ctx, kind keyspace.Kind) (elements []sortElement, first, last int, err error) {
	switch kind {
	case keyspace.KindNone:
	case keyspace.KindList:
		return s.loadList(c)
	case keyspace.KindSet:
		if s.asIs { // a set has no order of its own
			s.asIs, s.alpha, s.by = false, true, nil
		}
		set, err := c.Keys.Set(c.Args[1])
		if err != nil {
			return nil, 0, 0, err
		}
		err = set.Walk(nil, func(member []byte) bool {
			elements = append(elements, sortElement{element: bytes.Clone(member)})
			return true
		})
		if err != nil {
			return nil, 0, 0, err
		}
	case keyspace.KindZSet:
		return s.loadZSet(c)
	default:
		return nil, 0, 0, keyspace.ErrWrongType
	}
	first, last = s.window(len(elements))
	return elements, first, last, nil
}

func (s *sorting) loadList(c *Ctx) (elements []sortElement, first, last int, err error) {
	list, err := c.Keys.List(c.Args[1])
	if err != nil {
		return nil, 0, 0, err
	}
	n, side := int(list.Len()), keyspace.Left
	first, last = s.window(n)
	r := keyspace.ListRange{From: 0, To: int64(n)}
	if s.asIs { // only what is wanted is read
		r = keyspace.ListRange{From: int64(first), To: int64(last) + 1}
		if s.descending {
			side = keyspace.Right
			r = keyspace.ListRange{From: int64(n - 1 - last), To: int64(n - first)}
		}
		first, last = 0, last-first
	}
	err = list.Walk(r, side, func(_ int64, value []byte) bool {
		elements = append(elements, sortElement{element: bytes.Clone(value)})
		return true
	})
	return elements, first, last, err
}

func (s *sorting) loadZSet(c *Ctx) (elements []sortElement, first, last int, err error) {
	z, err := c.Keys.ZSet(c.Args[1])
	if err != nil {
		return nil, 0, 0, err
	}
	n, err := z.Len()
	if err != nil {
		return nil, 0, 0, err
	}
	first, last = s.window(int(n))
	from, to := int64(0), n-1
	if s.asIs { // only what is wanted is read
		from, to = int64(first), int64(last)
		first, last = 0, last-first
	}
	if to < from {
		return nil, first, last, nil
	}
	members, err := z.ByRank(from, to, keyspace.Window{Reverse: s.asIs && s.descending})
	for _, m := range members {
		elements = append(elements, sortElement{element: m.Member})
	}
	return elements, first, last, err
}

// window returns the first and the last of n elements that LIMIT asks for; last is one below
// first if it asks for none.
func (s *sorting) window(n int) (first, last int) {
	skip, limit := min(max(s.skip, 0), int64(n)), min(max(s.limit, -1), int64(n))
	if skip == int64(n) {
		return n, n - 1
	}
	if limit < 0 {
		return int(skip), n - 1
	}
	return int(skip), int(min(skip+limit, int64(n))) - 1
}

// weigh fills in what elements are sorted by.
func (s *sorting) weigh(c *Ctx, elements []sortElement) error {
	for i := range elements {
		e := &elements[i]
		value, ok := e.element, true
		var err error
		if s.by != nil {
			if value, ok, err = c.derived(s.by, e.element); err != nil {
				return err
			}
		}
		switch {
		case !ok:
		case s.alpha && s.target == nil:
			e.text, err = s.copied(beforeZero(value)) // as C compares strings of a locale
		case s.alpha:
			e.text, err = s.copied(value)
		default:
			if e.score, ok = sortScore(value); !ok {
				return ErrSortScore
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// sortScore reads a number to sort by, as C's strtod does: nothing is 0.
func sortScore(b []byte) (float64, bool) {
	b = beforeZero(b)
	if len(b) == 0 {
		return 0, true
	}
	f, exact, ok := strtod(strings.TrimLeft(string(b), " \t\n\v\f\r"))
	return f, ok && exact && !math.IsNaN(f)
}

// beforeZero returns what of b a string of C has.
func beforeZero(b []byte) []byte {
	b, _, _ = bytes.Cut(b, []byte{0})
	return b
}

// arrange puts in order the elements from first to last, if the others need none.
func (s *sorting) arrange(elements []sortElement, first, last int) {
	order := s.compare
	if s.descending {
		order = func(a, b sortElement) int { return -s.compare(a, b) }
	}
	if s.by != nil && first <= last && (first != 0 || last != len(elements)-1) {
		pqsort.Sort(elements, first, last, order)
		return
	}
	slices.SortStableFunc(elements, order)
}

func (s *sorting) compare(a, b sortElement) int {
	switch {
	case !s.alpha && a.score < b.score:
		return -1
	case !s.alpha && a.score > b.score:
		return 1
	case !s.alpha:
		return bytes.Compare(a.element, b.element)
	case a.text == nil || b.text == nil:
		return boolInt(a.text != nil) - boolInt(b.text != nil)
	}
	return bytes.Compare(a.text, b.text)
}

// asterisk returns where the asterisk of a pattern stands, below 0 if it has none.
func asterisk(pattern []byte) int { return bytes.IndexByte(beforeZero(pattern), '*') }

// derived returns the value that a pattern of BY or GET names for an element: # is the
// element itself; else it takes the place of the asterisk in the name of a string, or of a
// hash, with a field behind an arrow.
func (c *Ctx) derived(pattern, element []byte) ([]byte, bool, error) {
	if string(pattern) == "#" {
		return element, true, nil
	}
	at := asterisk(pattern)
	if at < 0 {
		return nil, false, nil
	}
	var field []byte
	tail := pattern[at+1:]
	if i := bytes.Index(beforeZero(tail), []byte("->")); i >= 0 && i+2 < len(tail) && tail[i+2] != 0 {
		tail, field = tail[:i], tail[i+2:]
	}
	key := slices.Concat(pattern[:at], element, tail)
	if field == nil {
		value, ok, err := c.Keys.Reading().String(key)
		if isWrongType(err) {
			return nil, false, nil
		}
		return value, ok, err
	}
	h, err := c.Keys.Reading().Hash(key)
	if isWrongType(err) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	return h.Get(field)
}

// eachResult calls fn with what the call returns for elements: them, or what GET says.
func (s *sorting) eachResult(c *Ctx, elements []sortElement, fn func(value []byte, ok bool) error) error {
	for _, e := range elements {
		if len(s.get) == 0 {
			if err := fn(e.element, true); err != nil {
				return err
			}
		}
		for _, pattern := range s.get {
			value, ok, err := c.derived(pattern, e.element)
			if err != nil {
				return err
			}
			if err := fn(value, ok); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *sorting) reply(c *Ctx, elements []sortElement) error {
	c.Out.Array(len(elements) * max(len(s.get), 1))
	return s.eachResult(c, elements, func(value []byte, ok bool) error {
		c.bulkOrNull(value, ok)
		return c.checkReply() // there may be a million patterns for each of a million elements
	})
}

func (s *sorting) store(c *Ctx, elements []sortElement) error {
	var values [][]byte
	err := s.eachResult(c, elements, func(value []byte, _ bool) error {
		v, err := s.copied(value)
		values = append(values, v)
		return err
	})
	if err != nil {
		return err
	}
	c.Out.Int(int64(len(values)))
	if len(values) == 0 {
		return c.removed(s.target)
	}
	if err := c.Keys.StoreList(s.target, values); err != nil {
		return err
	}
	c.Keys.Notify(keyspace.ClassList, "sortstore", s.target)
	return nil
}

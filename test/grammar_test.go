package test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/elastickv/elastickv/internal/resp"
	"github.com/elastickv/elastickv/internal/testkit"
)

// grammar makes random commands by the arguments that COMMAND DOCS of a real redis-server
// describes.
type grammar struct {
	commands []phrase
	total    int // weights of all commands
}

// phrase is a command, or a subcommand behind its container.
type phrase struct {
	words     []string
	name      string // container|subcommand
	group     string
	arguments []argument
	weight    int
}

type argument struct {
	name, kind, token string
	optional, many    bool
	manyTokens        bool
	parts             []argument
}

// fieldsOf returns the entries of a map reply.
func fieldsOf(v resp.Value) map[string]resp.Value {
	fields := make(map[string]resp.Value)
	for i := 0; i+1 < len(v.Elems); i += 2 {
		fields[v.Elems[i].Str] = v.Elems[i+1]
	}
	return fields
}

// newGrammar asks a server, in protocol 3, for the commands that wanted gives a weight above zero.
func newGrammar(t *testing.T, c *testkit.Client, wanted func(name, group string) int) *grammar {
	t.Helper()
	g := &grammar{}
	var add func(words []string, name string, docs resp.Value)
	add = func(words []string, name string, docs resp.Value) {
		fields := fieldsOf(docs)
		if subs := fields["subcommands"].Elems; len(subs) > 0 {
			for i := 0; i+1 < len(subs); i += 2 {
				_, sub, _ := strings.Cut(subs[i].Str, "|")
				add(append(slices.Clone(words), sub), subs[i].Str, subs[i+1])
			}
			return
		}
		group := fields["group"].Str
		if weight := wanted(name, group); weight > 0 {
			g.commands = append(g.commands, phrase{words, name, group, argumentsOf(fields["arguments"]), weight})
			g.total += weight
		}
	}
	all := c.MustDo(t, "COMMAND", "DOCS").Elems
	for i := 0; i+1 < len(all); i += 2 {
		add([]string{all[i].Str}, all[i].Str, all[i+1])
	}
	// The reply is in the order of a hash table with a seed of its own.
	slices.SortFunc(g.commands, func(a, b phrase) int { return strings.Compare(a.name, b.name) })
	if len(g.commands) == 0 {
		t.Fatal("COMMAND DOCS describes no command")
	}
	return g
}

func argumentsOf(v resp.Value) []argument {
	var all []argument
	for _, e := range v.Elems {
		fields := fieldsOf(e)
		a := argument{
			name: fields["name"].Str, kind: fields["type"].Str, token: fields["token"].Str,
			parts: argumentsOf(fields["arguments"]),
		}
		for _, flag := range fields["flags"].Elems {
			switch flag.Str {
			case "optional":
				a.optional = true
			case "multiple":
				a.many = true
			case "multiple_token":
				a.manyTokens = true
			}
		}
		all = append(all, a)
	}
	return all
}

// command returns a random command and its name. Most are well formed; of some a word is missing,
// doubled or another.
func (g *grammar) command(rnd *rand.Rand) (words []string, name string) {
	n := rnd.IntN(g.total)
	var p phrase
	for _, p = range g.commands {
		if n -= p.weight; n < 0 {
			break
		}
	}
	s := speaker{rnd: rnd, phrase: p, words: slices.Clone(p.words)}
	for _, a := range p.arguments {
		s.say(a)
	}
	if strings.HasSuffix(p.name, "scan") {
		s.words = append(s.words, "COUNT", "1000") // all at once, for cursors are each server's own
	} else if !s.timed && rnd.IntN(12) == 0 {
		s.slip()
	}
	return s.words, p.name
}

// speaker is a command in the making.
type speaker struct {
	rnd    *rand.Rand
	phrase phrase
	words  []string
	keys   int  // how many keys the word numkeys has promised
	timed  bool // a word is a time, which another word in its place might make short
}

// unsaid are arguments that make a reply depend on the clock or on other connections.
func unsaid(a argument) bool { return a.token == "BLOCK" || a.name == "auto_id" }

func (s *speaker) say(a argument) {
	if unsaid(a) || a.optional && s.rnd.IntN(3) != 0 {
		return
	}
	times := 1
	if a.many {
		times = 1 + s.rnd.IntN(3)
	}
	if a.kind == "key" && a.many && s.keys > 0 {
		times, s.keys = s.keys, 0
	}
	for i := range times {
		if a.token != "" && a.kind != "pure-token" && (i == 0 || a.manyTokens) {
			s.words = append(s.words, a.token)
		}
		s.sayOne(a)
	}
}

func (s *speaker) sayOne(a argument) {
	switch a.kind {
	case "oneof":
		open := slices.DeleteFunc(slices.Clone(a.parts), unsaid)
		s.say(without(open[s.rnd.IntN(len(open))]))
	case "block":
		for _, part := range a.parts {
			s.say(part)
		}
	case "pure-token":
		s.words = append(s.words, a.token)
	case "key":
		s.words = append(s.words, s.key())
	default:
		s.words = append(s.words, s.value(a))
	}
}

// without returns an alternative as something that is said.
func without(a argument) argument {
	a.optional = false
	return a
}

// keysOf are the keys that commands of a group like best.
var keysOf = map[string][]string{
	"string": {"s1", "s2", "n1"}, "bitmap": {"b1", "s2"}, "list": {"l1", "l2"}, "set": {"t1", "t2"}, "hash": {"h1", "h2"},
	"sorted-set": {"z1", "z2"}, "geo": {"g1", "g2"}, "stream": {"x1", "x2"}, "hyperloglog": {"p1", "p2"},
}

var allKeys = func() []string {
	all := []string{"nosuch", ""}
	for group, keys := range keysOf {
		if group != "geo" { // the places that other commands make are numbers that C leaves undefined
			all = append(all, keys...)
		}
	}
	slices.Sort(all)
	return all
}()

func (s *speaker) key() string {
	own := keysOf[s.phrase.group]
	if len(own) == 0 || s.phrase.group != "geo" && s.rnd.IntN(12) == 0 {
		own = allKeys
	}
	return own[s.rnd.IntN(len(own))]
}

// pools of values by what an argument is called, then by what it is.
var (
	smallInts = []string{"0", "1", "2", "3", "-1", "-2", "5", "10", "-5"}
	oddInts   = []string{"100", "-100", "4294967296", "9223372036854775807", "-9223372036854775807", "9223372036854775808", "01", "+1", " 1", "1.0", "x", "", "-0", "2147483648", "1e3"}
	doubles   = []string{"0", "1", "-1", "1.5", "2", "3", "-0", "0.1", "1e3", "inf", "-inf", "+inf", "3.0e-5", "1234567.125", "1e300"}
	oddFloats = []string{"nan", "x", "", "1e309", "0x10", " 1", "1 ", "1_0", "-nan", "infinity", "1e-400", ".5", "5."}
	texts     = []string{"a", "b", "c", "d", "foo", "bar", "", "1", "2", "-3", "1.5", "10", "hello world", "\xff\r\n\x01", strings.Repeat("y", 70), "3000000000", "abcabcabc"}
	members   = []string{"a", "b", "c", "d", "e", "1", "2", "3", "-7", "foo", "x y"}
	lexes     = []string{"-", "+", "[a", "(a", "[c", "(c", "[", "(", "[foo", "a"}
	scores    = []string{"-inf", "+inf", "0", "1", "(1", "2", "(2", "3", "1.5", "(nan", "x", "10", "-1"}
	ids       = []string{"1-1", "1-2", "2-1", "3-0", "5", "0", "0-0", "0-1", "7-*", "10-1", "18446744073709551615-18446744073709551615", "x", "1-", "-1-1"}
	idBounds  = []string{"-", "+", "0", "1-1", "2", "(1-1", "(2", "5-5", "(", "(-", "18446744073709551615-18446744073709551615"}
	patterns  = []string{"*", "h*", "?1", "[a-c]*", "a*", "\\*", "", "[^a]", "*a*", "foo", "[", "x\\"}
	futures   = []string{"4102444800", "4102444801", "4200000000"}
	oddTimes  = []string{"0", "-1", "-100", "9223372036854775807", "-9223372036854775808", "x", "", "1.0"}
	longitude = []string{"13.361389", "15.087269", "-122.4", "0", "180", "2.35", "181"}
	latitude  = []string{"38.115556", "37.502669", "37.7", "0", "85", "48.85", "86"}
	radii     = []string{"0", "100", "200000", "5000", "-1", "x", "1000000000"}
	groups    = []string{"g1", "g2", "nosuch"}
	consumers = []string{"c1", "c2", "nobody"}
	bitTypes  = []string{"u8", "i8", "u1", "i64", "u63", "u64", "i5", "x8", "i0", "u16"}
	bitOffs   = []string{"0", "1", "7", "8", "#0", "#1", "#3", "100", "-1", "#-1", "x"}
)

func (s *speaker) pick(pool []string) string { return pool[s.rnd.IntN(len(pool))] }

// rarely picks from odd once in a while, else from pool.
func (s *speaker) rarely(odd, pool []string) string {
	if s.rnd.IntN(15) == 0 {
		return s.pick(odd)
	}
	return s.pick(pool)
}

func (s *speaker) value(a argument) string {
	switch s.phrase.group {
	case "stream":
		if v, ok := s.streamValue(a); ok {
			return v
		}
	case "geo":
		switch a.name {
		case "longitude":
			return s.pick(longitude)
		case "latitude":
			return s.pick(latitude)
		case "radius", "width", "height":
			return s.pick(radii)
		}
	case "sorted-set":
		if a.name == "min" || a.name == "max" || a.name == "start" || a.name == "stop" {
			return s.zsetBound()
		}
	}
	switch a.name {
	case "numkeys":
		s.keys = 1 + s.rnd.IntN(3)
		if s.rnd.IntN(20) == 0 {
			return s.pick(oddInts)
		}
		return strconv.Itoa(s.keys)
	case "member", "field", "element", "pivot":
		return s.pick(members)
	case "encoding", "type":
		return s.pick(bitTypes)
	case "offset", "bit":
		if s.phrase.group == "bitmap" {
			return s.pick(bitOffs)
		}
	case "cursor":
		return "0"
	case "seconds", "milliseconds", "ttl":
		s.timed = true
		if s.rnd.IntN(15) == 0 {
			return s.pick(oddTimes)
		}
		// None ends within a test, in whatever unit, and no two end at about the same time.
		return strconv.Itoa((100 + s.rnd.IntN(1000)) * 1_000_000)
	case "unix-time-milliseconds", "milliseconds-timestamp":
		s.timed = true
		return s.rarely(oddTimes, futures) + "000"
	case "db", "index":
		if s.phrase.group == "generic" || s.phrase.group == "connection" || s.phrase.group == "server" {
			return s.rarely(oddInts, []string{"0", "1"})
		}
	}
	switch a.kind {
	case "integer":
		return s.rarely(oddInts, smallInts)
	case "double":
		return s.rarely(oddFloats, doubles)
	case "pattern":
		return s.pick(patterns)
	case "unix-time":
		s.timed = true
		return s.rarely(oddTimes, futures)
	}
	return s.pick(texts)
}

func (s *speaker) streamValue(a argument) (string, bool) {
	switch a.name {
	case "id", "lastid", "last-id", "threshold", "max-deleted-id", "ID":
		if a.name == "threshold" && s.rnd.IntN(2) == 0 {
			return s.pick(smallInts), true
		}
		if s.rnd.IntN(8) == 0 {
			return s.pick([]string{"$", ">", "-", "+"}), true
		}
		return s.pick(ids), true
	case "start", "end":
		return s.pick(idBounds), true
	case "group", "groupname":
		return s.pick(groups), true
	case "consumer", "consumername":
		return s.pick(consumers), true
	case "min-idle-time":
		return s.rarely(oddInts, []string{"0"}), true
	case "count", "entries-added", "entries_read":
		return s.rarely(oddInts, smallInts), true
	}
	return "", false
}

func (s *speaker) zsetBound() string {
	name := s.phrase.name
	switch {
	case strings.Contains(name, "lex"):
		return s.pick(lexes)
	case strings.Contains(name, "score"), name == "zcount":
		return s.pick(scores)
	case name == "zrange" || name == "zrangestore":
		return s.pick([][]string{lexes, scores, smallInts}[s.rnd.IntN(3)])
	}
	return s.rarely(oddInts, smallInts)
}

// slip spoils a command.
func (s *speaker) slip() {
	at := len(s.phrase.words)
	if len(s.words) == at {
		s.words = append(s.words, s.pick(texts))
		return
	}
	i := at + s.rnd.IntN(len(s.words)-at)
	switch s.rnd.IntN(4) {
	case 0:
		s.words = slices.Delete(s.words, i, i+1)
	case 1:
		s.words = slices.Insert(s.words, i, s.words[i])
	case 2:
		s.words[i] = s.pick([][]string{texts, oddInts, oddFloats, members}[s.rnd.IntN(4)])
	case 3:
		j := at + s.rnd.IntN(len(s.words)-at)
		s.words[i], s.words[j] = s.words[j], s.words[i]
	}
}

// quoted renders a command as a script file has it.
func quoted(words []string) string {
	all := make([]string, len(words))
	for i, w := range words {
		all[i] = w
		if w == "" || strings.ContainsFunc(w, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\'' || r == '\\' }) {
			all[i] = `"` + quotedBytes(w) + `"`
		}
	}
	return strings.Join(all, " ")
}

func quotedBytes(s string) string {
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c >= ' ' && c <= '~':
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, `\x%02x`, c)
		}
	}
	return b.String()
}

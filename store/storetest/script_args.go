package storetest

import (
	"math"
	"strconv"
	"strings"

	"github.com/cockroachdb/datadriven"

	"github.com/elastickv/elastickv/store"
)

// scriptArgs are the arguments that the commands know. A misspelt one must not
// be passed over in silence.
var scriptArgs = map[string]bool{
	"k": true, "v": true, "ts": true, "exp": true, "start": true, "end": true, "limit": true, "prefix": true,
	"exclude": true, "stop": true, "read": true, "range": true, "raft": true, "index": true, "name": true,
	"commit": true, "put": true, "del": true, "op": true, "nil": true,
	"deleted": true,
	"kind":    true, "len": true, "head": true, "by": true, "seq": true, "times": true, "least": true, "n": true,
}

func (s *script) checkArgs(d *datadriven.TestData) {
	for _, arg := range s.c.args {
		if !scriptArgs[arg.Key] {
			d.Fatalf(s.t, "%s: unknown argument %q", s.c.name, arg.Key)
		}
	}
}

func (s *script) arg(key string) (datadriven.CmdArg, bool) {
	for _, arg := range s.c.args {
		if arg.Key == key {
			return arg, true
		}
	}
	return datadriven.CmdArg{}, false
}

func (s *script) has(key string) bool {
	_, ok := s.arg(key)
	return ok
}

// string returns an argument that must be there.
func (s *script) string(key string) string {
	arg, ok := s.arg(key)
	if !ok || len(arg.Vals) != 1 {
		s.t.Fatalf("%s: wants %s=…", s.c.name, key)
	}
	return arg.Vals[0]
}

// bytes returns an argument, or nil if it was left out.
func (s *script) bytes(key string) []byte {
	if !s.has(key) {
		return nil
	}
	return s.unquote(s.string(key))
}

func (s *script) ts(key string) uint64 { return s.parseTS(s.string(key)) }

// optional returns a number, or 0 if it was left out.
func (s *script) optional(key string) uint64 {
	if !s.has(key) {
		return 0
	}
	return s.ts(key)
}

// mutation reads put=k:v!exp, del=k, op=k and nil.
func (s *script) mutation(arg datadriven.CmdArg) (*store.KVPairMutation, bool) {
	switch arg.Key {
	case "put":
		key, rest, _ := strings.Cut(arg.Vals[0], ":")
		value, exp, expires := strings.Cut(rest, "!")
		m := &store.KVPairMutation{Op: store.OpTypePut, Key: s.unquote(key), Value: s.unquote(value)}
		if expires {
			m.ExpireAt = s.parseTS(exp)
		}
		return m, true
	case "del":
		return &store.KVPairMutation{Op: store.OpTypeDelete, Key: s.unquote(arg.Vals[0])}, true
	case "op":
		return &store.KVPairMutation{Op: store.OpType(7), Key: s.unquote(arg.Vals[0])}, true
	case "nil":
		return nil, true
	}
	return nil, false
}

func (s *script) parseTS(text string) uint64 {
	if text == "max" {
		return math.MaxUint64
	}
	ts, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		s.t.Fatalf("%s: %v", s.c.name, err)
	}
	return ts
}

// unquote reads bytes as the doc comment of script says. The result is not nil.
func (s *script) unquote(text string) []byte {
	text, times, repeated := strings.Cut(text, "*")
	raw, err := strconv.Unquote(`"` + text + `"`)
	if err != nil {
		s.t.Fatalf("%s: bad bytes %q: %v", s.c.name, text, err)
	}
	if repeated {
		n, err := strconv.Atoi(times)
		if err != nil {
			s.t.Fatalf("%s: %v", s.c.name, err)
		}
		raw = strings.Repeat(raw, n)
	}
	return append([]byte{}, raw...)
}

// span reads (start, end); without the end it is unbounded.
func (s *script) span(texts []string) store.Span {
	span := store.Span{Start: s.unquote(texts[0])}
	if len(texts) == 2 {
		span.End = s.unquote(texts[1])
	}
	return span
}

func (s *script) unquoteAll(texts []string) [][]byte {
	var all [][]byte
	for _, text := range texts {
		all = append(all, s.unquote(text))
	}
	return all
}

// show prints bytes as scripts write them, in quotes unless they are plain.
func show(b []byte) string {
	if len(b) > 64 {
		return strconv.Quote(string(b[:8])) + "… (" + strconv.Itoa(len(b)) + " bytes)"
	}
	quoted := strconv.QuoteToASCII(string(b))
	if len(b) == 0 || quoted != `"`+string(b)+`"` || strings.ContainsAny(quoted, " =@!") {
		return quoted
	}
	return string(b)
}

func showTS(ts uint64) string {
	if ts == math.MaxUint64 {
		return "max"
	}
	return strconv.FormatUint(ts, 10)
}

func showVersion(v store.VersionedValue) string {
	text := show(v.Value)
	if v.Tombstone {
		text = "tombstone"
	}
	text += " @" + showTS(v.TS)
	if v.ExpireAt != 0 {
		text += " !" + showTS(v.ExpireAt)
	}
	return text
}

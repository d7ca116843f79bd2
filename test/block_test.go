package test

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/elastickv/elastickv/internal/resp"
	"github.com/elastickv/elastickv/internal/testkit"
)

// block is one "run" or "read" of a script file.
type block struct {
	read      bool   // replies are read to what has been sent before
	waits     bool   // each call waits: its reply is read later
	ours      bool   // Redis is not asked
	redis     string // 7.0 or 7.2: only a Redis of that version is asked
	plain     bool   // never inside MULTI or a script
	unordered bool   // sort before comparing
	pairs     bool   // sort flat arrays of protocol 2 two by two
	match     bool   // expected lines are regular expressions
	only      int    // protocol; 0 for both
	conn      string // name of the connection
	calls     []call
}

// call is one line of a block.
type call struct {
	args   []string
	repeat int // how often; $i in an argument counts from 0
}

// repeatMax bounds a repeat line.
const repeatMax = 100_000

func parseBlock(t *testing.T, d *datadriven.TestData) *block {
	t.Helper()
	if d.Cmd != "run" && d.Cmd != "read" {
		d.Fatalf(t, "unknown directive %q: only run and read are", d.Cmd)
	}
	b := &block{read: d.Cmd == "read"}
	for _, arg := range d.CmdArgs {
		switch arg.Key {
		case "ours":
			b.ours = true
		case "redis":
			if b.redis = arg.SingleVal(t); b.redis != "7.0" && b.redis != "7.2" {
				d.Fatalf(t, "redis=%s: want 7.0 or 7.2", b.redis)
			}
		case "nomulti":
			b.plain = true
		case "waits":
			b.waits, b.plain = true, true
		case "unordered":
			b.unordered = true
		case "pairs":
			b.unordered, b.pairs = true, true
		case "match":
			b.match = true
		case "resp2":
			b.only = 2
		case "resp3":
			b.only = 3
		case "conn":
			b.conn = arg.SingleVal(t)
		default:
			d.Fatalf(t, "unknown option %q", arg.Key)
		}
	}
	for line := range strings.SplitSeq(d.Input, "\n") {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		c, err := parseCall(line)
		if err != nil {
			d.Fatalf(t, "%v", err)
		}
		b.calls = append(b.calls, c)
	}
	if b.read {
		b.calls = append(b.calls, call{}) // one reply
	}
	return b
}

func parseCall(line string) (call, error) {
	args, err := testkit.Split(line)
	if err != nil || len(args) == 0 {
		return call{}, fmt.Errorf("line %q is no command (%v)", line, err)
	}
	if args[0] != "repeat" {
		return call{args: args}, nil
	}
	if len(args) < 3 {
		return call{}, fmt.Errorf("line %q: want repeat N COMMAND …", line)
	}
	n, err := strconv.Atoi(args[1])
	if err != nil || n < 1 || n > repeatMax {
		return call{}, fmt.Errorf("line %q: want repeat N COMMAND … with N in 1 … %d", line, repeatMax)
	}
	return call{args[2:], n}, nil
}

// check runs b and returns what the file should hold: its own words when all is as
// expected, else what came.
func (b *block) check(t *testing.T, d *datadriven.TestData, f *fleet) string {
	t.Helper()
	got := b.run(t, d, f)
	if !b.match {
		return strings.Join(got.lines(), "\n")
	}
	if err := got.match(d.Expected); err != nil {
		d.Fatalf(t, "%v\nall replies:\n%s", err, strings.Join(got.lines(), "\n"))
	}
	return d.Expected
}

// skip passes over a block of another version of Redis. What has been waited for is read all the same.
func (b *block) skip(t *testing.T, d *datadriven.TestData, f *fleet) {
	t.Helper()
	if b.read && !b.ours {
		b.run(t, d, f)
	}
}

// record runs b and returns what the file is to hold from now on. Patterns are a
// person's work and stay; where there are none yet, the replies are a first draft.
func (b *block) record(t *testing.T, d *datadriven.TestData, f *fleet) string {
	t.Helper()
	got := b.run(t, d, f)
	switch {
	case !b.match:
		return strings.Join(got.lines(), "\n")
	case strings.TrimSpace(d.Expected) != "":
		return d.Expected
	}
	return regexp.QuoteMeta(strings.Join(got.lines(), "\n"))
}

// run sends every call of b through every door.
func (b *block) run(t *testing.T, d *datadriven.TestData, f *fleet) replies {
	t.Helper()
	var all replies
	for _, c := range b.calls {
		var r reply
		for i, door := range f {
			if b.only != 0 && b.only != door.protocol {
				continue
			}
			v, err := b.call(door, c)
			if err != nil {
				d.Fatalf(t, "%s: %v", doorNames[i], err)
			}
			if door.real {
				v = as72(v)
			}
			if b.unordered {
				v = sorted(v, b.pairs && door.protocol == 2)
			}
			r[i] = cmp.Or(v.String(), "(empty)")
		}
		all = append(all, r)
	}
	return all
}

// call sends one line. Of a repeated one the reply is the first error, or the last.
func (b *block) call(d *door, c call) (resp.Value, error) {
	switch {
	case b.read:
		return d.receive(b.conn)
	case b.waits:
		return d.wait(b.conn, c.args)
	}
	if c.repeat == 0 {
		return d.do(b.conn, c.args, b.plain)
	}
	var last resp.Value
	for i := range c.repeat {
		args := make([]string, len(c.args))
		for j, a := range c.args {
			args[j] = strings.ReplaceAll(a, "$i", strconv.Itoa(i))
		}
		var err error
		last, err = d.do(b.conn, args, b.plain)
		if err != nil || last.Kind == resp.KindError {
			return last, err
		}
	}
	return last, nil
}

// reply is what one call got, as text, by door; "" where it was not sent.
type reply [doorCount]string

// doorNames begin a reply that differs from the one in protocol 2.
var doorNames = [doorCount]string{"resp2", "resp3", "multi", "lua"}

// base returns the reply that stands without a mark: the first there is.
func (r reply) base() (door int) {
	for door < doorCount-1 && r[door] == "" {
		door++
	}
	return door
}

type replies []reply

// lines renders the replies as they stand in a file: the one in protocol 2, and those of
// other doors only where they differ.
func (rs replies) lines() []string {
	var out []string
	for _, r := range rs {
		base := r.base()
		out = append(out, strings.Split(r[base], "\n")...)
		for i := base + 1; i < doorCount; i++ {
			if r[i] != "" && r[i] != r[base] {
				out = append(out, marked(i, r[i])...)
			}
		}
	}
	return out
}

// marked puts a door's name before a reply and moves its further lines below.
func marked(door int, text string) []string {
	mark := doorNames[door] + ": "
	lines := strings.Split(text, "\n")
	for i := range lines {
		if i > 0 {
			mark = strings.Repeat(" ", len(mark))
		}
		lines[i] = mark + lines[i]
	}
	return lines
}

// match compares each line with a pattern. A reply of another door has its own
// patterns, marked like replies are, or else those of the unmarked one.
func (rs replies) match(expected string) error {
	want := strings.Split(strings.TrimSuffix(expected, "\n"), "\n")
	for _, r := range rs {
		base := r.base()
		n := min(strings.Count(r[base], "\n")+1, len(want))
		plain := want[:n]
		want = want[n:]
		for i := base; i < doorCount; i++ {
			if r[i] == "" {
				continue
			}
			lines, patterns := strings.Split(r[i], "\n"), plain
			if i != base && len(want) > 0 && strings.HasPrefix(want[0], doorNames[i]+": ") {
				lines = marked(i, r[i])
				n := min(len(lines), len(want))
				patterns, want = want[:n], want[n:]
			}
			if err := matchLines(lines, patterns); err != nil {
				return fmt.Errorf("%s: %w", doorNames[i], err)
			}
		}
	}
	if len(want) > 0 {
		return fmt.Errorf("no reply for the pattern %q", want[0])
	}
	return nil
}

func matchLines(lines, patterns []string) error {
	if len(lines) != len(patterns) {
		return fmt.Errorf("got %d lines, want %d:\n%s", len(lines), len(patterns), strings.Join(lines, "\n"))
	}
	for i, line := range lines {
		re, err := regexp.Compile("^(?:" + patterns[i] + ")$")
		if err != nil {
			return err
		}
		if !re.MatchString(line) {
			return fmt.Errorf("got %s, want a match of %s", line, patterns[i])
		}
	}
	return nil
}

// sorted puts the elements of v in the order of their texts: those of sets and maps
// wherever they are, and of arrays that hold only scalars or only aggregates. An
// array that mixes the two, such as SCAN's cursor and page, keeps its order, and so
// do the arrays inside an array that has been sorted. With pairs, a flat array of even
// length is sorted like a map.
func sorted(v resp.Value, pairs bool) resp.Value {
	if len(v.Elems) == 0 {
		return v
	}
	var aggregates int
	for _, e := range v.Elems {
		if isAggregate(e) {
			aggregates++
		}
	}
	elems := slices.Clone(v.Elems)
	mixed := v.Kind == resp.KindArray && aggregates > 0 && aggregates < len(elems)
	if mixed || v.Kind == resp.KindMap || v.Kind == resp.KindSet {
		for i := range elems {
			elems[i] = sorted(elems[i], pairs)
		}
	}
	step := 1
	if v.Kind == resp.KindMap || pairs && aggregates == 0 && len(elems)%2 == 0 {
		step = 2
	}
	if !mixed {
		elems = sortSteps(elems, step)
	}
	v.Elems = elems
	return v
}

func isAggregate(v resp.Value) bool {
	switch v.Kind {
	case resp.KindArray, resp.KindMap, resp.KindSet, resp.KindPush, resp.KindNullArray:
		return true
	}
	return false
}

// sortSteps sorts runs of step elements by the text of their first, then of the others.
func sortSteps(elems []resp.Value, step int) []resp.Value {
	runs := slices.Collect(slices.Chunk(elems, step))
	slices.SortStableFunc(runs, func(a, b []resp.Value) int {
		for i := range a {
			if c := cmp.Compare(a[i].String(), b[i].String()); c != 0 {
				return c
			}
		}
		return 0
	})
	return slices.Concat(runs...)
}

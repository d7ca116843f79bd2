package test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/elastickv/elastickv/internal/resp"
	"github.com/elastickv/elastickv/internal/testkit"
)

// rowsOfOurOwn are facts of commands that differ from Redis 7.0 on purpose: the
// command, and why.
var rowsOfOurOwn = map[string]string{
	"zrank":    "has WITHSCORE since 7.2, and so one more argument",
	"zrevrank": "has WITHSCORE since 7.2, and so one more argument",
}

// TestCommandTable compares every row of the table with COMMAND INFO of a real
// redis-server. What that does not know, or has more of, is not compared.
func TestCommandTable(t *testing.T) {
	redis := testkit.Dial(t, testkit.Redis(t).Addr, 3)
	ours := testkit.Dial(t, testkit.Elastickv(t, t.TempDir()).Addr, 3)
	all := ours.MustDo(t, "COMMAND")
	if len(all.Elems) < 100 {
		t.Fatalf("COMMAND lists %d commands", len(all.Elems))
	}
	for _, row := range all.Elems {
		name := row.Elems[0].Str
		t.Run(name, func(t *testing.T) {
			theirs := redis.MustDo(t, "COMMAND", "INFO", name).Elems[0]
			if theirs.IsNull() {
				t.Skip("redis-server does not know it")
			}
			if why := rowsOfOurOwn[name]; why != "" {
				t.Skip(why)
			}
			compareRows(t, row, theirs)
		})
	}
}

// fields of COMMAND INFO, in order.
var rowFields = []string{
	"name", "arity", "flags", "first key", "last key", "step", "categories", "tips", "key specifications", "subcommands",
}

func compareRows(t *testing.T, ours, theirs resp.Value) {
	for i, field := range rowFields[:len(rowFields)-1] {
		if got, want := canonical(ours.Elems[i]), canonical(theirs.Elems[i]); got != want {
			t.Errorf("%s of %s:\ngot  %s\nwant %s", field, ours.Elems[0].Str, got, want)
		}
	}
	subs := map[string]resp.Value{}
	for _, sub := range theirs.Elems[9].Elems {
		subs[sub.Elems[0].Str] = sub
	}
	for _, sub := range ours.Elems[9].Elems {
		if want, ok := subs[sub.Elems[0].Str]; ok {
			compareRows(t, sub, want)
		}
	}
}

// canonical renders a reply with sets and lists of words in one order, and without the notes of
// key specifications.
func canonical(v resp.Value) string {
	if len(v.Elems) == 0 {
		return v.String()
	}
	var parts []string
	for i := 0; i < len(v.Elems); i++ {
		if v.Kind == resp.KindMap {
			if v.Elems[i].Str != "notes" {
				parts = append(parts, v.Elems[i].Str+"="+canonical(v.Elems[i+1]))
			}
			i++
			continue
		}
		parts = append(parts, canonical(v.Elems[i]))
	}
	slices.Sort(parts)
	return "[" + strings.Join(parts, " ") + "]"
}

// TestCommandDocs compares the facts of COMMAND DOCS with those of a real redis-server. The words
// are our own.
func TestCommandDocs(t *testing.T) {
	redis := docs(testkit.Dial(t, testkit.Redis(t).Addr, 3).MustDo(t, "COMMAND", "DOCS"))
	ours := docs(testkit.Dial(t, testkit.Elastickv(t, t.TempDir()).Addr, 3).MustDo(t, "COMMAND", "DOCS"))
	if len(ours) < 200 {
		t.Fatalf("COMMAND DOCS has %d commands", len(ours))
	}
	for name, got := range ours {
		want, known := redis[name]
		if known && got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", name, got, want)
		}
	}
}

// docs returns the facts of every command and subcommand in a reply to COMMAND DOCS.
func docs(v resp.Value) map[string]string {
	out := make(map[string]string)
	for i := 0; i < len(v.Elems); i += 2 {
		var facts []string
		for fields := v.Elems[i+1].Elems; len(fields) > 0; fields = fields[2:] {
			switch name := fields[0].Str; name {
			case "since", "group", "doc_flags", "deprecated_since":
				facts = append(facts, name+"="+canonical(fields[1]))
			case "subcommands":
				maps.Copy(out, docs(fields[1]))
			}
		}
		slices.Sort(facts)
		out[v.Elems[i].Str] = strings.Join(facts, " ")
	}
	return out
}

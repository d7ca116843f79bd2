package test

import (
	"iter"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/elastickv/elastickv/internal/resp"
	"github.com/elastickv/elastickv/internal/testkit"
)

// rows72 are the commands about which COMMAND INFO tells something else since 7.2, and what that is.
var rows72 = map[string]string{
	"acl|deluser":             "goes to all nodes of a cluster",
	"acl|save":                "goes to all nodes of a cluster",
	"acl|setuser":             "goes to all nodes of a cluster",
	"blmove":                  "may be called by scripts",
	"blpop":                   "may be called by scripts",
	"brpop":                   "may be called by scripts",
	"brpoplpush":              "may be called by scripts",
	"bzpopmax":                "may be called by scripts",
	"bzpopmin":                "may be called by scripts",
	"client|setname":          "goes to all nodes of a cluster",
	"cluster|shards":          "may be asked while data are loaded",
	"cluster|slots":           "may be asked while data are loaded",
	"command|getkeys":         "takes a command without arguments",
	"command|getkeysandflags": "takes a command without arguments",
	"config|resetstat":        "goes to all nodes of a cluster",
	"config|rewrite":          "goes to all nodes of a cluster",
	"latency|reset":           "has its counts added up in a cluster",
	"msetnx":                  "is not split among the shards of a cluster",
	"randomkey":               "tells how replies of shards are put together",
	"scan":                    "tells how replies of shards are put together",
	"wait":                    "may be called by scripts",
	"zrank":                   "has WITHSCORE, and so one more argument",
	"zrevrank":                "has WITHSCORE, and so one more argument",
}

// TestCommandTable compares every row of the table with COMMAND INFO of a real
// redis-server. What that does not know, or has more of, is not compared.
func TestCommandTable(t *testing.T) {
	addr := testkit.Redis(t).Addr
	redis, known72 := testkit.Dial(t, addr, 3), redisVersion(t, addr) == "7.2"
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
			compareRows(t, row, theirs, known72)
		})
	}
}

// fields of COMMAND INFO, in order.
var rowFields = []string{
	"name", "arity", "flags", "first key", "last key", "step", "categories", "tips", "key specifications", "subcommands",
}

// compareRows compares a row and those of its subcommands. What 7.2 has changed is known to differ from a server of 7.0.
func compareRows(t *testing.T, ours, theirs resp.Value, known72 bool) {
	name, differs := ours.Elems[0].Str, false
	for i, field := range rowFields[:len(rowFields)-1] {
		got, want := canonical(ours.Elems[i]), canonical(theirs.Elems[i])
		differs = differs || got != want
		if got != want && (known72 || rows72[name] == "") {
			t.Errorf("%s of %s:\ngot  %s\nwant %s", field, name, got, want)
		}
	}
	if why := rows72[name]; why != "" && !known72 && !differs {
		t.Errorf("%s does not differ, although it %s since 7.2", name, why)
	}
	subs := map[string]resp.Value{}
	for _, sub := range theirs.Elems[9].Elems {
		subs[sub.Elems[0].Str] = sub
	}
	for _, sub := range ours.Elems[9].Elems {
		if want, ok := subs[sub.Elems[0].Str]; ok {
			compareRows(t, sub, want, known72)
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

// docs72 are the commands about which COMMAND DOCS tells something else since 7.2, and what that is.
var docs72 = map[string]string{
	"bitop":                   "7.2 lists the operations",
	"client|kill":             "7.2 knows both types, master and replica",
	"client|pause":            "7.2 knows better since when there is CLIENT PAUSE",
	"command|getkeys":         "7.0 has no arguments",
	"command|getkeysandflags": "7.0 has no arguments",
	"acl|log":                 "tells more since 7.2",
	"geohash":                 "members may be left out in 7.2",
	"geopos":                  "members may be left out in 7.2",
	"georadius":               "7.2 makes STORE and STOREDIST a choice",
	"georadiusbymember":       "7.2 makes STORE and STOREDIST a choice",
	"migrate":                 "7.2 says once that a password is optional",
	"pfmerge":                 "sources may be left out in 7.2",
	"psetex":                  "deprecated in 7.2",
	"quit":                    "deprecated in 7.2",
	"setex":                   "deprecated in 7.2",
	"setnx":                   "deprecated in 7.2",
	"xinfo|consumers":         "tells more since 7.2",
	"xinfo|stream":            "tells more since 7.2, where FULL is a part of the block",
	"zrank":                   "has WITHSCORE since 7.2",
	"zrevrank":                "has WITHSCORE since 7.2",
}

// TestCommandDocs compares COMMAND DOCS with that of a real redis-server. Words are our own, and names of
// arguments those of 7.2, which has given many of them new ones. So what is compared is the rest.
func TestCommandDocs(t *testing.T) {
	addr := testkit.Redis(t).Addr
	redis, known72 := docs(testkit.Dial(t, addr, 3).MustDo(t, "COMMAND", "DOCS")), redisVersion(t, addr) == "7.2"
	ours := docs(testkit.Dial(t, testkit.Elastickv(t, t.TempDir()).Addr, 3).MustDo(t, "COMMAND", "DOCS"))
	if len(ours) < 200 {
		t.Fatalf("COMMAND DOCS has %d commands", len(ours))
	}
	for name, got := range ours {
		want, known := redis[name]
		why := docs72[name]
		if known72 {
			why = ""
		}
		switch {
		case known && got != want && why == "":
			t.Errorf("%s:\ngot  %s\nwant %s", name, got, want)
		case why != "" && got == want:
			t.Errorf("%s does not differ, although: %s", name, why)
		}
	}
}

// docs returns the facts of every command and subcommand in a reply to COMMAND DOCS.
func docs(v resp.Value) map[string]string {
	out := make(map[string]string)
	for i := 0; i < len(v.Elems); i += 2 {
		var facts []string
		for name, value := range pairs(v.Elems[i+1]) {
			switch name {
			case "since", "group", "doc_flags", "deprecated_since":
				facts = append(facts, name+"="+canonical(value))
			case "history":
				facts = append(facts, "history="+versions(value))
			case "arguments":
				facts = append(facts, "arguments="+arguments(value))
			case "subcommands":
				maps.Copy(out, docs(value))
			}
		}
		slices.Sort(facts)
		out[v.Elems[i].Str] = strings.Join(facts, " ")
	}
	return out
}

// pairs yields the names and values of a map.
func pairs(v resp.Value) iter.Seq2[string, resp.Value] {
	return func(yield func(string, resp.Value) bool) {
		for i := 0; i+1 < len(v.Elems) && yield(v.Elems[i].Str, v.Elems[i+1]); i += 2 {
		}
	}
}

// versions returns the versions of a history, each once.
func versions(v resp.Value) string {
	var out []string
	for _, entry := range v.Elems {
		out = append(out, entry.Elems[0].Str)
	}
	slices.Sort(out)
	return strings.Join(slices.Compact(out), " ")
}

// arguments renders a list of arguments without names. A block of one argument, which only 7.0 has, is that argument.
func arguments(v resp.Value) string {
	var out []string
	for _, arg := range v.Elems {
		facts := make(map[string]string)
		addArgument(facts, arg)
		var parts []string
		for name, value := range facts {
			parts = append(parts, name+"="+value)
		}
		slices.Sort(parts)
		out = append(out, "("+strings.Join(parts, " ")+")")
	}
	return "[" + strings.Join(out, " ") + "]"
}

func addArgument(facts map[string]string, arg resp.Value) {
	for name, value := range pairs(arg) {
		switch {
		case name == "arguments" && len(value.Elems) == 1:
			addArgument(facts, value.Elems[0])
		case name == "arguments":
			facts[name] = arguments(value)
		case name == "flags":
			for _, flag := range value.Elems {
				facts[flag.Str] = "yes"
			}
		case name != "name" && name != "display_text" && name != "summary":
			facts[name] = canonical(value)
		}
	}
}

// aritiesOfOurOwn are commands with arities that, in Redis too, are not those of their arguments, and why.
var aritiesOfOurOwn = map[string]string{
	"client|kill": "that a filter can be left out is said of each",
	"debug":       "its arguments are not documented",
	"psync":       "takes what later replicas say",
	"quit":        "takes any arguments",
	"replconf":    "its arguments are not documented",
}

// TestArgumentsAgreeWithArity compares how many arguments each command wants, by its documentation, with its arity.
func TestArgumentsAgreeWithArity(t *testing.T) {
	conn := testkit.Dial(t, testkit.Elastickv(t, t.TempDir()).Addr, 3)
	all := docTrees(conn.MustDo(t, "COMMAND", "DOCS"))
	compared := 0
	for _, row := range leaves(conn.MustDo(t, "COMMAND")) {
		name := row.Elems[0].Str
		want := 1 + strings.Count(name, "|")
		least, more := span(all[name])
		if want += least; more {
			want = -want
		}
		arity := int(row.Elems[1].Int)
		why := aritiesOfOurOwn[name]
		switch {
		case arity != want && why == "":
			t.Errorf("%s: its arity is %d, that of its arguments %d", name, arity, want)
		case arity == want && why != "":
			t.Errorf("%s: its arity is that of its arguments, although: %s", name, why)
		}
		compared++
	}
	if compared < 300 {
		t.Errorf("%d commands have been compared", compared)
	}
}

// leaves returns the rows of a reply to COMMAND that are no containers.
func leaves(rows resp.Value) []resp.Value {
	var out []resp.Value
	for _, row := range rows.Elems {
		if subs := row.Elems[9]; len(subs.Elems) > 0 {
			out = append(out, leaves(subs)...)
		} else {
			out = append(out, row)
		}
	}
	return out
}

// docTrees returns the arguments of every command in a reply to COMMAND DOCS.
func docTrees(v resp.Value) map[string][]resp.Value {
	out := make(map[string][]resp.Value)
	for name, doc := range pairs(v) {
		for field, value := range pairs(doc) {
			switch field {
			case "arguments":
				out[name] = value.Elems
			case "subcommands":
				maps.Copy(out, docTrees(value))
			}
		}
	}
	return out
}

// span returns how many words arguments are at least, and whether they may be more.
func span(args []resp.Value) (least int, more bool) {
	for _, arg := range args {
		n, open, optional := 1, false, false
		token, choice, parts := 0, false, []resp.Value(nil)
		for field, value := range pairs(arg) {
			switch field {
			case "token":
				token = 1
			case "type":
				choice = value.Str == "oneof"
				if value.Str == "pure-token" {
					n = 0
				}
			case "flags":
				optional = strings.Contains(value.String(), "optional")
				open = true // each of the flags makes the number of words vary
			case "arguments":
				parts = value.Elems
			}
		}
		switch {
		case choice:
			n, _ = span(parts[:1])
			for _, part := range parts {
				m, vary := span([]resp.Value{part})
				open = open || vary || m != n
				n = min(n, m)
			}
		case parts != nil:
			var vary bool
			n, vary = span(parts)
			open = open || vary
		}
		if !optional {
			least += n + token
		}
		more = more || open
	}
	return least, more
}

package command

import (
	"strings"
	"testing"
)

// show writes arguments as trees: name, kind, and what else is set.
func show(args []Argument) string {
	var out []string
	for _, a := range args {
		s := a.Name + ":" + string(a.Kind)
		for _, part := range []struct{ name, value string }{
			{" shown ", a.Shown}, {" token ", a.Token}, {" since ", a.Since}, {" deprecated ", a.Deprecated},
		} {
			if part.value != "" {
				s += part.name + part.value
			}
		}
		if flags := a.flags(); flags != nil {
			s += " " + strings.Join(flags, "+")
		}
		if a.Args != nil {
			s += " {" + show(a.Args) + "}"
		}
		out = append(out, s)
	}
	return strings.Join(out, ", ")
}

func TestParseSyntax(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", ""},
		{"key seconds", "key:key, seconds:integer"},
		{"timeout:integer addr=ip:port", "timeout:integer, addr:string shown ip:port"},
		{"KEEPTTL change=CH", "keepttl:pure-token token KEEPTTL, change:pure-token token CH"},
		{"[EX seconds]", "seconds:integer token EX optional"},
		{"data(score member)...", "data:block multiple {score:double, member:string}"},
		{"unit(BYTE | BIT)", "unit:oneof {byte:pure-token token BYTE, bit:pure-token token BIT}"},
		{"args(host | no-one(NO ONE))", "args:oneof {host:string, no-one:block {no:pure-token token NO, one:pure-token token ONE}}"},
		{"[LIMIT (offset count)]", "limit:block token LIMIT optional {offset:integer, count:integer}"},
		{"TYPE kind(A | B)", "kind:oneof token TYPE {a:pure-token token A, b:pure-token token B}"},
		{"key... [x...]", "key:key multiple, x:string optional+multiple"},
		{"[GET pattern]...", "pattern:pattern token GET optional+multiple+multiple_token"},
		{"[trim(strategy(MAXLEN | MINID@6.2.0) [operator(equal== | approximately=~)] threshold)]", "trim:block optional {" +
			"strategy:oneof {maxlen:pure-token token MAXLEN, minid:pure-token token MINID since 6.2.0}, " +
			"operator:oneof optional {equal:pure-token token =, approximately:pure-token token ~}, threshold:string}"},
		{"x!2.8.12 [COUNT count@6.2.0]", "x:string deprecated 2.8.12, count:integer token COUNT since 6.2.0 optional"},
		{"a@1.0.0!2.0.0", "a:string since 1.0.0 deprecated 2.0.0"},
		{`where(key | empty-string="")`, `where:oneof {key:key, empty-string:pure-token token ""}`},
		{"NOVALUES [key]", "novalues:pure-token token NOVALUES, key:key optional"},
	} {
		args, err := ParseSyntax(c.text)
		if err != nil {
			t.Errorf("%q: %v", c.text, err)
		} else if got := show(args); got != c.want {
			t.Errorf("%q:\ngot  %s\nwant %s", c.text, got, c.want)
		}
	}
}

func TestParseSyntaxRefuses(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"key)", `")" closes nothing`},
		{"key ]", `"]" closes nothing`},
		{"[key", "not around one argument"},
		{"[key value]", "not around one argument"},
		{"[[key]]", "not around one argument"},
		{"[]", "no name"},
		{"data(score member", "not closed"},
		{"data(score)", "less than two"},
		{"data()", "less than two"},
		{"a | b", "needs a name"},
		{"x(a | b c)", "bars do not stand"},
		{"x(a b | c)", "a bar does not stand"},
		{"x(a || b)", "no name"},
		{"x(| a b)", "a bar does not stand"},
		{"(a b)", "has no name"},
		{"LIMIT (a b) (c d)", "has no name"},
		{"key:float", "no kind"},
		{"key:", "no kind"},
		{":key", "no name"},
		{"a_b", "no name"},
		{"=shown", "no name"},
		{"[key]...", "repeated outside its brackets"},
		{"[key...]...", "repeated outside its brackets, or twice"},
		{"[ALPHA]...", "repeated outside its brackets"},
		{"...", "no name"},
		{"key@", "version"},
		{"[key]@6.2.0", "version"},
		{"key@6.2", "version"},
		{"key@six.two.zero", "version"},
		{"key!2.0.0@1.0.0", "followed by"},
		{"key......", "no name"},
		{"a(b c)d", "followed by"},
		{"key[x]", "followed by"},
	} {
		args, err := ParseSyntax(c.text)
		if err == nil {
			t.Errorf("%q is taken for %s", c.text, show(args))
		} else if !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: got %q, want %q in it", c.text, err, c.want)
		}
	}
}

// FuzzParseSyntax: no text makes the parser panic or go on for ever.
func FuzzParseSyntax(f *testing.F) {
	for _, row := range Rows() {
		f.Add(row.Syntax)
	}
	f.Fuzz(func(t *testing.T, text string) { _, _ = ParseSyntax(text) })
}

// TestChanges: what a row says has changed and which versions have added arguments make one history.
func TestChanges(t *testing.T) {
	row := &Command{Syntax: "key [condition(NX | XX)@2.6.12] [EX seconds@2.6.12] [n@10.0.0]", History: []string{"7.0.0 Sings."}}
	got := strings.Join(row.changes(row.Arguments()), "\n")
	want := "2.6.12 Added `NX`, `XX`, `EX`.\n7.0.0 Sings.\n10.0.0 Added `n`."
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

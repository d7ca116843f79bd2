package acl_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/elastickv/elastickv/internal/acl"
	"github.com/elastickv/elastickv/internal/command"
)

// rows are the commands of the scripts: those on data, and a few of the server's.
func rows() []*command.Command {
	run := func(*command.Ctx) error { return nil }
	extra := func(name string, arity int, flags command.Flags, group command.Group) *command.Command {
		return &command.Command{Name: name, Arity: arity, Flags: flags, Group: group, Run: run, Since: "1", Summary: "-"}
	}
	subscribe := extra("subscribe", -2, command.PubSub, command.GroupPubSub)
	subscribe.Channels = command.ChannelArgs
	psubscribe := extra("psubscribe", -2, command.PubSub, command.GroupPubSub)
	psubscribe.Channels = command.PatternArgs
	publish := extra("publish", 3, command.PubSub|command.Fast, command.GroupPubSub)
	publish.Channels = command.ChannelArg
	config := &command.Command{Name: "config", Arity: -2, Group: command.GroupServer, Since: "1", Summary: "-",
		Sub: []*command.Command{
			extra("get", -3, command.Admin, command.GroupServer), extra("set", -4, command.Admin, command.GroupServer),
		}}
	return []*command.Command{
		subscribe, psubscribe, publish, config, extra("select", 2, command.Fast, command.GroupConnection),
		extra("hello", -1, command.Fast|command.NoAuth, command.GroupConnection),
	}
}

// TestScripts reads users' rules, and what they may do by them.
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		table := command.NewTable(command.Rows(), rows())
		users := acl.New(table)
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "set": // a user, then rules
				words := strings.Fields(d.Input)
				if err := users.Set(words[0], words[1:]...); err != nil {
					return "error: " + err.Error()
				}
				return users.Get(words[0]).Rules()
			case "may": // calls, one in a line
				return eachLine(d.Input, func(line string) string { return may(table, users, line) })
			case "listen":
				return eachLine(d.Input, func(line string) string {
					w := strings.Fields(line)
					u := users.Get(w[0])
					return fmt.Sprintf("channel %v, pattern %v", u.MayListen(w[1], false), u.MayListen(w[1], true))
				})
			case "load":
				gone, err := users.Load("users.acl", d.Input)
				if err != nil {
					return "error: " + err.Error()
				}
				var out strings.Builder
				for _, u := range gone {
					fmt.Fprintln(&out, "gone:", u.Name())
				}
				return out.String() + strings.Join(users.Lines(), "\n")
			case "accepts":
				return eachLine(d.Input, func(line string) string {
					name, password, _ := strings.Cut(line, " ")
					return fmt.Sprint(users.Get(name).Accepts(password))
				})
			case "category":
				cat, ok := command.CategoryNamed(d.Input)
				if !ok {
					return "there is none"
				}
				return strings.Join(users.CommandsIn(cat), " ")
			}
			t.Fatalf("%s: unknown command %s", d.Pos, d.Cmd)
			return ""
		})
	})
}

func eachLine(input string, fn func(line string) string) string {
	var out []string
	for line := range strings.Lines(input) {
		line = strings.TrimSpace(line)
		out = append(out, line+": "+fn(line))
	}
	return strings.Join(out, "\n")
}

// may decides about a line: a user and a call.
func may(table *command.Table, users *acl.Users, line string) string {
	var args [][]byte
	for _, w := range strings.Fields(line)[1:] {
		args = append(args, []byte(w))
	}
	cmd, err := table.Lookup(args)
	if err != nil {
		return err.Error()
	}
	u := users.Get(strings.Fields(line)[0])
	switch d := u.Check(cmd, args); d.Reason {
	case acl.Allowed:
		if u.ReadsAll(cmd, args) {
			return "yes, and reads every key"
		}
		return "yes"
	case acl.DeniedCommand:
		return "no: command"
	default:
		return fmt.Sprintf("no: %v %s", d.Reason, args[d.Arg])
	}
}

// What a user's rules are printed as makes the same user.
func TestRulesMakeTheUser(t *testing.T) {
	users := acl.New(command.NewTable(command.Rows(), rows()))
	for i, rules := range []string{
		"on >secret ~a* %R~b* &news +@all -config|set", "+@read -get +config|get", "-@all +select|3 +@hash -hset",
		"nopass +@all -@write +set (~x +get) (%W~y &z +@list -@dangerous)", "+@all -@all +@string -@fast", "allkeys allchannels +@slow",
	} {
		a, b := fmt.Sprintf("a%d", i), fmt.Sprintf("b%d", i)
		if err := users.Set(a, strings.Fields(rules)...); err != nil {
			t.Fatal(err)
		}
		printed := users.Get(a).Rules()
		if err := users.Set(b, strings.Fields(printed)...); err != nil {
			t.Fatalf("%s: %v", printed, err)
		}
		if again := users.Get(b).Rules(); again != printed {
			t.Errorf("%s\n  printed as %s\n  makes      %s", rules, printed, again)
		}
	}
}

// Sessions keep their User; what it may do changes under them.
func TestUserChangesInPlace(t *testing.T) {
	table := command.NewTable(command.Rows(), rows())
	users := acl.New(table)
	if err := users.Set("u", "on", "nopass", "~*", "+get"); err != nil {
		t.Fatal(err)
	}
	u, get := users.Get("u"), [][]byte{[]byte("get"), []byte("k")}
	cmd, err := table.Lookup(get)
	if err != nil {
		t.Fatal(err)
	}
	if d := u.Check(cmd, get); d.Reason != acl.Allowed {
		t.Errorf("GET is denied: %v", d)
	}
	if err := users.Set("u", "-get"); err != nil {
		t.Fatal(err)
	}
	if d := u.Check(cmd, get); d.Reason != acl.DeniedCommand {
		t.Errorf("GET after -get: %v, want it denied", d)
	}
	if err := users.Set("u", "+get", "+nonsense"); err == nil {
		t.Error("a rule of a command that does not exist is no error")
	}
	if d := u.Check(cmd, get); d.Reason != acl.DeniedCommand {
		t.Error("rules before one that is wrong were carried out")
	}
}

func TestLog(t *testing.T) {
	var l acl.Log
	l.SetMost(3)
	now := time.UnixMilli(1_700_000_000_000)
	add := func(object string, at time.Duration) {
		l.Add(acl.Entry{Reason: acl.DeniedKey, Context: "toplevel", Object: object, User: "u", Client: "c" + object}, now.Add(at))
	}
	add("a", 0)
	add("b", time.Second)
	add("a", 59*time.Second)  // counted with the first
	add("a", 120*time.Second) // too late for that
	if got := l.Last(10); len(got) != 3 || got[0].Object != "a" || got[0].Count != 1 || got[1].Count != 2 || got[2].Object != "b" {
		t.Errorf("entries %+v, want a once, a twice, b", got)
	}
	add("c", 121*time.Second)
	if got := l.Last(2); len(got) != 2 || got[0].Object != "c" || got[0].ID != 3 {
		t.Errorf("the last two are %+v", got)
	}
	if got := l.Last(10); len(got) != 3 {
		t.Errorf("%d entries are kept, want 3", len(got))
	}
	if got := l.Last(-1); len(got) != 0 {
		t.Errorf("%d entries for a negative count", len(got))
	}
	l.Reset()
	if got := l.Last(10); len(got) != 0 {
		t.Errorf("%d entries after a reset", len(got))
	}
}

package command

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/elastickv/elastickv/internal/keyspace"
	"github.com/elastickv/elastickv/internal/txn"
)

func TestKeyPositions(t *testing.T) {
	after := KeySpec{Keyword: "STREAMS", Index: 1, Last: -1, Step: 1, Limit: 2}
	store := KeySpec{Keyword: "STORE", Index: -1, Step: 1}
	for _, c := range []struct {
		spec KeySpec
		call string
		want string
	}{
		{keyAt(1, 0), "get k", "[1]"},
		{keyAt(1, 0), "get", "[]"},
		{keyAt(2, 0), "object encoding k", "[2]"},
		{allKeys(1, 0)[0], "del a b c", "[1 2 3]"},
		{allKeys(2, 0)[0], "mset a 1 b 2", "[1 3]"},
		{KeySpec{Index: 1, Last: 1, Step: 1}, "lcs a b LEN", "[1 2]"},
		{numKeys(1, 0), "zunion 2 a b WITHSCORES", "[2 3]"},
		{numKeys(2, 0), "zunionstore d 2 a b", "[3 4]"},
		{numKeys(1, 0), "zunion", "malformed"},
		{numKeys(1, 0), "zunion 3 a b", "malformed"},
		{numKeys(1, 0), "zunion 0 a", "malformed"},
		{numKeys(1, 0), "zunion -1 a", "malformed"},
		{numKeys(1, 0), "zunion x a", "malformed"},
		{numKeys(1, 0), "zunion 9223372036854775807 a", "malformed"},
		{after, "xread count 5 streams a b 0 0", "[4 5]"},
		{after, "xread count 5", "[]"},
		{store, "sort k by w store d", "[5]"},
		{store, "sort k by w", "[]"},
	} {
		var args [][]byte
		for _, w := range strings.Fields(c.call) {
			args = append(args, []byte(w))
		}
		at, ok := c.spec.positions(args)
		got := fmt.Sprint(at)
		if !ok {
			got = "malformed"
		}
		if got != c.want {
			t.Errorf("%s: keys at %s, want %s", c.call, got, c.want)
		}
	}
}

// TestStreamKeys says that the keys that are found are those that are read.
func TestStreamKeys(t *testing.T) {
	table := NewTable(Rows())
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom([]string{"xread", "xreadgroup"}).Draw(t, "name")
		call := []string{name}
		word := rapid.SampledFrom([]string{"STREAMS", "streams", "GROUP", "COUNT", "k"})
		for _, option := range rapid.SliceOfN(rapid.SampledFrom([]string{"GROUP", "COUNT", "BLOCK", "NOACK"}), 0, 4).Draw(t, "options") {
			switch call = append(call, option); option {
			case "GROUP":
				call = append(call, word.Draw(t, "group"), word.Draw(t, "consumer"))
			case "COUNT", "BLOCK":
				call = append(call, "1")
			}
		}
		call = append(append(call, "STREAMS"), rapid.SliceOfN(word, 0, 4).Draw(t, "rest")...)
		var args [][]byte
		for _, w := range call {
			args = append(args, []byte(w))
		}
		cmd, err := table.Lookup(args)
		if err != nil {
			return // too few arguments
		}
		r := streamRead{ofGroup: name == "xreadgroup"}
		if r.parse(&Ctx{Args: args, Cmd: cmd, Keys: keyspace.Open(&txn.Tx{}, 0, keyspace.Env{})}) != nil {
			return
		}
		var found []string
		for _, at := range cmd.KeyPositions(args) {
			found = append(found, string(args[at]))
		}
		var read []string
		for _, k := range r.keys {
			read = append(read, string(k))
		}
		if !slices.Equal(found, read) {
			t.Fatalf("%q: keys %q, but reads %q", call, found, read)
		}
	})
}

func TestTableRefusesMistakes(t *testing.T) {
	row := func(change func(*Command)) *Command {
		c := &Command{Name: "x", Arity: 1, Group: GroupGeneric, Since: "1.0.0", Summary: "Does.", Run: func(*Ctx) error { return nil }}
		change(c)
		return c
	}
	for name, rows := range map[string][]*Command{
		"two rows of one name":  {row(func(*Command) {}), row(func(*Command) {})},
		"no handler":            {row(func(c *Command) { c.Run = nil })},
		"an upper-case name":    {row(func(c *Command) { c.Name = "X" })},
		"no arity":              {row(func(c *Command) { c.Arity = 0 })},
		"no summary":            {row(func(c *Command) { c.Summary = "" })},
		"writes and only reads": {row(func(c *Command) { c.Flags = Write | ReadOnly })},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("a table with %s is accepted", name)
				}
			}()
			NewTable(rows)
		}()
	}
}

// TestKeysOfMalformedCall: a call that its command takes keeps all of its keys, and one with a wrong number of them has none.
func TestKeysOfMalformedCall(t *testing.T) {
	rows := NewTable(Rows())
	for call, want := range map[string]string{
		"pfmerge d":            "[1]",
		"zunionstore d 2 a b":  "[1 3 4]",
		"zunionstore d 3 a b":  "[]",
		"zunionstore d -1 a b": "[]",
		"xread count 1":        "[]",
	} {
		var args [][]byte
		for _, w := range strings.Fields(call) {
			args = append(args, []byte(w))
		}
		if got := fmt.Sprint(rows.Named(args[0]).KeyPositions(args)); got != want {
			t.Errorf("%s: keys at %s, want %s", call, got, want)
		}
	}
}

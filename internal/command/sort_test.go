package command

import (
	"context"
	"strings"
	"testing"

	"github.com/elastickv/elastickv/internal/keyspace"
	"github.com/elastickv/elastickv/internal/resp"
	"github.com/elastickv/elastickv/internal/txn"
)

// TestSortReadsKeysNotNamed says that SORT asks before it reads keys that its call does not name,
// and only then.
func TestSortReadsKeysNotNamed(t *testing.T) {
	c := newCaller(t)
	for call, want := range map[string]string{
		"SORT l":                    "*0\r\n",
		"SORT l BY nosort":          "*0\r\n",
		"SORT l BY w_*":             "-" + string(ErrSortByDenied) + "\r\n",
		"SORT_RO l BY nosort GET #": "-" + string(ErrSortGetDenied) + "\r\n",
		"SORT l GET g_* BY w_*":     "-" + string(ErrSortGetDenied) + "\r\n",
	} {
		var args [][]byte
		for _, a := range strings.Fields(call) {
			args = append(args, []byte(a))
		}
		cmd, err := c.env.Table.Lookup(args)
		if err != nil {
			t.Fatal(err)
		}
		var out resp.Writer
		err = c.db.Update(context.Background(), func(tx *txn.Tx) error {
			keys := keyspace.Open(tx, 0, c.env.Keys)
			return c.env.Table.Run(&Ctx{Args: args, Cmd: cmd, Out: &out, Keys: keys, Env: c.env, ReadsAll: func(*Command, [][]byte) bool { return false }})
		})
		if got := string(out.Bytes()); err != nil || got != want {
			t.Errorf("%s: %q, want %q (%v)", call, got, want, err)
		}
	}
}

// TestMayWrite says which calls of commands that write now and then are taken for such.
func TestMayWrite(t *testing.T) {
	c := newCaller(t)
	for call, want := range map[string]bool{
		"PFCOUNT a": true, "PFCOUNT a b": false,
		"SORT l": false, "SORT l BY w_* GET g_*": false, "SORT l STORE d": true, "SORT l store d": true, "SORT l GET store": true,
		"GEORADIUS k 1 1 1 km": false, "GEORADIUS k 1 1 1 km STORE d": true, "GEORADIUSBYMEMBER k STORE 1 km": false,
		"GEORADIUSBYMEMBER k m 1 km StoreDist d": true,
		"BITFIELD k":                             false, "BITFIELD k GET u8 0 OVERFLOW FAIL GET u8 1": false, "BITFIELD k SET u8 0 1": true,
		"BITFIELD k GET u8 0 INCRBY u8 0 1": true, "BITFIELD k GET": true, "BITFIELD k GET SET u8": false,
	} {
		var args [][]byte
		for _, a := range strings.Fields(call) {
			args = append(args, []byte(a))
		}
		cmd, err := c.env.Table.Lookup(args)
		if err != nil {
			t.Fatal(err)
		}
		if got := cmd.MayWrite(args); got != want {
			t.Errorf("%s may write: %v, want %v", call, got, want)
		}
	}
}

package command

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/elastickv/elastickv/internal/keyspace"
	"github.com/elastickv/elastickv/internal/txn"
	"github.com/elastickv/elastickv/store"
)

// preparedEngine notes which rows are prepared, and which are asked for.
type preparedEngine struct {
	store.Engine
	prepared, asked []string
}

func (e *preparedEngine) Prefetch(keys [][]byte) {
	for _, k := range keys {
		e.prepared = append(e.prepared, string(k))
	}
}

func (e *preparedEngine) VersionAt(ctx context.Context, key []byte, ts uint64) (store.VersionedValue, bool, error) {
	e.asked = append(e.asked, string(key))
	return e.Engine.VersionAt(ctx, key, ts)
}

// lookAhead returns the rows that a call in database db has prepared.
func (c *caller) lookAhead(e *preparedEngine, db int, calls ...[]string) []string {
	c.t.Helper()
	e.prepared = nil
	if err := c.db.View(context.Background(), func(tx *txn.Tx) error {
		keyspace.Open(tx, db, c.env.Keys).Prefetch(func(a *keyspace.Ahead) {
			for _, words := range calls {
				args := make([][]byte, len(words))
				for i, w := range words {
					args[i] = []byte(w)
				}
				cmd, err := c.env.Table.Lookup(args)
				if err != nil {
					c.t.Fatalf("%q: %v", words, err)
				}
				cmd.LookAhead(args, a)
			}
		})
		return nil
	}); err != nil {
		c.t.Fatal(err)
	}
	return e.prepared
}

// What is prepared for a call is what it asks for, and of each element that it names the row is among that.
func TestLookAhead(t *testing.T) {
	e := &preparedEngine{Engine: store.NewMVCCStore().(store.Engine)}
	c := newCallerOver(t, e, time.Now)
	cases := []struct {
		call string
		rows int // that are prepared
	}{
		{"GET string", 1},
		{"INCR number", 1},
		{"MGET string none number", 3},
		{"MSET a 1 b 2 c 3", 3},
		{"EXISTS string string none", 2},
		{"LPUSH list x", 1},
		{"HGET hash f1", 2},
		{"HMGET hash f1 f2 none", 4},
		{"HEXISTS hash f1", 2},
		{"HSTRLEN hash f1", 2},
		{"HSET hash f1 v new v", 3},
		{"HMSET hash f1 v new2 v", 3},
		{"HSETNX hash f1 v", 2},
		{"HINCRBY hash n 1", 2},
		{"HINCRBYFLOAT hash n 1.5", 2},
		{"HDEL hash f2 none", 3},
		{"SISMEMBER set m1", 2},
		{"SMISMEMBER set m1 none", 3},
		{"SADD set m1 new", 3},
		{"SREM set m2 none", 3},
		{"SMOVE set other m3", 3},
		{"ZSCORE zset m1", 2},
		{"ZMSCORE zset m1 none", 3},
		{"ZRANK zset m1", 2},
		{"ZREVRANK zset m1", 2},
		{"ZADD zset 1 m1 2 new", 3},
		{"ZADD zset CH 1 m1", 2},
		{"ZINCRBY zset 1 m1", 2},
		{"ZREM zset m2 none", 3},
	}
	tested := make(map[string]bool)
	for _, k := range cases {
		words := strings.Fields(k.call)
		tested[strings.ToLower(words[0])] = true
		c.call("FLUSHALL")
		c.call("SET", "string", "v")
		c.call("SET", "number", "1")
		c.call("HSET", "hash", "f1", "v", "f2", "v", "n", "1")
		c.call("SADD", "set", "m1", "m2", "m3")
		c.call("SADD", "other", "m")
		c.call("ZADD", "zset", "1", "m1", "2", "m2", "3", "m3")
		prepared := slices.Clone(c.lookAhead(e, 0, words))
		if len(prepared) != k.rows {
			t.Errorf("%s: %q are prepared, not %d rows", k.call, prepared, k.rows)
		}
		e.asked = nil
		c.call(words...)
		for _, row := range prepared {
			if !slices.Contains(e.asked, row) {
				t.Errorf("%s: %q is prepared, and asked for are %q", k.call, row, e.asked)
			}
		}
	}
	for _, cmd := range Rows() {
		if cmd.Elements.Step != 0 && !tested[cmd.Name] {
			t.Errorf("%s says where its elements stand, and is not tested", cmd.Name)
		}
	}
}

func TestLookAheadOfManyCalls(t *testing.T) {
	e := &preparedEngine{Engine: store.NewMVCCStore().(store.Engine)}
	c := newCallerOver(t, e, time.Now)
	hset := func(field string) []string { return []string{"HSET", "hash", field, "v"} }
	if got := c.lookAhead(e, 0, hset("f1"), hset("f2"), hset("f3")); len(got) != 4 {
		t.Errorf("three fields: %q, want one row of the hash and three of fields", got)
	}
	if got := c.lookAhead(e, 7, hset("f1")); len(got) != 2 || !strings.HasPrefix(got[0], "!db|07|!redis|") || !strings.HasPrefix(got[1], "!db|07|!hs|") {
		t.Errorf("in database 7: %q", got)
	}
	if got := c.lookAhead(e, 0, []string{"SINTERCARD", "2", "a", "b"}, []string{"BITOP", "AND", "to", "from"}, []string{"ZUNIONSTORE", "to", "9", "a"}); len(got) != 5 {
		t.Errorf("keys behind their number, and too few of them: %q, want the five rows that there may be", got)
	}
	var many [][]string
	for i := range 1000 {
		many = append(many, hset(strings.Repeat("f", i)))
	}
	got := c.lookAhead(e, 0, many...)
	if len(got) == 0 || len(got) > 100 {
		t.Errorf("of a thousand calls %d rows are prepared, want some dozens", len(got))
	}
	long := string(bytes.Repeat([]byte("x"), 100_000))
	if got := c.lookAhead(e, 0, []string{"GET", long}, hset(long), []string{"GET", "short"}); len(got) != 2 {
		t.Errorf("long names: %d rows are prepared, want those of two short ones", len(got))
	}
}

package command

import (
	"context"
	"testing"
	"time"

	"github.com/elastickv/elastickv/hlc"
	"github.com/elastickv/elastickv/internal/keyspace"
	"github.com/elastickv/elastickv/internal/resp"
	"github.com/elastickv/elastickv/internal/txn"
	"github.com/elastickv/elastickv/store"
)

// caller calls commands of a table on a database in memory, without a server.
type caller struct {
	t   testing.TB
	db  *txn.Local
	env *Env
}

func newCaller(t testing.TB) *caller {
	return newCallerOver(t, store.NewMVCCStore().(store.Engine), time.Now)
}

func newCallerOver(t testing.TB, engine store.Engine, now func() time.Time) *caller {
	limits := keyspace.DefaultLimits()
	c := &caller{t: t, db: txn.NewLocal(engine, hlc.New(now), txn.Options{})}
	t.Cleanup(func() {
		c.db.Close()
		engine.Close()
	})
	seed := uint64(1)
	c.env = &Env{
		Table: NewTable(Rows()), Keys: keyspace.Env{Limits: &limits, Samples: keyspace.NewSamples(1 << 20)}, Cursors: NewCursors(), MaxBulk: 1 << 20, MaxReply: 1 << 20,
		Rand: func() uint64 {
			seed = seed*6364136223846793005 + 1442695040888963407
			return seed ^ seed>>31
		},
	}
	return c
}

// call returns the reply in protocol 2.
func (c *caller) call(args ...string) resp.Value {
	c.t.Helper()
	raw := make([][]byte, len(args))
	for i, a := range args {
		raw[i] = []byte(a)
	}
	cmd, err := c.env.Table.Lookup(raw)
	if err != nil {
		c.t.Fatalf("%q: %v", args, err)
	}
	var out resp.Writer
	err = c.db.Update(context.Background(), func(tx *txn.Tx) error {
		ctx := &Ctx{Args: raw, Cmd: cmd, Out: &out, Keys: keyspace.Open(tx, 0, c.env.Keys), Env: c.env}
		return c.env.Table.Run(ctx)
	})
	if err != nil {
		c.t.Fatalf("%q: %v", args, err)
	}
	v, rest, err := resp.ParseReply(out.Bytes())
	if err != nil || len(rest) > 0 {
		c.t.Fatalf("%q answered %q: %v", args, out.Bytes(), err)
	}
	return v
}

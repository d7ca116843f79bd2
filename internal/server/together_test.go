package server_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/elastickv/elastickv/hlc"
	"github.com/elastickv/elastickv/internal/server"
	"github.com/elastickv/elastickv/internal/txn"
	"github.com/elastickv/elastickv/store"
)

// viewCounter counts the snapshots that are taken.
type viewCounter struct {
	txn.DB
	views atomic.Int64
}

func (c *viewCounter) View(ctx context.Context, fn func(*txn.Tx) error) error {
	c.views.Add(1)
	return c.DB.View(ctx, fn)
}

// Reads of a pipeline that follow one another share a snapshot; what comes in between ends it.
func TestReadsOfAPipelineShareASnapshot(t *testing.T) {
	for _, c := range []struct {
		name, commands, replies string
		views                   int64
	}{
		{"reads", "GET a|GET b|HLEN h|GET c", "$1\r\n1\r\n|$-1\r\n|:0\r\n|$-1\r\n", 1},
		{"an error among them", "GET a|HLEN a|NOSUCH|GET a", "$1\r\n1\r\n|-WRONGTYPE Operation against a key holding the wrong kind of value\r\n|" +
			"-ERR unknown command 'NOSUCH', with args beginning with: \r\n|$1\r\n1\r\n", 2},
		{"another database", "GET a|SELECT 1|GET a|GET b|SELECT 0|GET a", "$1\r\n1\r\n|+OK\r\n|$-1\r\n|$-1\r\n|+OK\r\n|$1\r\n1\r\n", 3},
		{"a write ends it, and what is behind it sees it", "GET a|GET a|SET a 2|GET a|SET a 1|GET a",
			"$1\r\n1\r\n|$1\r\n1\r\n|+OK\r\n|$1\r\n2\r\n|+OK\r\n|$1\r\n1\r\n", 1}, // reads behind a write go with it
		{"queued ones take none", "GET a|MULTI|GET a|GET b|DISCARD", "$1\r\n1\r\n|+OK\r\n|+QUEUED\r\n|+QUEUED\r\n|+OK\r\n", 1},
		{"without replies", "CLIENT REPLY SKIP|GET a|GET a|CLIENT REPLY SKIP|GET b|GET a", "$1\r\n1\r\n|$1\r\n1\r\n", 2},
		{"one who tracks what they read", "CLIENT TRACKING ON|GET a|GET b|CLIENT TRACKING OFF", "+OK\r\n|$1\r\n1\r\n|_\r\n|+OK\r\n", 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			now := time.Now() // and it stays that: nothing in the background reads
			db := &viewCounter{DB: txn.NewLocal(store.NewMVCCStore().(store.Engine), hlc.New(func() time.Time { return now }), txn.Options{})}
			w := dial(t, serveDB(t, db, func() time.Time { return now }, server.NewConfig(), anyPort(t)).addr)
			if strings.Contains(c.commands, "TRACKING") {
				w.hello()
			}
			w.ask("SET a 1", "+OK\r\n")
			before := db.views.Load()
			w.send(strings.ReplaceAll(c.commands, "|", "\r\n") + "\r\n")
			w.expect(strings.ReplaceAll(c.replies, "|", ""))
			if n := db.views.Load() - before; n != c.views {
				t.Errorf("%d snapshots were taken, not %d", n, c.views)
			}
		})
	}
}

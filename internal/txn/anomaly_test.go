package txn_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"github.com/elastickv/elastickv/hlc"
	"github.com/elastickv/elastickv/internal/txn"
	"github.com/elastickv/elastickv/store"
)

// engines are the stores that every test of this package runs over.
var engines = map[string]func(t *testing.T) store.Engine{
	"memory": func(*testing.T) store.Engine { return store.NewMVCCStore().(store.Engine) },
	"pebble": func(t *testing.T) store.Engine {
		s, err := store.NewPebbleStore("db", store.WithFS(vfs.NewMem()))
		if err != nil {
			t.Fatal(err)
		}
		return s.(store.Engine)
	},
	"memory behind a log": func(*testing.T) store.Engine { return newLogged(store.NewMVCCStore().(store.Engine)) },
}

func overEngines(t *testing.T, fn func(t *testing.T, e store.Engine)) {
	for name, open := range engines {
		t.Run(name, func(t *testing.T) {
			e := open(t)
			t.Cleanup(func() {
				if err := e.Close(); err != nil {
					t.Errorf("close the engine: %v", err)
				}
			})
			fn(t, e)
		})
	}
}

// checkOverEngines runs a model over a fresh engine for each history.
func checkOverEngines(t *testing.T, fn func(rt *rapid.T, e store.Engine)) {
	for name, open := range engines {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				e := open(t)
				defer e.Close()
				fn(rt, e)
			})
		})
	}
}

func openLocal(t testing.TB, e store.Engine) *txn.Local {
	db := newDB(e, hlc.New(time.Now), txn.Options{})
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close the database: %v", err)
		}
	})
	return db
}

// TestAnomalies plays interleaved transactions. Every line of a script is a step:
//
//	begin T | get T key | scan T start end | put T key value | del T key | clear T prefix | commit T
//	update key=value …        one transaction inside the sequencer
//	fill prefix n             the same; n keys of the prefix and three digits
//	drop prefix               the same; deletes every key with the prefix
//	view key …                one read-only transaction
func TestAnomalies(t *testing.T) {
	overEngines(t, func(t *testing.T, e store.Engine) {
		datadriven.Walk(t, "testdata/anomalies", func(t *testing.T, path string) {
			p := player{db: openLocal(t, e), open: map[string]*txn.Tx{}}
			datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
				var out strings.Builder
				for _, line := range strings.Split(strings.TrimSpace(d.Input), "\n") {
					fmt.Fprintf(&out, "%s\n", p.step(strings.Fields(line)))
				}
				return out.String()
			})
		})
	})
}

type player struct {
	db   txn.DB
	open map[string]*txn.Tx
}

func (p *player) step(words []string) string {
	ctx := context.Background()
	switch words[0] {
	case "begin":
		tx, err := p.db.Begin(ctx)
		p.open[words[1]] = tx
		return result(words, "ok", err)
	case "get":
		return result(words, lookUp(p.open[words[1]], words[2]), nil)
	case "scan":
		return result(words, scanOf(p.open[words[1]], words[2], words[3]), nil)
	case "put":
		return result(words, "ok", p.open[words[1]].Put([]byte(words[2]), []byte(words[3]), 0))
	case "del":
		return result(words, "ok", p.open[words[1]].Delete([]byte(words[2])))
	case "clear":
		return result(words, "ok", p.open[words[1]].DeletePrefix([]byte(words[2])))
	case "commit":
		return result(words, "ok", p.db.Commit(ctx, p.open[words[1]]))
	case "update":
		return result(words, "ok", p.db.Update(ctx, func(tx *txn.Tx) error { return putPairs(tx, words[1:]) }))
	case "fill":
		n, err := strconv.Atoi(words[2])
		if err != nil {
			return err.Error()
		}
		return result(words, "ok", p.db.Update(ctx, func(tx *txn.Tx) error { return fill(tx, words[1], n) }))
	case "drop":
		return result(words, "ok", p.db.Update(ctx, func(tx *txn.Tx) error { return tx.DeletePrefix([]byte(words[1])) }))
	case "view":
		var got []string
		err := p.db.View(ctx, func(tx *txn.Tx) error {
			for _, k := range words[1:] {
				got = append(got, lookUp(tx, k))
			}
			return nil
		})
		return result(words, strings.Join(got, " "), err)
	}
	return "unknown step " + words[0]
}

// putPairs puts key=value.
func putPairs(tx *txn.Tx, pairs []string) error {
	for _, pair := range pairs {
		k, v, _ := strings.Cut(pair, "=")
		if err := tx.Put([]byte(k), []byte(v), 0); err != nil {
			return err
		}
	}
	return nil
}

// fill puts n keys of a prefix and three digits.
func fill(tx *txn.Tx, prefix string, n int) error {
	for i := range n {
		if err := tx.Put(fmt.Appendf(nil, "%s%03d", prefix, i), []byte("f"), 0); err != nil {
			return err
		}
	}
	return nil
}

func result(words []string, ok string, err error) string {
	if errors.Is(err, store.ErrWriteConflict) {
		key, _ := store.WriteConflictKey(err)
		ok, err = fmt.Sprintf("conflict on %s", key), nil
	}
	if err != nil {
		ok = "error: " + err.Error()
	}
	return strings.Join(words, " ") + ": " + ok
}

func lookUp(tx *txn.Tx, key string) string {
	r, ok, err := tx.Get([]byte(key))
	switch {
	case err != nil:
		return err.Error()
	case !ok:
		return "-"
	}
	return string(r.Value)
}

func scanOf(tx *txn.Tx, start, end string) string {
	var got []string
	err := tx.Walk(store.Span{Start: []byte(start), End: []byte(end)}, store.Ascending, func(k []byte, r txn.Row) bool {
		got = append(got, fmt.Sprintf("%s=%s", k, r.Value))
		return true
	})
	if err != nil {
		return err.Error()
	}
	return "[" + strings.Join(got, " ") + "]"
}

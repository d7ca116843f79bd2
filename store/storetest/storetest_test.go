package storetest

import (
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/elastickv/elastickv/store"
)

func openMemory(t *testing.T) store.Engine {
	e := store.NewMVCCStore().(store.Engine)
	t.Cleanup(func() { _ = e.Close() })
	return e
}

// TestScripts reads the scripts from disk, so that -rewrite can correct what
// they expect. The memory store is the specification.
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, newScript(t, openMemory).run)
	})
}

// Package storetest answers one question: does a store keep the contract of
// store.Engine?
//
// Run is the conformance suite. Behaviour stands in the script files of
// testdata, which every implementation runs; what a script cannot say
// (ownership of slices, limits, concurrency, damaged snapshots) stands beside
// them in Go. RunModel drives random histories against a naive model.
//
// It may import package store and test libraries. It never looks inside an
// implementation, and no program imports it.
package storetest

import (
	"embed"
	"io/fs"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/elastickv/elastickv/store"
)

//go:embed testdata
var scripts embed.FS

// Open returns an empty store and arranges with t.Cleanup for whatever has to
// be done in the end. The suite closes some stores itself, so the cleanup must
// bear a store that is closed already.
type Open = func(t *testing.T) store.Engine

// Run runs the whole suite, each case on a store of its own.
func Run(t *testing.T, open func(t *testing.T) store.Engine) {
	t.Run("scripts", func(t *testing.T) { runEmbeddedScripts(t, open) })
	for _, c := range []struct {
		name string
		run  func(*testing.T, Open)
	}{
		{"ownership", testOwnership},
		{"limits", testLimits},
		{"canceled", testCanceled},
		{"canceled scan", testCanceledScan},
		{"bad mutations", testBadMutations},
		{"keys that cannot be", testKeysThatCannotBe},
		{"reentrant walk", testReentrantWalk},
		{"closed", testClosed},
		{"conflict errors", testConflictErrors},
		{"stage", testStage},
		{"verify", testVerify},
		{"snapshot image", testSnapshotImage},
		{"snapshot exchange", testSnapshotExchange},
		{"damaged snapshots", testDamagedSnapshots},
		{"large snapshot", testLargeSnapshot},
		{"lost update", testLostUpdate},
		{"everything at once", testEverythingAtOnce},
		{"queue", testQueue},
		{"plain queue", testPlainQueue},
		{"removed list", testRemovedList},
		{"torn length", testTornLength},
		{"members", testMembers},
		{"foreign deltas", testForeignDeltas},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, open) })
	}
}

// runEmbeddedScripts runs every script of testdata from the copies in the
// binary, so that it works from any folder. In a short run each configuration runs the
// quarter that the length of its name chooses, so that several share all.
func runEmbeddedScripts(t *testing.T, open Open) {
	files, err := fs.Glob(scripts, "testdata/*")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	share := len(t.Name()) % 4
	for i, name := range files {
		text, err := scripts.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(name[len("testdata/"):], func(t *testing.T) {
			if testing.Short() && i%4 != share {
				t.Skip("in the share of another configuration")
			}
			datadriven.RunTestFromString(t, string(text), newScript(t, open).run)
		})
	}
}

// inFull skips t in a short run, which is one under the race detector: t takes long, and does one thing after the other.
func inFull(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("one thing after the other, and not in short runs")
	}
}

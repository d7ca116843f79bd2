// Package test looks at the server from outside, as a client and an operator do: over
// the wire, and by killing it. It imports internal/testkit and client libraries, and
// nothing of what it tests.
package test

import (
	"flag"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/elastickv/elastickv/internal/testkit"
)

func TestMain(m *testing.M) { os.Exit(testkit.Main(m)) }

// TestScripts runs every script file of scripts/ against our server. With -rewrite it
// writes what a real redis-server answers into the files instead, and what ours
// answers into blocks marked "ours"; blocks of another version of Redis stay. The format is described in scripts/README.md.
func TestScripts(t *testing.T) {
	if rewriting() {
		rewriteScripts(t)
		return
	}
	fleets := ours(t, runtime.GOMAXPROCS(0))
	files := 0
	eachScript(t, func(t *testing.T, path string) {
		if files++; testing.Short() && files%3 != 0 {
			t.Skip("one client after the other: a short run has every third file")
		}
		t.Parallel()
		f := fleets.take(t)
		defer fleets.give(f)
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			return parseBlock(t, d).check(t, d, f)
		})
	})
}

// TestScriptsAgainstRedis holds the script files to a real redis-server, so that
// nobody's memory of Redis becomes the specification.
func TestScriptsAgainstRedis(t *testing.T) {
	if rewriting() {
		t.Skip("the files are being rewritten")
	}
	testkit.Single(t)
	fleets := redises(t, runtime.GOMAXPROCS(0))
	eachScript(t, func(t *testing.T, path string) {
		t.Parallel()
		f := fleets.take(t)
		defer fleets.give(f)
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			b := parseBlock(t, d)
			if !f.knows(b) {
				b.skip(t, d, f)
				return d.Expected
			}
			return b.check(t, d, f)
		})
	})
}

// oursMark finds a block that Redis is not asked about.
var oursMark = regexp.MustCompile(`(?m)^run\b.*\bours\b`)

func rewriteScripts(t *testing.T) {
	real := redises(t, 1)
	var own *fleets
	startOurs := sync.OnceFunc(func() { own = ours(t, 1) }) // of the whole run, not of the file that needs it first
	eachScript(t, func(t *testing.T, path string) {
		redis := real.take(t)
		defer real.give(redis)
		var us *fleet
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if oursMark.Match(text) {
			startOurs()
			us = own.take(t)
			defer own.give(us)
		}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			b := parseBlock(t, d)
			var own string
			if us != nil {
				own = b.record(t, d, us) // also builds the state that later blocks of ours see
			}
			switch {
			case b.ours:
				return own
			case !redis.knows(b):
				b.skip(t, d, redis)
				return d.Expected
			}
			return b.record(t, d, redis)
		})
	})
}

// rewriting reports whether datadriven's flag is set.
func rewriting() bool { return flag.Lookup("rewrite").Value.String() == "true" }

// eachScript runs fn as the subtest family/command for every script file.
func eachScript(t *testing.T, fn func(t *testing.T, path string)) {
	t.Helper()
	paths, err := filepath.Glob("scripts/*/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no file in test/scripts (%v)", err)
	}
	families := make(map[string][]string)
	for _, path := range paths {
		dir := filepath.Base(filepath.Dir(path))
		families[dir] = append(families[dir], path)
	}
	for _, family := range slices.Sorted(maps.Keys(families)) {
		t.Run(family, func(t *testing.T) {
			if family == "hyperloglog" {
				testkit.Single(t) // what takes them minutes is arithmetic
			}
			for _, path := range families[family] {
				name := strings.TrimSuffix(filepath.Base(path), ".txt")
				t.Run(name, func(t *testing.T) { fn(t, path) })
			}
		})
	}
}

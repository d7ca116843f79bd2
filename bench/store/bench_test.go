package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/elastickv/elastickv/store"
)

// smokeArgs make everything as small as it can be.
func smokeArgs(dir string, more ...string) []string {
	return append([]string{"-keys", "300", "-rounds", "1", "-seconds", "0.001", "-dir", dir}, more...)
}

// wantEmpty fails if something is left in dir.
func wantEmpty(t *testing.T, dir string) {
	t.Helper()
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v (%v)", left, err)
	}
}

var benchmarkLine = regexp.MustCompile(`^Benchmark\S+/by=[a-z-]+-\d+\t\d+\t[\d.]+ ns/op(\t[\d.]+ cpu-ns/op)?(\t[\d.]+ B/op\t[\d.]+ allocs/op)?$`)

// TestRun measures every row for a moment.
func TestRun(t *testing.T) {
	dir, history, profiles := t.TempDir(), filepath.Join(t.TempDir(), "history"), t.TempDir()
	var out strings.Builder
	err := run(t.Context(), smokeArgs(dir, "-history", history, "-cpuprofile", profiles), &out, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	wantEmpty(t, dir)
	for _, j := range jobs() {
		if !strings.Contains(out.String(), "\nBenchmark"+j.name+"/by=ours-") {
			t.Errorf("no line of %s", j.name)
		}
		for _, r := range j.rows {
			if r.base != "" && !strings.Contains(out.String(), "\nBenchmark"+r.name+"/by="+r.base+"-") {
				t.Errorf("no line of %s by %s", r.name, r.base)
			}
			if !strings.Contains(out.String(), "  "+r.label()+"\n") {
				t.Errorf("no row %s", r.label())
			}
		}
	}
	for line := range strings.Lines(out.String()) {
		if strings.HasPrefix(line, "Benchmark") && !benchmarkLine.MatchString(strings.TrimSuffix(line, "\n")) {
			t.Errorf("line %q is none of a benchmark", line)
		}
	}
	kept, err := filepath.Glob(filepath.Join(history, "store-*.txt"))
	if err != nil || len(kept) != 1 {
		t.Fatalf("history has %v (%v), want one file", kept, err)
	}
	text, err := os.ReadFile(kept[0])
	if err != nil || strings.TrimSpace(string(text)) == "" || !strings.Contains(string(text), "\ngomaxprocs: ") {
		t.Errorf("history has %q (%v)", text, err)
	}
	if found, err := os.ReadDir(profiles); err != nil || len(found) == 0 {
		t.Errorf("no profiles (%v)", err)
	}
}

// cancelOn is a writer that cancels when it is told of something.
type cancelOn struct {
	word   string
	cancel context.CancelFunc
}

func (c cancelOn) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte(c.word)) {
		c.cancel()
	}
	return len(p), nil
}

// TestInterrupted ends the program in the middle, where it fills, reads and compacts.
func TestInterrupted(t *testing.T) {
	for _, at := range []struct{ row, word string }{
		{"Get/cache=off", "Get/cache=off"}, {"Scan", "pebble"}, {"PutDurable", "badger"}, {"ApplyRaft", "ours"},
		{"DeletePrefix", "one-by-one"}, {"Compact", "ours"},
	} {
		dir := t.TempDir()
		ctx, cancel := context.WithCancel(t.Context())
		var out strings.Builder
		err := run(ctx, smokeArgs(dir, "-run", at.row, "-rounds", "1000000"), &out, cancelOn{at.word, cancel})
		cancel()
		if !errors.Is(err, context.Canceled) || out.Len() > 0 {
			t.Errorf("at %v: got %v and output %q, want context.Canceled and none", at, err, out.String())
		}
		wantEmpty(t, dir)
	}
}

func TestNoRow(t *testing.T) {
	dir := t.TempDir()
	if err := run(t.Context(), smokeArgs(dir, "-run", "nosuch"), io.Discard, io.Discard); err == nil {
		t.Error("a pattern that matches nothing is accepted")
	}
	wantEmpty(t, dir)
}

func TestParseOptions(t *testing.T) {
	for _, bad := range []string{"-rounds 0", "-keys 99", "-seconds 0", "-run (", "extra", "-nosuch"} {
		if _, err := parseOptions(strings.Fields(bad), io.Discard); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

// newArena returns one with few keys.
func newArena(t *testing.T) *arena {
	t.Helper()
	a := &arena{options: options{keys: 300}, dir: t.TempDir(), fixtures: map[string]string{}}
	t.Cleanup(func() {
		if err := a.closeAll(); err != nil {
			t.Error(err)
		}
	})
	return a
}

// TestContestantsAgree asks all the same.
func TestContestantsAgree(t *testing.T) {
	a, ctx := newArena(t), t.Context()
	last := sortedNumbers(a.keys)[a.keys-scanRows+1]
	for _, versions := range []int{1, 3} {
		for _, c := range everyone(ours{}) {
			db, err := a.openFilled(ctx, c, versions)
			if err != nil {
				t.Fatal(err)
			}
			for i := range a.keys {
				if got, err := db.get(ctx, appendKey(nil, i)); err != nil || !bytes.Equal(got, value(i)) {
					t.Fatalf("%s: key %d is %x (%v)", c.name(), i, got, err)
				}
				if got, err := db.get(ctx, appendMissingKey(nil, i)); err != nil || got != nil {
					t.Fatalf("%s: a missing key is %x (%v)", c.name(), got, err)
				}
			}
			for start, want := range map[string]int{"": scanRows, string(appendKey(nil, last)): scanRows - 1} {
				if got, err := db.scan(ctx, []byte(start)); err != nil || got != want {
					t.Errorf("%s: %d rows from %q on (%v), want %d", c.name(), got, start, err, want)
				}
			}
		}
	}
}

// TestContestantsWrite has all write the same.
func TestContestantsWrite(t *testing.T) {
	a, ctx := newArena(t), t.Context()
	puts := newPuts(2)
	for i, m := range puts {
		m.Key = appendKey(nil, i)
	}
	for _, c := range everyone(ours{}) {
		dir := filepath.Join(a.dir, "written-"+c.name())
		err := using(ctx, a, c, dir, func(db opened) error {
			err := db.apply(ctx, puts, 1)
			if c == (badgerDB{}) && errors.Is(err, errNotMeasured) {
				err = nil
			}
			return firstError(err, db.put(ctx, appendKey(nil, 2), value(2), 2))
		})
		if err != nil {
			t.Fatalf("%s: %v", c.name(), err)
		}
		if err := using(ctx, a, c, dir, func(db opened) error {
			for i := range 3 {
				got, err := db.get(ctx, appendKey(nil, i))
				if c == (badgerDB{}) && i < 2 {
					continue
				}
				if i < 2 && !bytes.Equal(got, puts[i].Value) || i == 2 && !bytes.Equal(got, value(2)) || err != nil {
					t.Errorf("%s: key %d is %x (%v)", c.name(), i, got, err)
				}
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
	}
}

// TestFixtureVersions looks at what a fixture of ours holds.
func TestFixtureVersions(t *testing.T) {
	a, ctx := newArena(t), t.Context()
	db, err := a.openFilled(ctx, ours{}, 3)
	if err != nil {
		t.Fatal(err)
	}
	for ts, want := range map[uint64]int{versionStep - 1: 0, versionStep: a.keys, 3 * versionStep: a.keys} {
		if err := wantKeys(ctx, db.(*openedOurs), ts, want); err != nil {
			t.Errorf("at %d: %v", ts, err)
		}
	}
	for ts := uint64(versionStep); ts <= 3*versionStep; ts += versionStep {
		ok, err := db.(store.MVCCStore).CommittedVersionAt(ctx, appendKey(nil, 7), ts)
		if err != nil || !ok {
			t.Errorf("no version at %d (%v)", ts, err)
		}
	}
	if err := wantKeys(ctx, db.(*openedOurs), 3*versionStep, a.keys-1); !errors.Is(err, errWrongAnswer) {
		t.Errorf("got %v, want errWrongAnswer", err)
	}
}

// TestTurnsFail ends a turn at the first error.
func TestTurnsFail(t *testing.T) {
	broken := errors.New("broken")
	n := 0
	op := func(*worker) error {
		if n++; n > 3 {
			return broken
		}
		return nil
	}
	if s, err := timed(t.Context(), time.Hour, 1, op); !errors.Is(err, broken) || s.ops != 3 {
		t.Errorf("timed: %d operations, %v", s.ops, err)
	}
	n = 0
	if s, err := counted(t.Context(), 10, 1, op); !errors.Is(err, broken) || s.ops != 3 {
		t.Errorf("counted: %d operations, %v", s.ops, err)
	}
	fine := func(*worker) error { return nil }
	if s, err := counted(t.Context(), 10, 3, fine); err != nil || s.ops != 10 {
		t.Errorf("counted: %d operations, %v", s.ops, err)
	}
	if s, err := timed(t.Context(), 0, 3, fine); err != nil || s.ops < 3 {
		t.Errorf("timed: %d operations, %v", s.ops, err)
	}
}

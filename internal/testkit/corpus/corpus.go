// Package corpus keeps what fuzz targets begin with as files, where the fuzzer and every
// ordinary run of the tests find it: testdata/fuzz/TARGET/NAME. The files are made from real
// encodings by the code of the day, so they cannot fall behind it. It imports nothing of the
// module, so that tests inside any package may use it.
package corpus

import (
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Seed is one input of a fuzz target.
type Seed struct {
	Name string // of its file
	Args []any  // []byte, string, uint64 or float64, as the target takes them
}

// Of returns the seed name of args.
func Of(name string, args ...any) Seed { return Seed{name, args} }

// Bent returns the seed name of args, and the same damaged: for every argument of bytes one
// seed in which it is cut in the middle, one in which it lacks its last byte, and one for each of
// some bits that are the other way round.
func Bent(name string, args ...any) []Seed {
	seeds := []Seed{Of(name, args...)}
	for i, arg := range args {
		b, ok := arg.([]byte)
		if !ok || len(b) == 0 {
			continue
		}
		with := func(how string, bent []byte) {
			changed := slices.Clone(args)
			changed[i] = bent
			seeds = append(seeds, Of(fmt.Sprintf("%s-%s-%d", name, how, i), changed...))
		}
		with("half", b[:len(b)/2])
		with("cut", b[:len(b)-1])
		for _, at := range []int{0, len(b) / 2, len(b) - 1} {
			bent := slices.Clone(b)
			bent[at] ^= 1 << (at % 8)
			with(fmt.Sprintf("flipped%d", at), bent)
		}
	}
	return seeds
}

// Check fails t unless every fuzz target of the package under test has seeds, and the files
// hold these seeds and no other ones. Under the flag -rewrite, which the package under test has
// for its other files, it writes the files first.
func Check(t *testing.T, targets map[string][]Seed) {
	t.Helper()
	f := flag.Lookup("rewrite")
	rewrite := f != nil && f.Value.String() == "true"
	for _, target := range targetsHere(t) {
		if len(targets[target]) == 0 {
			t.Errorf("%s has no seeds", target)
		}
	}
	for target, seeds := range targets {
		dir := filepath.Join("testdata", "fuzz", target)
		if rewrite {
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
		}
		checkTarget(t, rewrite, dir, seeds)
	}
}

func checkTarget(t *testing.T, rewrite bool, dir string, seeds []Seed) {
	t.Helper()
	want := map[string]string{}
	seen := map[string]bool{}
	for _, s := range seeds {
		text := encode(t, s)
		if seen[text] {
			continue // bent, two seeds may come out as one
		}
		seen[text] = true
		if want[s.Name] != "" {
			t.Errorf("%s: two seeds %s", dir, s.Name)
		}
		want[s.Name] = text
	}
	if rewrite {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for name, text := range want {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Errorf("%v; write the corpus by -rewrite", err)
		return
	}
	for _, f := range files {
		if _, ok := want[f.Name()]; !ok {
			t.Errorf("%s/%s: no such seed; an input that a fuzzer has found becomes one", dir, f.Name())
		}
	}
	for name, text := range want {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != text {
			t.Errorf("%s/%s: got %q, %v, want %q", dir, name, got, err, text)
		}
	}
}

// encode writes a seed as the fuzzer does.
func encode(t *testing.T, s Seed) string {
	t.Helper()
	var text strings.Builder
	text.WriteString("go test fuzz v1\n")
	for _, arg := range s.Args {
		switch arg := arg.(type) {
		case []byte:
			fmt.Fprintf(&text, "[]byte(%q)\n", arg)
		case string:
			fmt.Fprintf(&text, "string(%q)\n", arg)
		case uint64:
			fmt.Fprintf(&text, "uint64(%d)\n", arg)
		case float64:
			fmt.Fprintf(&text, "math.Float64frombits(%#x)\n", math.Float64bits(arg))
		default:
			t.Fatalf("%s: no seed has a %T", s.Name, arg)
		}
	}
	return text.String()
}

var fuzzTarget = regexp.MustCompile(`(?m)^func (Fuzz\w+)\(`)

// targetsHere returns the fuzz targets of the package whose folder tests run in.
func targetsHere(t *testing.T) (names []string) {
	t.Helper()
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range fuzzTarget.FindAllStringSubmatch(string(text), -1) {
			names = append(names, m[1])
		}
	}
	return names
}

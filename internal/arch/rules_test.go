package arch

import (
	"fmt"
	"go/token"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
)

// TestRules shows each rule the mistakes that it is there for, and their neighbours that
// are right.
func TestRules(t *testing.T) {
	checks := map[string]func(*tree) []string{
		"layers": func(tr *tree) []string { return checkLayers(tr, layers) },
	}
	for _, r := range rules {
		checks[r.name] = r.check
	}
	datadriven.RunTest(t, "testdata/rules.txt", func(t *testing.T, d *datadriven.TestData) string {
		check := checks[d.Cmd]
		if check == nil {
			d.Fatalf(t, "unknown rule %q", d.Cmd)
		}
		return show(check(parseSources(t, d)))
	})
}

// TestPlan shows the plan's own mistakes.
func TestPlan(t *testing.T) {
	p := parsePlan("a:\nb: c a\nc: a b\nc: a\nnoline\nd: *")
	want := []string{`b uses c`, `"c: a\n"`, `"noline\n"`}
	if len(p.faults) != len(want) {
		t.Fatalf("got %q, want %d faults", p.faults, len(want))
	}
	for i, w := range want {
		if !strings.Contains(p.faults[i], w) {
			t.Errorf("fault %d: got %s, want one about %s", i, p.faults[i], w)
		}
	}
	slices.Sort(p.allows["d"])
	if got := fmt.Sprint(p.allows["d"]); got != "[a b c]" {
		t.Errorf("d may import %s, want everything above", got)
	}
}

// parseSources cuts the input into files, each of which begins with a line "-- name".
func parseSources(t *testing.T, d *datadriven.TestData) *tree {
	t.Helper()
	tr := &tree{fset: token.NewFileSet()}
	for part := range strings.SplitSeq("\n"+d.Input, "\n-- ") {
		name, text, _ := strings.Cut(part, "\n")
		if name == "" && strings.TrimSpace(text) == "" {
			continue
		}
		if err := tr.add(name, []byte(text)); err != nil {
			d.Fatalf(t, "%v", err)
		}
	}
	return tr
}

func show(findings []string) string {
	if len(findings) == 0 {
		return "clean"
	}
	return strings.Join(findings, "\n")
}

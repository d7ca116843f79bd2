package arch

import (
	"fmt"
	"go/ast"
	"go/token"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// rules are the facts and powers that have one home each.
var rules = []struct {
	name  string
	check func(tr *tree) []string
}{
	{"doc", checkDocs},
	{"names", checkNames},
	{"environment", checkEnvironment},
	{"clock", checkClock},
	{"random", checkRandom},
	{"errors", checkErrorTexts},
}

func TestHomes(t *testing.T) {
	tr := loadModule(t)
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) { report(t, r.check(tr)) })
	}
}

// checkDocs wants a package comment in every package.
func checkDocs(tr *tree) []string {
	first := make(map[string]*file)
	documented := make(map[string]bool)
	var dirs []string
	for _, f := range tr.files {
		if first[f.dir] == nil {
			first[f.dir] = f
			dirs = append(dirs, f.dir)
		}
		if f.Doc != nil && strings.TrimSpace(f.Doc.Text()) != "" {
			documented[f.dir] = true
		}
	}
	var found []string
	for _, dir := range dirs {
		if !documented[dir] {
			found = append(found, fmt.Sprintf("%s: package %s has no doc comment: say its question, what it may import and what it never does",
				tr.at(first[dir].Name), dir))
		}
	}
	return found
}

// emptyNames say nothing about what is inside.
var emptyNames = []string{"util", "utils", "common", "helper", "helpers", "misc", "types", "base"}

func checkNames(tr *tree) []string {
	var found []string
	seen := make(map[string]bool)
	for _, f := range tr.files {
		name := strings.TrimSuffix(f.Name.Name, "_test")
		if seen[f.dir+" "+name] {
			continue
		}
		seen[f.dir+" "+name] = true
		if slices.Contains(emptyNames, name) || slices.Contains(emptyNames, path.Base(f.dir)) {
			found = append(found, fmt.Sprintf("%s: package %s (folder %s) is named for nothing: move each part to its only user, or name it by what it is",
				tr.at(f.Name), name, f.dir))
		}
	}
	return found
}

// rim reports whether a file may reach outside by itself: it belongs to a program or to
// the tests.
func rim(f *file) bool {
	return f.test || strings.HasPrefix(f.dir, "cmd/") || isTestOnly(f.dir)
}

// syncModeVariable is the one variable that is read outside cmd: the specification of
// package store gives it to that package.
const syncModeVariable = "ELASTICKV_FSM_SYNC_MODE"

// checkEnvironment keeps flags and the environment in cmd.
func checkEnvironment(tr *tree) []string {
	var found []string
	for _, f := range tr.files {
		if rim(f) {
			continue
		}
		if f.localName("flag") != "" {
			found = append(found, fmt.Sprintf("%s: %s imports flag: parse flags in cmd and pass the values in an Options struct", tr.at(f.Name), f.name))
		}
		allowed := syncModeReads(tr, f)
		f.selectors("os", func(sel *ast.SelectorExpr) {
			switch sel.Sel.Name {
			case "Getenv", "LookupEnv", "Environ", "ExpandEnv", "Args":
				if !allowed[sel] {
					found = append(found, fmt.Sprintf("%s: os.%s outside cmd: read it there and pass the value in", tr.at(sel), sel.Sel.Name))
				}
			}
		})
	}
	return found
}

// syncModeReads returns the places in package store where the one allowed variable is
// read, by its name or by a constant of the package.
func syncModeReads(tr *tree, f *file) map[*ast.SelectorExpr]bool {
	allowed := make(map[*ast.SelectorExpr]bool)
	if f.dir != "store" {
		return allowed
	}
	ast.Inspect(f.File, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) != 1 {
			return true
		}
		sel, ok := call.Fun.(*ast.SelectorExpr)
		if ok && (sel.Sel.Name == "Getenv" || sel.Sel.Name == "LookupEnv") && tr.stringOf(f.dir, call.Args[0]) == syncModeVariable {
			allowed[sel] = true
		}
		return true
	})
	return allowed
}

// stringOf returns the value of a string literal, or of a constant of the package in dir
// that one defines.
func (tr *tree) stringOf(dir string, e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		s, _ := strconv.Unquote(e.Value)
		return s
	case *ast.Ident:
		for _, f := range tr.files {
			if f.dir == dir {
				if s := constant(f, e.Name); s != "" {
					return s
				}
			}
		}
	}
	return ""
}

// constant returns the value of a top-level constant that is a string literal, or "".
func constant(f *file, name string) string {
	for _, d := range f.Decls {
		gen, ok := d.(*ast.GenDecl)
		if !ok || gen.Tok != token.CONST {
			continue
		}
		for _, spec := range gen.Specs {
			vs := spec.(*ast.ValueSpec)
			for i, id := range vs.Names {
				if id.Name != name || i >= len(vs.Values) {
					continue
				}
				if lit, ok := vs.Values[i].(*ast.BasicLit); ok {
					s, _ := strconv.Unquote(lit.Value)
					return s
				}
			}
		}
	}
	return ""
}

// checkClock keeps reading the wall clock in cmd. Timers are free: they wait, and what
// they decide does not depend on the date.
func checkClock(tr *tree) []string {
	var found []string
	for _, f := range tr.files {
		if rim(f) {
			continue
		}
		f.selectors("time", func(sel *ast.SelectorExpr) {
			switch sel.Sel.Name {
			case "Now", "Since", "Until":
				found = append(found, fmt.Sprintf("%s: time.%s outside cmd: take the clock as an argument, a func() time.Time", tr.at(sel), sel.Sel.Name))
			}
		})
	}
	return found
}

// generators are the names of math/rand and math/rand/v2 that only pass a generator on
// or build one from a given seed.
var generators = []string{"Rand", "Source", "Source64", "New", "PCG", "NewPCG", "ChaCha8", "NewChaCha8", "Zipf", "NewZipf"}

// checkRandom keeps chance in cmd.
func checkRandom(tr *tree) []string {
	var found []string
	for _, f := range tr.files {
		if rim(f) {
			continue
		}
		for _, p := range []string{"math/rand", "math/rand/v2"} {
			f.selectors(p, func(sel *ast.SelectorExpr) {
				if !slices.Contains(generators, sel.Sel.Name) {
					found = append(found, fmt.Sprintf("%s: rand.%s outside cmd: take a *rand.Rand as an argument", tr.at(sel), sel.Sel.Name))
				}
			})
		}
	}
	return found
}

// errorTables are the files in which texts for clients stand: those of commands, those of
// the connection's own state, and those of scripts.
var errorTables = []string{"internal/command/errors.go", "internal/server/errors.go", "internal/script/errors.go"}

// checkErrorTexts keeps the texts that clients read in one table a package.
func checkErrorTexts(tr *tree) []string {
	var found []string
	for _, f := range tr.files {
		if rim(f) || slices.Contains(errorTables, f.name) {
			continue
		}
		ast.Inspect(f.File, func(n ast.Node) bool {
			lit, ok := n.(*ast.BasicLit)
			if !ok || lit.Kind != token.STRING {
				return true
			}
			s, err := strconv.Unquote(lit.Value)
			if err == nil && isErrorText(s) {
				found = append(found, fmt.Sprintf("%s: the error text %s stands outside the table: define it in internal/command/errors.go and return that",
					tr.at(lit), lit.Value))
			}
			return true
		})
	}
	return found
}

func isErrorText(s string) bool {
	s = strings.TrimPrefix(s, "-")
	for _, code := range []string{"ERR", "WRONGTYPE"} {
		if s == code || strings.HasPrefix(s, code+" ") {
			return true
		}
	}
	return false
}

package arch

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// modulePath begins the import path of every package of ours.
const modulePath = "github.com/elastickv/elastickv"

// tree is the parsed source of a module.
type tree struct {
	fset  *token.FileSet
	files []*file
}

// file is one Go file.
type file struct {
	*ast.File
	name string // path from the root of the module, with slashes
	dir  string // folder of the file: the package's name in the plan
	test bool   // ends in _test.go
}

// loadModule parses the module that this package belongs to, whatever build tags its
// files carry. Nested modules, testdata and hidden folders are not part of it.
func loadModule(t *testing.T) *tree {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	tr := &tree{fset: token.NewFileSet()}
	err = filepath.WalkDir(root, func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() {
			return enter(root, p, e.Name())
		}
		if filepath.Ext(p) != ".go" {
			return nil
		}
		text, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		return tr.add(filepath.ToSlash(rel), text)
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(tr.files) == 0 {
		t.Fatalf("no Go file below %s", root)
	}
	return tr
}

// enter says whether WalkDir goes into a folder.
func enter(root, p, name string) error {
	if p == root {
		return nil
	}
	if name == "testdata" || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") {
		return filepath.SkipDir
	}
	if _, err := os.Stat(filepath.Join(p, "go.mod")); err == nil {
		return filepath.SkipDir
	}
	return nil
}

func (tr *tree) add(name string, text []byte) error {
	parsed, err := parser.ParseFile(tr.fset, name, text, parser.ParseComments)
	if err != nil {
		return err
	}
	tr.files = append(tr.files, &file{parsed, name, path.Dir(name), strings.HasSuffix(name, "_test.go")})
	return nil
}

// at says where n stands, as compilers do.
func (tr *tree) at(n ast.Node) string {
	p := tr.fset.Position(n.Pos())
	return fmt.Sprintf("%s:%d", p.Filename, p.Line)
}

// imported returns the path of an import.
func imported(spec *ast.ImportSpec) string {
	p, err := strconv.Unquote(spec.Path.Value)
	if err != nil {
		panic(err) // the parser has accepted it
	}
	return p
}

// localName returns the name by which f calls the package of that path, or "".
func (f *file) localName(importPath string) string {
	for _, spec := range f.Imports {
		if imported(spec) != importPath {
			continue
		}
		if spec.Name != nil {
			return spec.Name.Name
		}
		name := path.Base(importPath)
		if name == "v2" {
			name = path.Base(path.Dir(importPath))
		}
		return name
	}
	return ""
}

// selectors calls fn for every use of a name of the package of that path.
func (f *file) selectors(importPath string, fn func(sel *ast.SelectorExpr)) {
	local := f.localName(importPath)
	if local == "" {
		return
	}
	ast.Inspect(f.File, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if x, ok := sel.X.(*ast.Ident); ok && x.Name == local {
			fn(sel)
		}
		return true
	})
}

package store_test

import (
	"cmp"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestExportedNamesHaveComments reads the package's own source: every exported
// name has a comment that begins with the name. Names that are declared together
// may share the comment of their group.
func TestExportedNamesHaveComments(t *testing.T) {
	paths, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	c := commentCheck{t: t, fset: token.NewFileSet()}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		file, err := parser.ParseFile(c.fset, path, text, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			c.decl(decl)
		}
	}
	if c.names < 150 {
		t.Errorf("looked at %d exported names only", c.names)
	}
}

type commentCheck struct {
	t     *testing.T
	fset  *token.FileSet
	names int
}

func (c *commentCheck) decl(decl ast.Decl) {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		if d.Recv == nil || ast.IsExported(receiver(d)) {
			c.named(d.Name, d.Doc)
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			c.spec(d, spec)
		}
	}
}

// receiver returns the name of the type that d is a method of.
func receiver(d *ast.FuncDecl) string {
	x := d.Recv.List[0].Type
	if star, ok := x.(*ast.StarExpr); ok {
		x = star.X
	}
	if id, ok := x.(*ast.Ident); ok {
		return id.Name
	}
	return ""
}

func (c *commentCheck) spec(d *ast.GenDecl, spec ast.Spec) {
	switch spec := spec.(type) {
	case *ast.TypeSpec:
		c.named(spec.Name, cmp.Or(spec.Doc, d.Doc))
		if i, ok := spec.Type.(*ast.InterfaceType); ok && spec.Name.IsExported() {
			for _, m := range i.Methods.List {
				for _, name := range m.Names {
					c.named(name, m.Doc)
				}
			}
		}
	case *ast.ValueSpec:
		for _, name := range spec.Names {
			if spec.Doc == nil && d.Lparen.IsValid() && d.Doc != nil {
				c.count(name)
				continue
			}
			c.named(name, cmp.Or(spec.Doc, d.Doc))
		}
	}
}

func (c *commentCheck) count(name *ast.Ident) bool {
	if !name.IsExported() {
		return false
	}
	c.names++
	return true
}

// named wants a comment that begins with the name.
func (c *commentCheck) named(name *ast.Ident, doc *ast.CommentGroup) {
	if c.count(name) && !strings.HasPrefix(doc.Text(), name.Name+" ") {
		c.t.Errorf("%s: %s has no comment that begins with its name", c.fset.Position(name.Pos()), name.Name)
	}
}

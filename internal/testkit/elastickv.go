package testkit

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Elastickv starts our server on the data folder dir, with extra arguments behind its
// own. The binary is built once for all tests of a package, whose TestMain is [Main].
func Elastickv(t testing.TB, dir string, extra ...string) *Server {
	t.Helper()
	path := Binary(t)
	addr := FreeAddr(t)
	cmd := exec.Command(path, append([]string{"serve", "--listen", addr, "--dir", dir}, extra...)...)
	cmd.Dir = t.TempDir()
	s := start(t, addr, cmd)
	s.checkAtEnd(t)
	return s
}

// checkAtEnd has the server ended, and its log looked at, when t ends.
func (s *Server) checkAtEnd(t testing.TB) {
	s.checked = true
	t.Cleanup(func() { s.check(t) })
}

// check ends the server and fails t if it has reported a bug of its own before that.
func (s *Server) check(t testing.TB) {
	t.Helper()
	s.Kill()
	if found := s.log.fault(); found != "" {
		t.Errorf("the server has reported a fault:\n%s", found)
	}
}

// program is what Elastickv runs.
const program = "github.com/elastickv/elastickv/cmd/elastickv"

// built are the binaries of this run of tests: the program as it is, and one that can be harmed.
var built struct {
	sync.Mutex
	dir           string
	plain, inHarm binary
}

type binary struct {
	path string
	err  error
}

// Binary returns the path of our program, built from the tree that is under test.
func Binary(t testing.TB) string {
	t.Helper()
	return builtOnce(t, &built.plain, "elastickv", func(string) ([]string, error) { return nil, nil })
}

// builtOnce returns the path of one of the binaries, which is built if it is not there yet. overlay returns flags for that,
// given the root of the module.
func builtOnce(t testing.TB, b *binary, name string, overlay func(root string) ([]string, error)) string {
	t.Helper()
	built.Lock()
	defer built.Unlock()
	if b.path == "" && b.err == nil {
		b.path, b.err = build(name, overlay)
	}
	if b.err != nil {
		t.Fatal(b.err)
	}
	return b.path
}

// build compiles the command into a folder that Main removes.
func build(name string, overlay func(root string) ([]string, error)) (string, error) {
	root, err := touchSource()
	if err != nil {
		return "", err
	}
	if built.dir == "" {
		if built.dir, err = os.MkdirTemp("", "elastickv-test-"); err != nil {
			return "", err
		}
	}
	flags, err := overlay(root)
	if err != nil {
		return "", err
	}
	path := filepath.Join(built.dir, name)
	args := slices.Concat([]string{"build", "-o", path}, buildFlags, flags)
	cmd := exec.Command("go", append(args, program)...)
	cmd.Dir = root // the tests may be a module of their own, which need not know what the program is made of
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return path, nil
}

// touchSource reads the command's own files, and returns the folder of its module. go test keeps the result of a test until a
// package that it imports, or a file that it has read, changes; a program cannot be
// imported.
func touchSource() (root string, err error) {
	root, err = os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		files, err := filepath.Glob(filepath.Join(root, "cmd", "elastickv", "*.*go"))
		if err != nil {
			return "", err
		}
		for _, f := range files {
			if _, err := os.ReadFile(f); err != nil {
				return "", err
			}
		}
		if len(files) > 0 {
			return root, nil
		}
		if filepath.Dir(root) == root {
			return "", errors.New("no source of the command above the tests")
		}
		root = filepath.Dir(root)
	}
}

// Main runs the tests of a package that calls Elastickv, then removes what was built:
//
//	func TestMain(m *testing.M) { os.Exit(testkit.Main(m)) }
func Main(m *testing.M) int {
	code := m.Run()
	if built.dir != "" {
		os.RemoveAll(built.dir)
	}
	return code
}

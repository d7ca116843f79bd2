package testkit

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/elastickv/elastickv/internal/testkit/harm"
)

// ElastickvInHarm is [Elastickv] at an address, built so that [Server.Harm] can step its clock and slow its disk down.
func ElastickvInHarm(t testing.TB, addr, dir string, extra ...string) *Server {
	t.Helper()
	path := builtOnce(t, &built.inHarm, "elastickv-in-harm", harmOverlay)
	cmd := exec.Command(path, append([]string{"serve", "--listen", addr, "--dir", dir}, extra...)...)
	cmd.Dir = t.TempDir()
	file := filepath.Join(cmd.Dir, "harm")
	if err := (harm.State{}).Write(file); err != nil {
		t.Fatal(err)
	}
	cmd.Env = append(os.Environ(), harm.FileVariable+"="+file)
	s := start(t, addr, cmd)
	s.harm = file
	s.checkAtEnd(t)
	return s
}

// Harm is what is done to the machine of a server of [ElastickvInHarm] from now on, also after Restart.
func (s *Server) Harm(t testing.TB, is harm.State) {
	t.Helper()
	if err := is.Write(s.harm); err != nil {
		t.Fatal(err)
	}
}

var (
	readsClock = regexp.MustCompile(`\btime\.Now\b`)
	importsOf  = "import (\n"
)

// harmOverlay has the command read the clock of package harm. Nothing else in our program reads one, see internal/arch.
func harmOverlay(root string) (flags []string, err error) {
	files, err := filepath.Glob(filepath.Join(root, "cmd", "elastickv", "*.go"))
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(built.dir, "overlay-")
	if err != nil {
		return nil, err
	}
	replaced := map[string]string{}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		text := string(b)
		if strings.HasSuffix(f, "_test.go") || !readsClock.MatchString(text) {
			continue
		}
		text = readsClock.ReplaceAllString(text, "harm.Now")
		text = strings.Replace(text, importsOf, importsOf+"\t\"github.com/elastickv/elastickv/internal/testkit/harm\"\n", 1)
		replaced[f] = filepath.Join(dir, filepath.Base(f))
		if err := os.WriteFile(replaced[f], []byte(text+"\nvar _ = time.Now // the import is used\n"), 0o600); err != nil {
			return nil, err
		}
	}
	if len(replaced) == 0 {
		return nil, errors.New("the command does not read the clock where it did")
	}
	b, err := json.Marshal(map[string]any{"Replace": replaced})
	if err != nil {
		return nil, err
	}
	list := filepath.Join(dir, "overlay.json")
	return []string{"-overlay", list}, os.WriteFile(list, b, 0o600)
}

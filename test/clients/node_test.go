// Package clients runs other people's Redis clients against the server.
package clients

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/elastickv/elastickv/internal/testkit"
)

func TestMain(m *testing.M) { os.Exit(testkit.Main(m)) }

// TestNodeRedis runs node/check.mjs, which needs node and the npm registry.
func TestNodeRedis(t *testing.T) {
	if testing.Short() {
		t.Skip("installs packages")
	}
	node, npm := testkit.Tool(t, "node"), testkit.Tool(t, "npm")
	dir := t.TempDir()
	for _, name := range []string{"package.json", "package-lock.json", ".npmrc", "check.mjs"} {
		b, err := os.ReadFile(filepath.Join("node", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	install := exec.CommandContext(ctx, npm, "ci", "--ignore-scripts")
	install.Dir = dir
	if out, err := install.CombinedOutput(); err != nil {
		t.Skipf("node-redis cannot be installed here: %v\n%s", err, out)
	}
	_, port, err := net.SplitHostPort(testkit.Elastickv(t, t.TempDir()).Addr)
	if err != nil {
		t.Fatal(err)
	}
	check := exec.CommandContext(ctx, node, "check.mjs", port)
	check.Dir = dir
	out, err := check.CombinedOutput()
	if err != nil {
		t.Fatalf("check.mjs: %v\n%s", err, out)
	}
	t.Logf("%s", out)
}

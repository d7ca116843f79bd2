package testkit

import (
	"net"
	"os/exec"
	"testing"
)

// Redis starts the redis-server of the PATH, empty and without a disk, with extra
// arguments behind its own. The test is skipped where there is none.
func Redis(t testing.TB, extra ...string) *Server {
	t.Helper()
	path := Tool(t, "redis-server")
	addr := FreeAddr(t)
	_, port, _ := net.SplitHostPort(addr)
	dir := t.TempDir()
	args := append([]string{
		"--port", port, "--bind", "127.0.0.1", "--dir", dir,
		"--save", "", "--appendonly", "no", "--enable-debug-command", "yes",
	}, extra...)
	cmd := exec.Command(path, args...)
	cmd.Dir = dir
	return start(t, addr, cmd)
}

// Tool returns the path of a program that a test needs, or skips the test where it is
// not installed.
func Tool(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not on the PATH: install it (Debian: apt-get install redis) to run this test", name)
	}
	return path
}

package testkit

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// orphanVariable is set in the process that TestServersEndWithTheTests kills.
const orphanVariable = "ELASTICKV_TESTKIT_ORPHAN"

// TestServersEndWithTheTests kills tests that have a server running: it ends, too.
func TestServersEndWithTheTests(t *testing.T) {
	if os.Getenv(orphanVariable) != "" {
		fmt.Printf("\nserver %s\n", Redis(t).Addr)
		_, _ = io.Copy(io.Discard, os.Stdin) // until we are killed
		return
	}
	Tool(t, "redis-server")
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), orphanVariable+"=1", "TMPDIR="+t.TempDir())
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	addr, out := "", bufio.NewScanner(stdout)
	for addr == "" && out.Scan() {
		if rest, ok := strings.CutPrefix(out.Text(), "server "); ok {
			addr = rest
		}
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if addr == "" {
		t.Fatal("the other tests have not started a server")
	}
	for end := time.Now().Add(startWait); ; {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			return
		}
		c.Close()
		if time.Now().After(end) {
			t.Fatalf("the server at %s still listens", addr)
		}
	}
}

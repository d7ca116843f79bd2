package clients

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/elastickv/elastickv/internal/testkit"
)

// TestNodeRedis runs node/check.mjs: what an application does with node-redis.
func TestNodeRedis(t *testing.T) {
	dir := nodePackages(t)
	check := node(t, dir, "check.mjs", testkit.Elastickv(t, t.TempDir()).Addr)
	out, err := check.CombinedOutput()
	if err != nil {
		t.Fatalf("check.mjs: %v\n%s", err, out)
	}
	t.Logf("%s", out)
}

// TestNodeQueues kills the server under the job queues of node/: BullMQ over
// ioredis, and queues that an application makes itself with node-redis.
func TestNodeQueues(t *testing.T) {
	dir := nodePackages(t)
	for _, script := range []string{"bullmq.mjs", "queues.mjs"} {
		t.Run(script, func(t *testing.T) {
			t.Parallel()
			v := newVictim(t)
			survive(t, v, node(t, dir, script, v.Addr))
		})
	}
}

// survive starts work, which speaks to us as node/books.mjs says, and kills the server under it.
func survive(t *testing.T, v *victim, work *exec.Cmd) {
	stdin, err := work.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := work.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var said, complaints bytes.Buffer
	work.Stderr = &complaints
	if err := work.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the workload's output:\n%s%s", said.String(), complaints.String())
		}
	})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			if lines.Text() == "." {
				v.happened()
				continue
			}
			said.WriteString(lines.Text() + "\n")
		}
	}()
	// Also where killAll gives up: then the workload is killed, and nothing writes to the buffers
	// when they are read.
	wait := sync.OnceValue(func() error {
		<-ended
		return work.Wait()
	})
	t.Cleanup(func() {
		work.Process.Kill()
		wait()
	})
	v.killAll(t, ended)
	if _, err := io.WriteString(stdin, "end\n"); err != nil {
		t.Fatal(err)
	}
	if err := wait(); err != nil {
		t.Fatalf("%s: %v; the server's output:\n%s", work.Args, err, v.Log())
	}
	t.Logf("%s", said.String())
}

// workloadWait bounds how long a workload may run.
const workloadWait = 3 * time.Minute

// node returns the command that runs a script against the server at addr.
func node(t *testing.T, dir, script, addr string) *exec.Cmd {
	t.Helper()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), workloadWait+time.Duration(*killsFlag)*time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, testkit.Tool(t, "node"), script, port)
	cmd.Dir = dir
	return cmd
}

// installed is what nodePackages has done: once for all tests.
var installed struct {
	sync.Once
	dir  string
	fail string
}

// nodePackages returns a folder with the scripts of node/ and the packages that they need. It
// skips the test where node, npm or the npm registry cannot be had.
func nodePackages(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("installs packages")
	}
	testkit.Tool(t, "node")
	npm := testkit.Tool(t, "npm")
	installed.Do(func() {
		installed.dir, installed.fail = installNode(npm)
	})
	if installed.fail != "" {
		t.Skip(installed.fail)
	}
	return installed.dir
}

// installNode fills a folder, which TestMain removes, and says why it cannot.
func installNode(npm string) (dir, fail string) {
	dir, err := os.MkdirTemp("", "elastickv-node-")
	if err != nil {
		return "", err.Error()
	}
	if err := os.CopyFS(dir, os.DirFS("node")); err != nil {
		return dir, err.Error()
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	install := exec.CommandContext(ctx, npm, "ci", "--ignore-scripts")
	install.Dir = dir
	if out, err := install.CombinedOutput(); err != nil {
		return dir, "the packages cannot be installed here: " + err.Error() + "\n" + string(out)
	}
	return dir, ""
}

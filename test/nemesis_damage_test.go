package test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/elastickv/elastickv/internal/testkit"
)

// A node that has lost its memory, or a part of it, refuses to start, says what to do, and leaves its folder as it is. It takes
// part in nothing until it has joined anew with an empty one.
func TestClusterDamagedDisk(t *testing.T) {
	if testing.Short() {
		t.Skip("clusters start slowly under the race detector, and others do there what this one does")
	}
	c := startCluster(t, 3)
	lead := func() *testkit.Client { return testkit.Dial(t, c.leader().Addr, 2) }
	conn := lead()
	for i := range 200 {
		conn.MustDo(t, "SET", fmt.Sprint("k", i), strings.Repeat("x", 1000))
	}
	for _, damage := range []struct {
		name string
		do   func(dir string)
	}{
		{"the log of promises is gone", func(dir string) { removeAll(t, filepath.Join(dir, "raftlog")) }},
		{"the data is gone", func(dir string) { removeAll(t, filepath.Join(dir, "store")) }},
		{"the log of promises is damaged", func(dir string) {
			damageFiles(t, filepath.Join(dir, "raftlog"), ".log", func(used int) int { return used / 2 })
		}},
		{"the end of the log of promises is damaged", func(dir string) {
			damageFiles(t, filepath.Join(dir, "raftlog"), ".log", func(used int) int { return used - 1 })
		}},
	} {
		p := c.nodes[2]
		if c.leader() == p {
			mustRun(t, "cluster", "transfer", "--dir", p.dir, "--node", "1")
		}
		conn = lead()
		for i := range 200 {
			conn.MustDo(t, "SET", fmt.Sprint(damage.name, i), strings.Repeat("y", 1000))
		}
		// A read that is not stale: it has them all.
		testkit.Dial(t, p.Addr, 2).MustDo(t, "GET", "k0")
		p.Kill()
		damage.do(p.dir)
		said := serveFails(t, p)
		t.Logf("%s: %s", damage.name, said)
		if join := "elastickv cluster join --dir " + p.dir; !strings.Contains(said, join) {
			t.Errorf("%s: it does not say what to do: %s", damage.name, said)
		}
		conn.MustDo(t, "SET", "without it "+damage.name, "x")

		at := c.leader()
		mustRun(t, "cluster", "remove", "--dir", at.dir, "--node", fmt.Sprint(p.id))
		word := mustRun(t, "cluster", "invite", "--dir", at.dir, "--node", fmt.Sprint(p.id), "--addr", p.addr)
		p.dir = filepath.Join(t.TempDir(), "data")
		mustRun(t, "cluster", "join", "--dir", p.dir, "--invitation", word)
		p.serve()
		c.awaitVote(p)
	}
	c.equal()
}

// serveFails starts a node as it was started before, and returns why it does not start.
func serveFails(t *testing.T, p *peer) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), clusterPatience)
	defer cancel()
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, testkit.Binary(t), append([]string{"serve", "--listen", p.Addr, "--dir", p.dir, "--cluster-listen", p.at}, p.tls...)...)
	cmd.Stdout, cmd.Stderr = &out, &out
	began := time.Now()
	if err := cmd.Run(); err == nil || ctx.Err() != nil {
		t.Fatalf("node %d starts, or ends in good order, after %v: %v\n%s", p.id, time.Since(began), err, out.String())
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	return lines[len(lines)-1]
}

func removeAll(t *testing.T, dir string) {
	t.Helper()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
}

// damageFiles flips a bit in each file of a kind: where of what has been written there.
func damageFiles(t *testing.T, dir, kind string, where func(used int) int) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"+kind))
	if err != nil || len(files) == 0 {
		t.Fatalf("no %s in %s: %v", kind, dir, err)
	}
	damaged := 0
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		used := len(bytes.TrimRight(b, "\x00"))
		if used == 0 {
			continue
		}
		b[where(used)] ^= 1
		damaged++
		if err := os.WriteFile(f, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if damaged == 0 {
		t.Fatalf("nothing is written in the files of %s", dir)
	}
}

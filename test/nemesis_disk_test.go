package test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/elastickv/elastickv/internal/testkit"
)

// diskBytes is how large the disk of the last node is. The engine reserves most of that for itself.
const diskBytes = 512 << 20

// limitDisk puts the data of the last node onto a small disk, if this machine lets us.
func (n *nemesis) limitDisk(p *peer) {
	if p.id != 3 {
		return
	}
	dir, err := mountDisk(n.t, diskBytes)
	if err != nil {
		n.t.Logf("no disk becomes full in this run: %v", err)
		return
	}
	n.disk, p.dir = dir, filepath.Join(dir, "data")
}

// mountDisk returns a folder that is a disk of its own, until t ends.
func mountDisk(t testing.TB, bytes int) (dir string, err error) {
	dir = t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", fmt.Sprint("size=", bytes), "tmpfs", dir).CombinedOutput(); err != nil {
		return "", fmt.Errorf("mount: %w: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount %s: %v: %s", dir, err, out)
		}
	})
	return dir, nil
}

// fillDisk leaves nothing free on the disk that a folder is on, until the file that it returns is removed.
func fillDisk(t testing.TB, dir string) (file string) {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "ballast"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, piece := range []int{1 << 20, 4 << 10} {
		for total := 0; ; total += piece {
			if _, err := f.Write(bytes.Repeat([]byte{1}, piece)); err != nil {
				break
			}
			if total > diskBytes {
				t.Fatalf("%s has no end", dir)
			}
		}
	}
	return f.Name()
}

// A disk becomes full under load. The node ends, in words; the others go on; with room again it starts, and has everything.
func TestClusterFullDisk(t *testing.T) {
	if testing.Short() {
		t.Skip("clusters start slowly under the race detector, and others do there what this one does")
	}
	n := &nemesis{t: t}
	c := startCluster(t, 3, n.limitDisk)
	if n.disk == "" {
		t.Skip("no disk can be made here that becomes full")
	}
	full := c.nodes[2]
	if lead := c.leader(); lead == full {
		mustRun(t, "cluster", "transfer", "--dir", lead.dir, "--node", "1")
	}
	ballast := fillDisk(t, n.disk)
	value := strings.Repeat("x", 1<<20)
	ended := make(chan error, 1)
	go func() { ended <- full.Ended() }()
	written := 0
	conn := testkit.Dial(t, c.leader().Addr, 2)
	// What the engine has reserved is used up first.
	for over := false; !over; {
		select {
		case err := <-ended:
			if err == nil {
				t.Error("the node ends as if nothing had happened")
			}
			over = true
		default:
			if written++; written > 1000 {
				t.Fatal("the disk is never full")
			}
			conn.MustDo(t, "SET", fmt.Sprint("k", written), value)
		}
	}
	if log := full.Log(); !strings.Contains(log, "no space left") {
		t.Errorf("the node does not say why it ends:\n%s", log)
	}
	conn.MustDo(t, "SET", "without it", "x")
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	full.Server = full.Restart(t)
	there := testkit.Dial(t, full.Addr, 2)
	for i := 1; i <= written; i++ {
		if v := there.MustDo(t, "STRLEN", fmt.Sprint("k", i)); v.Int != int64(len(value)) {
			t.Errorf("write %d of %d has %d bytes", i, written, v.Int)
		}
	}
	t.Logf("the node ended after %d MB", written)
	c.equal()
}

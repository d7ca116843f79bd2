package test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/elastickv/elastickv/internal/testkit"
)

// TestBackup backs a server up again and again while clients move money between accounts. Each backup
// holds one moment: all money is there, and what was acknowledged before it began. It is
// restored and served, sealed as it was; the file shows no value, and two of them are as good as one.
func TestBackup(t *testing.T) {
	for _, sealed := range []bool{false, true} {
		t.Run(fmt.Sprintf("sealed=%t", sealed), func(t *testing.T) {
			var extra, open []string
			if sealed {
				kek, _ := newKEK(t)
				extra, open = []string{"--encryption", kek}, []string{"--backup-key", kek}
			}
			dir := t.TempDir()
			s := testkit.Elastickv(t, dir, extra...)
			inShares(t, s, 500, load)
			secrets := hidden(20)
			c := testkit.Dial(t, s.Addr, 2)
			for i, v := range secrets {
				c.MustDo(t, "SET", fmt.Sprintf("hidden:%d", i), v)
			}
			stop := transfers(t, s)
			for round := range 3 {
				c.MustDo(t, "SET", "round", strconv.Itoa(round))
				file := filepath.Join(t.TempDir(), "backup")
				program(t, "backup", "--dir", dir, "--out", file)
				if sealed {
					wantSealed(t, file, secrets)
				}
				told := program(t, append([]string{"restore", "--from", file, "--check"}, open...)...)
				if !strings.Contains(told, "whole and intact") {
					t.Errorf("check: %s", told)
				}
				to := filepath.Join(t.TempDir(), "restored")
				program(t, append([]string{"restore", "--from", file, "--dir", to}, extra...)...)
				restored := testkit.Elastickv(t, to, extra...)
				inShares(t, restored, 500, verify)
				r := testkit.Dial(t, restored.Addr, 2)
				if got := r.MustDo(t, "GET", "round").Str; got != strconv.Itoa(round) {
					t.Errorf("round %d: got %s", round, got)
				}
				wantBalance(t, r)
				r.MustDo(t, "SET", "after", "the restore")
				restored.Kill()
			}
			stop()
		})
	}
}

const (
	accountCount = 8
	accountStart = 1000
)

// transfers moves money between accounts, in transactions, until it is stopped.
func transfers(t *testing.T, s *testkit.Server) (stop func()) {
	t.Helper()
	c := testkit.Dial(t, s.Addr, 2)
	for i := range accountCount {
		c.MustDo(t, "SET", fmt.Sprintf("money:%d", i), strconv.Itoa(accountStart))
	}
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for w := range 4 {
		c := testkit.Dial(t, s.Addr, 2)
		all.Go(func() {
			for i := w; ctx.Err() == nil; i++ {
				for _, cmd := range [][]string{
					{"MULTI"}, {"DECRBY", fmt.Sprintf("money:%d", i%accountCount), "7"},
					{"INCRBY", fmt.Sprintf("money:%d", (i+3)%accountCount), "7"}, {"EXEC"},
				} {
					if _, err := c.Do(cmd...); err != nil {
						t.Errorf("%s: %v", cmd[0], err)
						return
					}
				}
			}
		})
	}
	return func() {
		cancel()
		all.Wait()
	}
}

func wantBalance(t *testing.T, c *testkit.Client) {
	t.Helper()
	sum := 0
	for i := range accountCount {
		n, err := strconv.Atoi(c.MustDo(t, "GET", fmt.Sprintf("money:%d", i)).Str)
		if err != nil {
			t.Fatal(err)
		}
		sum += n
	}
	if sum != accountCount*accountStart {
		t.Errorf("the accounts hold %d, want %d: half of a transfer was restored", sum, accountCount*accountStart)
	}
}

// program runs the binary, which has to succeed, and returns what it has said.
func program(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command(testkit.Binary(t), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%q: %v: %s", args, err, out)
	}
	return string(out)
}

// wantSealed fails if a file shows one of the texts.
func wantSealed(t *testing.T, file string, texts []string) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range texts {
		if strings.Contains(string(content), text) {
			t.Errorf("%s shows %q", file, text)
		}
	}
}

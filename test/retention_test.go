package test

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/elastickv/elastickv/internal/testkit"
)

// TestIdleServerKeepsItsData lets the retention floor catch up with a server that
// nobody writes to: what it holds stays readable, and writable, also after a restart.
func TestIdleServerKeepsItsData(t *testing.T) {
	dir, config := t.TempDir(), filepath.Join(t.TempDir(), "elastickv.conf")
	if err := os.WriteFile(config, []byte("retention 0\nretention-interval 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := testkit.Elastickv(t, dir, "--config", config)
	c := testkit.Dial(t, s.Addr, 2)
	c.MustDo(t, "SET", "k", "old")
	began := time.Now()
	c.MustDo(t, "SET", "k", "v")
	waitForFloor(t, c, began)
	for range 2 {
		if v := c.MustDo(t, "GET", "k"); v.Str != "v" {
			t.Errorf("GET k: %s", v)
		}
		c.MustDo(t, "INCR", "n")
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
		s = testkit.Elastickv(t, dir, "--config", config)
		c = testkit.Dial(t, s.Addr, 2)
	}
	if v := c.MustDo(t, "GET", "n"); v.Str != "2" {
		t.Errorf("GET n: %s, want 2", v)
	}
}

var historyFrom = regexp.MustCompile(`retention_floor_ms:(\d+)`)

// waitForFloor waits until history begins at at or later.
func waitForFloor(t *testing.T, c *testkit.Client, at time.Time) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		m := historyFrom.FindStringSubmatch(c.MustDo(t, "INFO").Str)
		if m == nil {
			t.Fatal("INFO does not say where history begins")
		}
		if ms, err := strconv.ParseInt(m[1], 10, 64); err == nil && ms >= at.UnixMilli() {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("history still begins at %s ms, want %d or later", m[1], at.UnixMilli())
		}
	}
}

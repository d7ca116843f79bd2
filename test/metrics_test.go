package test

import (
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/elastickv/elastickv/internal/testkit"
)

// TestMetrics has the real process count what clients do and what its store does.
func TestMetrics(t *testing.T) {
	config := filepath.Join(t.TempDir(), "elastickv.conf")
	if err := os.WriteFile(config, []byte("retention 0\nretention-interval 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	addr := testkit.FreeAddr(t)
	s := testkit.Elastickv(t, t.TempDir(), "--config", config, "--metrics-listen", addr)
	c := testkit.Dial(t, s.Addr, 2)
	for range 20 {
		c.MustDo(t, "SET", "k", "v")
	}
	c.MustDo(t, "GET", "k")
	c.MustDo(t, "GET", "nosuch")
	if v, err := c.Do("INCR", "k"); err != nil || v.Str == "" {
		t.Fatalf("INCR of a text: %v, %v", v, err)
	}
	waitForFloor(t, c, time.Now().Add(-time.Hour))
	if got := c.MustDo(t, "INFO", "storage").Str; !regexp.MustCompile(`^# Storage\r\nstore_status:ok\r\n`).MatchString(got) {
		t.Errorf("INFO storage: %s", got)
	}
	text := fetch(t, addr, "/metrics", 200)
	for name, least := range map[string]float64{
		`connected_clients`:                       1,
		`connections_total`:                       1,
		`commands_total{command="set"}`:           20,
		`commands_total{command="get"}`:           2,
		`command_failures_total{command="incr"}`:  1,
		`command_duration_seconds_count`:          23,
		`error_replies_total`:                     1,
		`error_replies_by_code_total{code="ERR"}`: 1,
		`keyspace_hits_total`:                     1,
		`keyspace_misses_total`:                   1,
		`key_changes_total`:                       20,
		`received_bytes_total`:                    500,
		`sent_bytes_total`:                        50,
		`store_writable`:                          1,
		`store_last_commit_timestamp_seconds`:     1.7e9,
		`store_retention_floor_timestamp_seconds`: 1.7e9,
		`store_retention_passes_total`:            1,
		`store_retention_versions_dropped_total`:  19,
		`store_retention_seconds_total`:           1e-9,
		`store_disk_bytes`:                        1,
		`store_version_cache_entries`:             1,
		`store_memtables`:                         1,
		`store_wal_files`:                         1,
		`store_wal_sync_duration_seconds_count`:   20,
		`store_block_cache_capacity_bytes`:        128 << 20,
		`build_info`:                              1,
	} {
		if got, ok := figure(text, name); !ok || got < least {
			t.Errorf("%s: %v, %v; want %v or more", name, got, ok, least)
		}
	}
	if got := fetch(t, addr, "/healthz", 200); got != "ok\n" {
		t.Errorf("/healthz: %q", got)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if conn, err := net.Dial("tcp", addr); err == nil {
		conn.Close()
		t.Error("metrics are served although the server has ended")
	}
}

func fetch(t *testing.T, addr, path string, code int) string {
	t.Helper()
	client := http.Client{Timeout: 30 * time.Second}
	r, err := client.Get("http://" + addr + path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != code {
		t.Fatalf("%s: status %d, want %d; %v", path, r.StatusCode, code, err)
	}
	return string(b)
}

// figure returns the value of the metric that begins with name.
func figure(text, name string) (float64, bool) {
	m := regexp.MustCompile(`(?m)^elastickv_` + regexp.QuoteMeta(name) + `.* (\S+)$`).FindStringSubmatch(text)
	if m == nil {
		return 0, false
	}
	f, err := strconv.ParseFloat(m[1], 64)
	return f, err == nil
}

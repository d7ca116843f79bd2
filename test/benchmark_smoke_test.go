package test

import (
	"net"
	"os/exec"
	"strings"
	"testing"

	"github.com/elastickv/elastickv/internal/testkit"
)

// TestBenchmarkSmoke runs all default tests of redis-benchmark. It measures nothing: a
// client that many people try first must find every command it sends.
func TestBenchmarkSmoke(t *testing.T) {
	path := testkit.Tool(t, "redis-benchmark")
	s := testkit.Elastickv(t, t.TempDir())
	host, port, err := net.SplitHostPort(s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	requests := "2000"
	if testing.Short() {
		requests = "200"
	}
	for _, pipeline := range []string{"1", "16"} {
		t.Run("P"+pipeline, func(t *testing.T) {
			out, err := exec.Command(path, "-h", host, "-p", port,
				"-n", requests, "-r", "1000", "-c", "20", "-P", pipeline, "--csv").CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s\nthe server's output:\n%s", err, out, s.Log())
			}
			checkBenchmark(t, string(out))
		})
	}
}

// checkBenchmark wants a line of figures for each test and no word of an error:
// redis-benchmark ends with 0 after some of them.
func checkBenchmark(t *testing.T, out string) {
	t.Helper()
	for _, name := range []string{
		"PING_INLINE", "PING_MBULK", "SET", "GET", "INCR", "LPUSH", "RPUSH", "LPOP", "RPOP", "SADD", "HSET", "SPOP",
		"ZADD", "ZPOPMIN", "LPUSH (needed to benchmark LRANGE)", "LRANGE_100 (first 100 elements)",
		"LRANGE_300 (first 300 elements)", "LRANGE_500 (first 500 elements)", "LRANGE_600 (first 600 elements)",
		"MSET (10 keys)",
	} {
		if !strings.Contains(out, `"`+name+`",`) {
			t.Errorf("no figures for %s", name)
		}
	}
	if strings.Contains(strings.ToLower(out), "err") {
		t.Error("an error was reported")
	}
	if t.Failed() {
		t.Logf("the output of redis-benchmark:\n%s", out)
	}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/elastickv/elastickv/internal/resp"
)

// smokes are the commands with as little to do as they can have, and what their reports have to say.
var smokes = map[string]struct {
	args []string
	says []string
}{
	"redis": {
		[]string{"-n", "200", "-r", "100", "-rounds", "2", "-P", "16", "-t", "set,zpop,lrange_1"},
		[]string{"pipeline 16: medians, redis-server | elastickv", "SET", "ZPOPMIN", "LRANGE_100", "goal: p99 of SET"},
	},
	"mixes": {
		[]string{"-records", "50", "-rounds", "2", "-seconds", "0.02", "-c", "6"},
		[]string{"YCSB A", "YCSB B", "YCSB C", "YCSB D", "YCSB E", "YCSB F", "LMOVE", "half wait", "XREADGROUP", "leaderboard", "rate limiter", "sessions"},
	},
	"memory": {
		[]string{"-limit", "64", "-times", "1", "-rounds", "1", "-seconds", "0.02", "-c", "6"},
		[]string{"engine alone", "uniform, pipeline 16", "zipf, pipeline 1", "goal: zipf"},
	},
	"large": {
		[]string{"-values", "1", "-members", "1500", "-rounds", "1", "-seconds", "0.02", "-c", "6"},
		[]string{"a value of 1 MiB", hsetSmall, zrangeMiddle, "DEL of a hash", "goal: ms of SET over a sorted set"},
	},
	"start": {[]string{"-size", "5", "-rounds", "1"}, []string{"5 MB of data", "goal: MB of the program", "after kill -9 under load", "after SIGTERM"}},
	"scale": {[]string{"-r", "100", "-rounds", "1", "-seconds", "0.02", "-c", "6"}, []string{"SET, pipeline 1, GOMAXPROCS=1", "GET, pipeline 16, GOMAXPROCS=2"}},
	"cluster": {
		[]string{"-r", "100", "-rounds", "1", "-kills", "1", "-seconds", "0.02", "-c", "6"},
		[]string{"etcd: ", "SET, pipeline 1, three nodes", "GET, pipeline 16, one node", "goal: SET, pipeline 16, three nodes, times one node", "kill -9 of the leader, three nodes"},
	},
	"profile": {[]string{"-for", "1s", "-o", os.DevNull}, []string{"1s of all tests and mixes: ", " bytes in " + os.DevNull}},
	"steady":  {[]string{"-for", "1s", "-every", "300ms", "-r", "1000", "-c", "6"}, []string{"writes/s", "longest time without any reply", "goal: longest stall"}},
}

// TestCommands runs every command for a moment. It says nothing of speed.
func TestCommands(t *testing.T) {
	program := built(t)
	for _, c := range commands {
		smoke, known := smokes[c.name]
		if !known {
			t.Errorf("bench %s is never run", c.name)
		}
		t.Run(c.name, func(t *testing.T) {
			for _, tool := range c.tools {
				if _, err := exec.LookPath(tool); err != nil {
					t.Skipf("%s is not installed", tool)
				}
			}
			dir, history := t.TempDir(), filepath.Join(t.TempDir(), "history")
			var report strings.Builder
			if err := run(t.Context(), append([]string{c.name, "-dir", dir, "-history", history, "-server", program}, smoke.args...), &report, io.Discard); err != nil {
				t.Fatal(err)
			}
			for _, want := range append(smoke.says, "command: bench "+c.name+" -server "+program+" "+strings.Join(smoke.args, " ")+"\n", "\ntook ") {
				if !strings.Contains(report.String(), want) {
					t.Errorf("no %q in\n%s", want, report.String())
				}
			}
			wantEmpty(t, dir)
			kept, err := filepath.Glob(filepath.Join(history, c.name+"-*.txt"))
			if err != nil || len(kept) != 1 {
				t.Fatalf("kept: %v, %v", kept, err)
			}
			if text, err := os.ReadFile(kept[0]); err != nil || string(text) != report.String() {
				t.Errorf("what is kept is not what was printed (%v)", err)
			}
		})
	}
}

// built returns our server, built from this tree.
func built(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "elastickv")
	if err := buildOurs(t.Context(), program); err != nil {
		t.Fatal(err)
	}
	return program
}

// wantEmpty fails if something is left in dir.
func wantEmpty(t *testing.T, dir string) {
	t.Helper()
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v (%v)", left, err)
	}
}

// TestInterrupted stops in the middle: no server and no file is left.
func TestInterrupted(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	progress := writerFunc(func(text string) {
		if strings.Contains(text, "pipeline") {
			cancel()
		}
	})
	err := run(ctx, []string{"scale", "-dir", dir, "-server", built(t), "-r", "100", "-seconds", "600"}, io.Discard, progress)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	wantEmpty(t, dir)
}

type writerFunc func(string)

func (f writerFunc) Write(b []byte) (int, error) {
	f(string(b))
	return len(b), nil
}

func TestMissingTool(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	err := run(t.Context(), []string{"mixes"}, io.Discard, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "redis-server is not on the PATH") {
		t.Errorf("got %v", err)
	}
}

func TestFlags(t *testing.T) {
	for _, bad := range []string{
		"", "nosuch", "redis -n 0", "redis -d 0", "redis -P 0", "redis -P 1,x", "redis -rounds 0", "redis extra", "redis -nosuch", "redis -t nosuch",
		"mixes -c 1", "mixes -seconds 0", "mixes -t nosuch", "memory -times 0", "memory -d 2000000", "large -values 0", "large -values 1,300", "large -members -1",
		"start -size 0", "start -d 0", "scale -procs 0", "scale -procs 1,x", "scale -d 0", "steady -for 0s", "steady -P 0", "cluster -r 0", "cluster -kills 0", "cluster -d 2000000", "cluster -c 0",
	} {
		if _, _, _, err := parse(strings.Fields(bad), io.Discard); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
	if got := testsNamed("set,LRANGE"); len(got) != 5 || got[0].name != "SET" {
		t.Errorf("tests by name: got %v", got)
	}
	if got := testsNamed(""); len(got) != len(suite) {
		t.Errorf("without names: got %d tests of %d", len(got), len(suite))
	}
}

func TestLatencies(t *testing.T) {
	var a, b, none latencies
	for i := 1; i <= 1000; i++ {
		a.add(time.Duration(i) * time.Microsecond)
	}
	b.add(time.Hour)
	b.add(-1)
	for share, want := range map[float64]time.Duration{0: 1e3, .5: 500e3, .99: 990e3, 1: 1e6} {
		if got := a.at(share); got < want || float64(got) > 1.016*float64(want)+1 {
			t.Errorf("%v: got %v, want %v or little more", share, got, want)
		}
	}
	if a.merge(&b); a.n != 1002 || a.max != time.Hour || a.at(1) != time.Hour {
		t.Errorf("merged: %d, most %v, %v", a.n, a.max, a.at(1))
	}
	if none.at(.5) != 0 {
		t.Errorf("of none: %v", none.at(.5))
	}
	for d := time.Duration(0); d < 1<<62; d += d/4 + 1 {
		if p := place(d); least(p) > d || least(p+1) <= d {
			t.Fatalf("%d is counted as from %d to below %d", d, least(p), least(p+1))
		}
	}
}

// TestZipf compares with the probabilities that the distribution has.
func TestZipf(t *testing.T) {
	const n, draws = 1000, 200_000
	z, rng := newZipf(n), rand.New(rand.NewPCG(1, 2))
	counts := make([]int, n)
	for range draws {
		counts[z.rank(rng)]++
	}
	for _, upTo := range []int{1, 2, 10, 100, 1000} {
		got, want := 0., 0.
		for i := range upTo {
			got += float64(counts[i]) / draws
			want += 1 / z.zetan / math.Pow(float64(i+1), theta)
		}
		if got < .9*want || got > 1.1*want {
			t.Errorf("the first %d: got %.3f of all, want %.3f", upTo, got, want)
		}
	}
	for _, n := range []int{1, 2, 3} {
		for range 100 {
			if got := newZipf(n).rank(rng); got < 0 || got >= n {
				t.Fatalf("of %d: got %d", n, got)
			}
		}
	}
	seen := make(map[int]bool)
	for i := range n {
		seen[scatter(i, n)] = true
	}
	if len(seen) != n {
		t.Errorf("%d numbers become %d", n, len(seen))
	}
}

// scripted is a client of a peer that answers with text, whatever it is asked.
func scripted(t *testing.T, text string) *client {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		fmt.Fprint(conn, text)
		io.Copy(io.Discard, conn)
	}()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c, err := (&server{port: port}).dial()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.close)
	return c
}

func TestClient(t *testing.T) {
	c := scripted(t, "+OK\r\n:7\r\n-ERR no\r\n*1\r\n")
	c.add("SET", "a", "b")
	c.add("INCR", "c")
	var got []string
	err := c.flush(func(v resp.Value) error {
		got = append(got, v.String())
		return nil
	})
	if want := []string{"OK", "(integer) 7"}; err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
	if _, err := c.do("GET", "a"); err == nil || !strings.Contains(err.Error(), "GET: the server answers ERR no") {
		t.Errorf("an error reply: got %v", err)
	}
	if err := c.allow(100 * time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if _, err := c.do("GET", "a"); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("half a reply: got %v", err)
	}
}

// TestWrongAnswers has operations meet servers whose data are not what they should be.
func TestWrongAnswers(t *testing.T) {
	o := &mixesCommand{records: 10}
	users, limiter, list, stream := ycsb(o), rateLimiter(o), listQueue(o), streamQueue(o)
	for name, c := range map[string]struct {
		op    operation
		reply string
	}{
		"read":    {users.mixes[2].op, "*0\r\n"},
		"limiter": {limiter.mixes[0].op, ":0\r\n"},
		"list":    {list.mixes[0].op, ":1\r\n$-1\r\n"},
		"stream":  {stream.mixes[0].op, "$1\r\nx\r\n*-1\r\n"},
		"memory":  {(&memoryCommand{size: 3}).get(func(*rand.Rand) int { return 0 }, 1), "$-1\r\n"},
	} {
		w := &worker{client: scripted(t, c.reply), rng: rand.New(rand.NewPCG(1, 1))}
		if err := c.op(w); err == nil || !strings.Contains(err.Error(), "is not the one that the data has") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

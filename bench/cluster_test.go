package main

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestClusterPrint(t *testing.T) {
	r := newResults("cluster", oneNode, threeNodes)
	for name, n := range map[string]float64{oneNode: 100, threeNodes: 50, etcdServer: 20} {
		r.add("SET, pipeline 1", name, sample{rps: n})
		if name != etcdServer {
			r.add("GET, pipeline 1", name, sample{rps: n / 2})
		}
	}
	var b strings.Builder
	o := &clusterCommand{pace: pace{clients: 6, rounds: 1}}
	o.print(&lab{report: &b}, r, map[string][]float64{threeNodes: {1, 4, 2}})
	var lines []string
	for line := range strings.Lines(b.String()) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	got := strings.Join(lines, "\n")
	for _, want := range []string{
		"50 0.50 2.50 0.000 0.000 0.0 SET, pipeline 1, three nodes",
		"20 0.20 1.00 0.000 0.000 0.0 SET, pipeline 1, etcd",
		"25 0.50 - 0.000 0.000 0.0 GET, pipeline 1, three nodes",
		"goal: SET, pipeline 1, three nodes, times one node >= 0.4 is 0.50 met",
		"goal: SET, pipeline 1, three nodes, times etcd >= 1 is 2.50 met",
		"three nodes: [1.00 4.00 2.00]",
		"goal: seconds without an acknowledged write, median <= 3 is 2.00 met",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if strings.Contains(got, "GET, pipeline 1, three nodes, times etcd") {
		t.Errorf("a goal of what was not measured in\n%s", got)
	}
}

func TestVoters(t *testing.T) {
	for text, want := range map[string]int{
		`{"members":[{"voter":true,"node":1},{"voter":false},{"voter":true}]}`: 2,
		`{}`: 0, `no answer`: 0,
	} {
		if got := votersIn(text); got != want {
			t.Errorf("%s: got %d, want %d", text, got, want)
		}
	}
}

func TestParseLoad(t *testing.T) {
	took, elapsed, err := parseLoad([]byte(`{"elapsed":2000000000,"took":[5,7]}`))
	if err != nil || elapsed != 2*time.Second || took.n != 2 || took.max != 7 {
		t.Errorf("got %d of %v in %v, %v", took.n, took.max, elapsed, err)
	}
	for _, bad := range []string{"", "{}", `{"elapsed":1,"took":[]}`, `{"elapsed":0,"took":[1]}`} {
		if _, _, err := parseLoad([]byte(bad)); err == nil {
			t.Errorf("%q is taken for a report", bad)
		}
	}
}

// TestAskEtcd has a server in the place of a member.
func TestAskEtcd(t *testing.T) {
	var put string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/metrics":
			w.Write([]byte("# TYPE etcd_server_is_leader gauge\netcd_server_is_leader 1\n"))
		case "/v3/kv/put":
			b := make([]byte, 100)
			n, _ := r.Body.Read(b)
			put = string(b[:n])
		default:
			http.Error(w, "unhealthy", http.StatusServiceUnavailable)
		}
	}))
	defer s.Close()
	_, port, _ := strings.Cut(strings.TrimPrefix(s.URL, "http://"), ":")
	m := &member{port: port}
	if !leadsEtcd(m) {
		t.Error("a leader is not known as one")
	}
	if healthyEtcd(port) {
		t.Error("503 is taken for health")
	}
	if err := putEtcd(t.Context(), m); err != nil || put != `{"key":"cHJvYmU=","value":"cHJvYmU="}` {
		t.Errorf("put: got %q, %v", put, err)
	}
}

// TestFailover has programs that only wait in the place of members, and the second one take the first one's place.
func TestFailover(t *testing.T) {
	wait := contestant{name: "waits", program: "sleep", args: func(string, string) []string { return []string{"60"} }, ready: func(string) bool { return true }}
	fake := &trio{name: "waiting", members: []*member{{contestant: wait}, {contestant: wait}}}
	defer fake.kill()
	for _, m := range fake.members {
		if err := m.launch(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	first, second := fake.members[0], fake.members[1]
	fake.leads = func(m *member) bool { return m == first }
	asked := 0
	fake.put = func(_ context.Context, m *member) error {
		if m == second {
			asked++
		}
		if m == first && m.server != nil || asked > 2 {
			return nil
		}
		return errors.New("no leader")
	}
	before := first.server
	took, err := fake.failover(t.Context())
	if err != nil || took <= 0 || asked != 3 {
		t.Errorf("got %v, %v after %d attempts", took, err, asked)
	}
	if first.server == nil || first.server == before {
		t.Error("the member that was killed has not come back")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	fake.leads = func(*member) bool { return false }
	if _, err := fake.failover(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("without a leader: got %v", err)
	}
}

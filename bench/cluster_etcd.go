package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// startEtcd starts an etcd of three members, each with its settings as they are by default.
func (o *clusterCommand) startEtcd(ctx context.Context, l *lab) (*trio, error) {
	t := &trio{name: etcdServer, leads: leadsEtcd, put: putEtcd}
	var ports, peers []string
	var initial []string
	for id := range 3 {
		port, err := freePort()
		if err != nil {
			return nil, err
		}
		peer, err := freePort()
		if err != nil {
			return nil, err
		}
		ports, peers = append(ports, port), append(peers, "http://127.0.0.1:"+peer)
		initial = append(initial, fmt.Sprintf("m%d=%s", id, peers[id]))
	}
	for id := range 3 {
		dir, err := l.emptyFolder(fmt.Sprint("etcd-", id))
		if err != nil {
			return nil, err
		}
		args := func(port, data string) []string {
			clients := "http://127.0.0.1:" + port
			return []string{"--name", fmt.Sprint("m", id), "--data-dir", data, "--listen-client-urls", clients, "--advertise-client-urls", clients,
				"--listen-peer-urls", peers[id], "--initial-advertise-peer-urls", peers[id], "--initial-cluster", strings.Join(initial, ",")}
		}
		t.members = append(t.members, &member{contestant: contestant{name: etcdServer, program: o.etcd, args: args, ready: healthyEtcd}, port: ports[id], data: dir})
	}
	for _, m := range t.members {
		if err := m.launch(ctx); err != nil {
			t.kill()
			return nil, err
		}
	}
	for _, m := range t.members {
		if err := m.wait(ctx); err != nil {
			t.kill()
			return nil, m.failed(err)
		}
	}
	return t, nil
}

// askEtcd asks a member something by HTTP within a moment, and returns what it answers.
func askEtcd(ctx context.Context, port, path, body string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	method := http.MethodGet
	if body != "" {
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://127.0.0.1:"+port+path, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	r, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err == nil && r.StatusCode != http.StatusOK {
		err = fmt.Errorf("etcd answers %s: %s", r.Status, text)
	}
	return string(text), err
}

// healthyEtcd reports whether a member reads with the leader's leave.
func healthyEtcd(port string) bool {
	_, err := askEtcd(context.Background(), port, "/health", "")
	return err == nil
}

func leadsEtcd(m *member) bool {
	text, err := askEtcd(context.Background(), m.port, "/metrics", "")
	return err == nil && numberAfter(text, "etcd_server_is_leader ") == 1
}

// putEtcd writes by way of a member, which passes it on to the leader.
func putEtcd(ctx context.Context, m *member) error {
	word := base64.StdEncoding.EncodeToString([]byte("probe"))
	_, err := askEtcd(ctx, m.port, "/v3/kv/put", fmt.Sprintf(`{"key":%q,"value":%q}`, word, word))
	return err
}

// etcdLoad is the program that has an etcd do the same as our workers have ours do.
type etcdLoad struct {
	program string
	common  []string
}

func newEtcdLoad(ctx context.Context, l *lab, o *clusterCommand) (*etcdLoad, error) {
	dir, err := exec.CommandContext(ctx, "go", "list", "-f", "{{.Dir}}", "github.com/elastickv/elastickv/bench").Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	e := &etcdLoad{program: filepath.Join(l.dir, "etcd-load"), common: []string{"-c", fmt.Sprint(o.clients),
		"-r", fmt.Sprint(o.keys), "-d", fmt.Sprint(o.size), "-seconds", fmt.Sprint(o.seconds)}}
	folder := filepath.Join(strings.TrimSpace(string(dir)), "etcd")
	if out, err := exec.CommandContext(ctx, "go", "build", "-C", folder, "-o", e.program, ".").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build -C bench/etcd: %w\n%s", err, out)
	}
	return e, nil
}

// call has the program do one thing and returns what it prints.
func (e *etcdLoad) call(ctx context.Context, s *server, args ...string) ([]byte, error) {
	args = append(append([]string{"-endpoint", "http://127.0.0.1:" + s.port}, e.common...), args...)
	cmd := exec.CommandContext(ctx, e.program, args...)
	var faults bytes.Buffer
	cmd.Stderr = &faults
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("clients of etcd: %w\n%s", err, faults.Bytes())
	}
	return out, err
}

func (e *etcdLoad) fill(ctx context.Context, s *server) error {
	_, err := e.call(ctx, s, "-op", "fill")
	return err
}

// take has the clients work. What etcd uses until they are connected is theirs, too.
func (e *etcdLoad) take(ctx context.Context, s *server, command string, depth int, seed uint64) (sample, error) {
	op := map[string]string{"SET": "put", "GET": "get"}[command]
	s.beginPeak()
	before := s.usage()
	out, err := e.call(ctx, s, "-op", op, "-P", fmt.Sprint(depth), "-seed", fmt.Sprint(seed))
	if err != nil {
		return sample{}, err
	}
	took, elapsed, err := parseLoad(out)
	if err != nil {
		return sample{}, err
	}
	return newSample([]latencies{took}, depth, elapsed, s.usage().since(before))
}

// parseLoad reads what the program prints.
func parseLoad(text []byte) (took latencies, elapsed time.Duration, err error) {
	var report struct {
		Elapsed time.Duration   `json:"elapsed"`
		Took    []time.Duration `json:"took"`
	}
	if err := json.Unmarshal(text, &report); err != nil {
		return took, 0, fmt.Errorf("clients of etcd: %w", err)
	}
	if report.Elapsed <= 0 || len(report.Took) == 0 {
		return took, 0, fmt.Errorf("clients of etcd: no operation has come to its end")
	}
	for _, d := range report.Took {
		took.add(d)
	}
	return took, report.Elapsed, nil
}

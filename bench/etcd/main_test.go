package main

import (
	"encoding/json"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func TestFlags(t *testing.T) {
	for _, bad := range []string{"", "-endpoint x -op nosuch", "-endpoint x -c 0", "-endpoint x -P 129", "-endpoint x -seconds 0", "-endpoint x more", "-nosuch"} {
		if _, err := parse(strings.Fields(bad)); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

// TestLoad has a real etcd do everything for a moment. It says nothing of speed.
func TestLoad(t *testing.T) {
	program, err := exec.LookPath("etcd")
	if err != nil {
		t.Skip("etcd is not installed")
	}
	endpoint := start(t, program)
	common := []string{"-endpoint", endpoint, "-r", "300", "-c", "7", "-share", "3", "-seconds", "0.02"}
	if err := run(t.Context(), append(common, "-op", "get"), io.Discard); err == nil || !strings.Contains(err.Error(), "has no value") {
		t.Errorf("gets of what is not there: got %v", err)
	}
	for _, args := range []string{"-op fill", "-op get", "-op get -P 16", "-op put", "-op put -P 16"} {
		var out strings.Builder
		if err := run(t.Context(), append(common, strings.Fields(args)...), &out); err != nil {
			t.Fatalf("%s: %v", args, err)
		}
		if args == "-op fill" {
			continue
		}
		var r Report
		if err := json.Unmarshal([]byte(out.String()), &r); err != nil || r.Elapsed <= 0 || len(r.Took) < 7 {
			t.Errorf("%s: got %d operations in %d ns (%v)", args, len(r.Took), r.Elapsed, err)
		}
	}
}

// start starts an etcd of one member, which ends with the test, and returns where it is.
func start(t *testing.T, program string) string {
	t.Helper()
	client, peer := freeURL(t), freeURL(t)
	cmd := exec.CommandContext(t.Context(), program, "--data-dir", t.TempDir(), "--listen-client-urls", client, "--advertise-client-urls", client,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "default="+peer)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for deadline := time.Now().Add(time.Minute); ; {
		conn, err := net.Dial("tcp", strings.TrimPrefix(client, "http://"))
		if err == nil {
			conn.Close()
			return client
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

func freeURL(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "http://" + l.Addr().String()
}

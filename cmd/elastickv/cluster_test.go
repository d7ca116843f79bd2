package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/elastickv/elastickv/encryption/keys"
)

// lineOf returns the line of a text that begins like this, or "".
func lineOf(text, begin string) string {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, begin) {
			return line
		}
	}
	return ""
}

// Folders become nodes, once, and what is wrong is said in one line before anything is touched.
func TestClusterFolders(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	code, out, err := call(nil, "cluster", "init", "--dir", at("first"), "--node", "1", "--addr", "localhost:7101")
	if code != 0 || !strings.HasPrefix(out, "node 1 is the first of cluster ") {
		t.Fatalf("init: %d %q %q", code, out, err)
	}
	const word = "elastickv-1-eyJmb3JtYXQiOjEsImNsdXN0ZXIiOiIwMTAyMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDBmZiIsIm5vZGUiOjMsInJlcGxpY2EiOjR9"
	if code, out, err := call(nil, "cluster", "join", "--dir", at("third"), "--invitation", word); code != 0 || !strings.HasPrefix(out, "node 3 of cluster ") {
		t.Fatalf("join: %d %q %q", code, out, err)
	}
	for name, text := range map[string]string{"sealed/" + keys.FileName: "{}", "foreign/thesis.tex": "x", "garbled/cluster.json": "{}"} {
		if err := os.MkdirAll(filepath.Dir(at(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	files := []string{"--cluster-cert-file", "c", "--cluster-key-file", "k", "--cluster-ca-file", "a"}
	serve := func(folder string, flags ...string) []string {
		return append([]string{"serve", "--listen", "127.0.0.1:0", "--dir", at(folder)}, flags...)
	}
	cluster := func(folder string, args ...string) []string {
		return append([]string{"cluster", args[0], "--dir", at(folder)}, args[1:]...)
	}
	for _, tc := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"a node alone", serve("first"), 2, "it is that of a node of a cluster"},
		{"no node in a cluster", serve("fresh", append(files, "--cluster-listen", "127.0.0.1:0")...), 2, "is in no cluster"},
		{"neither certificates nor trust", serve("first", "--cluster-listen", "127.0.0.1:0"), 2, "nodes know each other by certificates"},
		{"not all certificates", serve("first", "--cluster-listen", "127.0.0.1:0", "--cluster-ca-file", "x"), 2, "nodes know each other by certificates"},
		{"certificates and trust", serve("first", append(files, "--cluster-listen", "127.0.0.1:0", "--cluster-insecure", "yes")...), 2, "exclude each other"},
		{"certificates that are not there", serve("first", append(files, "--cluster-listen", "127.0.0.1:0")...), 1, "cluster: certificate: open c: no such file"},
		{"certificates for nothing", serve("fresh", files...), 2, "--cluster-listen says where"},
		{"no address", serve("first", "--cluster-insecure", "yes", "--cluster-listen", "x"), 2, "argument must be HOST:PORT"},
		{"sealed", serve("first", "--cluster-insecure", "yes", "--cluster-listen", "127.0.0.1:0", "--encryption", "file:x"), 1, "no key encryption key"},
		{"garbled", serve("garbled", "--cluster-insecure", "yes", "--cluster-listen", "127.0.0.1:0"), 2, "cluster.json: malformed, or of a later release"},

		{"init again", cluster("first", "init", "--node", "1", "--addr", "localhost:7101"), 1, "in a cluster already"},
		{"init nobody", cluster("fresh", "init", "--node", "0", "--addr", "localhost:7101"), 1, "numbers from 1"},
		{"init nowhere", cluster("fresh2", "init", "--node", "1", "--addr", ":7101"), 1, "other nodes need a host"},
		{"init without a node", cluster("fresh", "init", "--addr", "localhost:7101"), 2, "cluster init needs --node"},
		{"init with a word", cluster("fresh", "init", "--node", "1", "--addr", "localhost:7101", "--invitation", word), 2, "--invitation is not for cluster init"},
		{"init what is sealed", cluster("sealed", "init", "--node", "1", "--addr", "localhost:7101"), 1, "start with --encryption"},
		{"init what has damaged keys", cluster("sealed", "init", "--node", "1", "--addr", "localhost:7101", "--encryption", "file:x"), 1, "keys.json is damaged"},
		{"init without the key that is named", cluster("fresh4", "init", "--node", "1", "--addr", "localhost:7101", "--encryption", "file:x"), 1, "no key encryption key"},
		{"init with nonsense for a key", cluster("fresh3", "init", "--node", "1", "--addr", "localhost:7101", "--encryption", "x"), 1, "argument must be off"},
		{"join with a key", cluster("fresh", "join", "--invitation", word, "--encryption", "file:x"), 2, "--encryption is not for cluster join"},
		{"init what is foreign", cluster("foreign", "init", "--node", "1", "--addr", "localhost:7101"), 1, "not a data folder"},
		{"join again", cluster("third", "join", "--invitation", word), 1, "in a cluster already"},
		{"join with data", cluster("first", "join", "--invitation", word), 1, "it has data"},
		{"join what is foreign", cluster("foreign", "join", "--invitation", word), 1, "not a data folder"},
		{"join by half a word", cluster("fresh", "join", "--invitation", word[:40]), 1, "the invitation is malformed"},
		{"join by no word", cluster("fresh", "join", "--invitation", "x"), 1, "no invitation"},
		{"ask nobody", cluster("first", "status"), 1, "no server runs on this data folder"},
		{"an unknown command", []string{"cluster", "explode"}, 2, `unknown command "explode"`},
		{"an argument too many", cluster("first", "status", "x"), 2, `unexpected argument "x"`},
		{"no command", []string{"cluster"}, 2, "Usage:"},
	} {
		code, out, err := call(nil, tc.args...)
		if code != tc.code || out != "" || !strings.Contains(err, tc.want) || tc.want != "Usage:" && strings.Count(err, "\n") != 1+strings.Count(lineOf(err, "time="), "\n") {
			t.Errorf("%s: got %d %q %q, want %d and %q", tc.name, code, out, err, tc.code, tc.want)
		}
	}
	for _, name := range []string{"fresh", "third/store"} {
		if _, err := os.Stat(at(name)); err == nil {
			t.Errorf("%s was made", name)
		}
	}
	for _, args := range [][]string{{"cluster", "--help"}, {"cluster", "status", "--help"}} {
		if code, out, err := call(nil, args...); code != 0 || !strings.Contains(out, "--lost-majority") || err != "" {
			t.Errorf("%q: %d %q %q", args, code, out, err)
		}
	}
	if code, _, err := call(nil, cluster("first", "init", "--node", "7", "--addr", "localhost:7101", "--lost-majority")...); code != 0 {
		t.Errorf("a new cluster of an old one: %d %q", code, err)
	}
}

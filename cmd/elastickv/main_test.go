package main

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/elastickv/elastickv/store"
)

// call runs the program within the test.
func call(env map[string]string, args ...string) (code int, out, err string) {
	var o, e bytes.Buffer
	code = run(args, func(name string) (string, bool) { v, ok := env[name]; return v, ok }, stdio{&o, &e})
	return code, o.String(), e.String()
}

func TestHelpAndVersion(t *testing.T) {
	for _, tc := range []struct {
		args []string
		code int
		out  string // in the output
		err  string // in what goes to stderr
	}{
		{[]string{"--help"}, 0, "elastickv serve", ""},
		{[]string{"help"}, 0, "elastickv serve", ""},
		{[]string{"serve", "--help"}, 0, "--listen HOST:PORT", ""},
		{[]string{"serve", "--help"}, 0, "--metrics-listen HOST:PORT", ""},
		{[]string{"serve", "-h"}, 0, "ELASTICKV_REQUIREPASS", ""},
		{[]string{"version"}, 0, "elastickv ", ""},
		{nil, 2, "", "Usage:"},
		{[]string{"nosuch"}, 2, "", `unknown command "nosuch"`},
		{[]string{"version", "x"}, 2, "", "no arguments"},
	} {
		code, out, err := call(nil, tc.args...)
		if code != tc.code || !strings.Contains(out, tc.out) || !strings.Contains(err, tc.err) || tc.err == "" && err != "" {
			t.Errorf("%q: got %d %q %q", tc.args, code, out, err)
		}
	}
}

// Whatever is wrong is said in one line, and nothing is left behind.
func TestFaultsAreOneLineAndTouchNothing(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	conf := file("bad.conf", "port 7000\nmaxclients many\n")
	plain := file("plain.conf", "port 7000\n")
	foreign := filepath.Dir(file("foreign/thesis.tex", "x"))
	foreignStore := filepath.Dir(filepath.Dir(file("fs/store/thesis.tex", "x")))
	damaged := filepath.Dir(filepath.Dir(file("damaged/store/STORE", "elastickv store\nformat x\n")))
	locked := filepath.Join(dir, "locked")
	s, err := store.NewPebbleStore(filepath.Join(locked, storeFolder))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()

	fresh := filepath.Join(dir, "fresh")
	for _, tc := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"unknown flag", []string{"--nosuch"}, 2, "flag provided but not defined: -nosuch"},
		{"argument", []string{"x"}, 2, `unexpected argument "x"`},
		{"no port", []string{"--listen", "localhost"}, 2, "--listen localhost: the address has to be HOST:PORT"},
		{"bad port", []string{"--listen", ":99999"}, 2, "--listen :99999: the port has to be"},
		{"two hosts", []string{"--listen", "127.0.0.1:0", "--tls-listen", ":0"}, 2, "--tls-listen :0: the host has to be that of --listen"},
		{"a plain port in the open", []string{"--config", plain, "--tls-listen", ":0"}, 2, "--tls-listen :0: plain clients, to whom the file of --config gives port 7000, would get in at that host, too"},
		{"no TLS port", []string{"--tls-listen", "localhost"}, 2, "--tls-listen localhost: the address has to be HOST:PORT"},
		{"bad certificates", []string{"--tls-auth-clients", "maybe"}, 2, "--tls-auth-clients maybe: argument(s) must be one of"},
		{"no certificate", []string{"--tls-listen", "127.0.0.1:0"}, 1, "tls-cert-file and tls-key-file have to name"},
		{"missing certificate", []string{"--tls-listen", "127.0.0.1:0", "--tls-cert-file", conf + "x", "--tls-key-file", conf, "--tls-auth-clients", "no"}, 1, "tls-cert-file: open " + conf + "x: no such file"},
		{"no metrics port", []string{"--metrics-listen", "localhost"}, 2, "--metrics-listen localhost: argument must be HOST:PORT"},
		{"bad metrics port", []string{"--metrics-listen", ":-1"}, 2, "--metrics-listen :-1: argument must be HOST:PORT"},
		{"metrics port in use", []string{"--listen", "127.0.0.1:0", "--metrics-listen", busy.Addr().String()}, 1, "metrics: listen tcp " + busy.Addr().String() + ": bind: address already in use"},
		{"profiles nowhere", []string{"--profiling", "yes"}, 2, "profiling yes: --metrics-listen has to say where"},
		{"bad number", []string{"--maxclients", "0"}, 2, "--maxclients 0: argument must be between 1"},
		{"two faults", []string{"--maxclients", "0", "--memory-limit", "x"}, 2, "inclusive; --memory-limit x: argument must be a memory value"},
		{"too little memory", []string{"--memory-limit", "63mb"}, 2, "--memory-limit 63mb: argument must be 0, or at least 67108864"},
		{"bad level", []string{"--log-level", "loud"}, 2, "must be one of the following: debug"},
		{"configuration", []string{"--config", conf}, 2, "bad.conf: line 2: maxclients: argument couldn't be parsed"},
		{"no configuration", []string{"--config", conf + "x"}, 2, "no such file"},
		{"port in use", []string{"--listen", busy.Addr().String()}, 1, "address already in use"},
		{"foreign folder", []string{"--dir", foreign, "--listen", "127.0.0.1:0"}, 1, "thesis.tex"},
		{"foreign store", []string{"--dir", foreignStore, "--listen", "127.0.0.1:0"}, 1, foreignStore},
		{"damaged folder", []string{"--dir", damaged, "--listen", "127.0.0.1:0"}, 1, damaged},
		{"locked folder", []string{"--dir", locked, "--listen", "127.0.0.1:0"}, 1, locked},
		{"a file for a folder", []string{"--dir", conf, "--listen", "127.0.0.1:0"}, 1, "bad.conf"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before := listing(t, dir)
			args := tc.args
			if tc.code == 2 || strings.HasSuffix(tc.name, "port in use") || strings.HasSuffix(tc.name, "certificate") {
				args = append([]string{"--dir", fresh}, args...)
			}
			code, out, text := call(nil, append([]string{"serve"}, args...)...)
			if code != tc.code || out != "" || !strings.Contains(text, tc.want) {
				t.Errorf("got %d %q, want %d and %q", code, text, tc.code, tc.want)
			}
			if strings.Count(text, "\n") != 1 || !strings.HasPrefix(text, "elastickv: ") {
				t.Errorf("not one line: %q", text)
			}
			if after := listing(t, dir); after != before {
				t.Errorf("files before:\n%s\nafter:\n%s", before, after)
			}
		})
	}
}

// listing names every file under dir with its size.
func listing(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && !d.IsDir() {
			b.WriteString(path + " " + info.ModTime().String() + "\n")
		} else if err == nil {
			b.WriteString(path + "\n")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Flags win over the environment, which wins over the file.
func TestPrecedence(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.conf")
	if err := os.WriteFile(path, []byte("port 7000\nmaxclients 7\nrequirepass file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := func(name string) (string, bool) {
		return "environment", name == passwordVariable
	}
	cfg, err := parseServe([]string{"--config", path, "--maxclients", "8", "--listen", ":7001"}, env)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"port": "7001", "bind": "* -::*", "maxclients": "8", "requirepass": "environment", "dir": "./data",
		"metrics-listen": "",
	} {
		if got := cfg.Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

// TLS alone, unless somebody says where else.
func TestWhereToListen(t *testing.T) {
	dir := t.TempDir()
	file := func(text string) string {
		path := filepath.Join(dir, strings.ReplaceAll(text, " ", "_"))
		if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, tc := range []struct {
		args            []string
		bind, port, tls string
	}{
		{nil, "127.0.0.1", "6379", "0"},
		{[]string{"--tls-listen", ":7000"}, "* -::*", "0", "7000"},
		{[]string{"--tls-listen", "10.0.0.1:7000", "--listen", "10.0.0.1:7001"}, "10.0.0.1", "7001", "7000"},
		{[]string{"--tls-listen", "127.0.0.1:7000", "--config", file("port 7001")}, "127.0.0.1", "7001", "7000"},
		{[]string{"--tls-listen", "127.0.0.1:7000", "--config", file("timeout 7")}, "127.0.0.1", "0", "7000"},
		{[]string{"--listen", "127.0.0.1:7001", "--config", file("tls-port 7000")}, "127.0.0.1", "7001", "7000"},
		{[]string{"--config", file("port 0")}, "127.0.0.1", "0", "0"},
	} {
		cfg, err := parseServe(tc.args, func(string) (string, bool) { return "", false })
		if err != nil {
			t.Fatal(err)
		}
		if bind, port, tls := cfg.Get("bind"), cfg.Get("port"), cfg.Get("tls-port"); bind != tc.bind || port != tc.port || tls != tc.tls {
			t.Errorf("%q: got %q, port %s, tls-port %s", tc.args, bind, port, tls)
		}
	}
}

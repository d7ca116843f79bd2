package server

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "elastickv.conf")
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestConfigFile(t *testing.T) {
	c := NewConfig()
	err := c.ReadFile(write(t, `# comment
port 7000
  bind   127.0.0.1   -::1
MAXCLIENTS 17
requirepass "with \"quotes\" and \x00"
client-output-buffer-limit normal 1mb 512kb 10
client-output-buffer-limit pubsub 2mb 1mb 20
save ""
save 900 1
save 60 0 10 5
hash-max-ziplist-entries 3
`))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"port": "7000", "bind": "127.0.0.1 -::1", "maxclients": "17", "requirepass": "with \"quotes\" and \x00",
		"client-output-buffer-limit": "normal 1048576 524288 10 slave 268435456 67108864 60 pubsub 2097152 1048576 20",
		"save":                       "900 1 60 0 10 5", "hash-max-listpack-entries": "3", "timeout": "0",
	} {
		if got := c.Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	want := []endpoint{{host: "127.0.0.1", port: 7000}, {host: "::1", port: 7000, optional: true}}
	if got := c.endpoints(); !slices.Equal(got, want) {
		t.Errorf("endpoints: got %v, want %v", got, want)
	}
}

func TestConfigFileFaultsNameTheLine(t *testing.T) {
	for text, want := range map[string]string{
		"port 1\nport x\n":                 "line 2: port: argument couldn't be parsed into an integer",
		"\n\nnosuch 1\n":                   "line 3: nosuch: unknown setting",
		"port\n":                           "line 1: port has no value",
		"port 70000\n":                     "line 1: port: argument must be between 0 and 65535 inclusive",
		"requirepass \"abc\n":              "line 1: unbalanced quotes",
		"dir 'abc\n":                       "line 1: unbalanced quotes",
		"bind a:b\n":                       "line 1: bind: argument must be one or more addresses",
		"bind" + strings.Repeat(" x", 17):  "line 1: bind: Too many bind addresses specified.",
		"unixsocketperm 800\n":             "line 1: unixsocketperm: argument couldn't be parsed as an octal number",
		"tls-protocols TLSv1.1\n":          "line 1: tls-protocols: argument must be TLSv1.2, TLSv1.3 or both",
		"tls-ciphers HIGH:!aNULL\n":        "line 1: tls-ciphers: argument must be names of cipher suites",
		"tls-ciphersuites X\n":             "line 1: tls-ciphersuites: the cipher suites of TLS 1.3 cannot be chosen",
		"tls-key-file-pass secret\n":       "line 1: tls-key-file-pass: keys under a password are not supported",
		"tls-auth-clients maybe\n":         "line 1: tls-auth-clients: argument(s) must be one of the following",
		"appendonly maybe\n":               "line 1: appendonly: argument(s) must be one of the following: yes, no",
		"save 60\n":                        "line 1: save: Invalid save parameters",
		"active-expire-effort 11\n":        "line 1: active-expire-effort: argument must be between 1 and 10 inclusive",
		"memory-limit lots\n":              "line 1: memory-limit: argument must be a memory value",
		"x " + strings.Repeat("x", 70_000): "line 1: longer than 65536 bytes",
	} {
		path := write(t, text)
		err := NewConfig().ReadFile(path)
		if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.30q: got %v, want %s", text, err, want)
		}
	}
	if err := NewConfig().ReadFile(filepath.Join(t.TempDir(), "nosuch")); err == nil {
		t.Error("a file that is not there was read")
	}
}

func TestConfigRewrite(t *testing.T) {
	path := write(t, "# mine\nport 7000\n\ntimeout 5\ntimeout 6\nhash-max-ziplist-entries 3\n")
	c := NewConfig()
	if err := c.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"timeout": "7", "requirepass": "a b\n", "maxclients": "9"} {
		if err := c.Set(name, value); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.rewriteFile(); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := "# mine\nport 7000\n\ntimeout 7\nhash-max-listpack-entries 3\nrequirepass \"a b\\n\"\nmaxclients 9\n"
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o640 {
		t.Errorf("mode: got %v (%v), want 0640", st.Mode(), err)
	}
	again := NewConfig()
	if err := again.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	for i := range settings {
		if name := settings[i].name; again.Get(name) != c.Get(name) {
			t.Errorf("%s: got %q after a rewrite, want %q", name, again.Get(name), c.Get(name))
		}
	}
}

// Every setting takes back what it shows.
func TestSettingsRoundTrip(t *testing.T) {
	c := NewConfig()
	names := make(map[string]bool)
	for _, s := range settings {
		for _, name := range []string{s.name, s.alias} {
			if names[name] && name != "" {
				t.Errorf("two settings named %s", name)
			}
			names[name] = true
		}
		value := c.Get(s.name)
		if err := c.Set(s.name, value); err != nil {
			t.Errorf("%s %q: %v", s.name, value, err)
		}
		if got := c.Get(s.name); got != value {
			t.Errorf("%s: got %q back, want %q", s.name, got, value)
		}
	}
}

func TestCloneSharesNothing(t *testing.T) {
	c := NewConfig()
	d := c.clone()
	for name, value := range map[string]string{
		"timeout": "7", "client-output-buffer-limit": "normal 1 1 1", "hash-max-listpack-entries": "1",
	} {
		before := c.Get(name)
		if err := d.Set(name, value); err != nil {
			t.Fatal(err)
		}
		if got := c.Get(name); got != before {
			t.Errorf("%s: a change of the copy has reached the original: %q", name, got)
		}
	}
	if len(c.given) != 0 {
		t.Error("the original counts what the copy was given")
	}
}

func TestParseMemory(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "1": 1, "1k": 1000, "1kb": 1024, "2MB": 2 << 20, "3g": 3e9, "4gb": 4 << 30, "5b": 5,
		"": -1, "x": -1, "-1": -1, "1tb": -1, "kb": -1, "1.5mb": -1, "9223372036854775807gb": -1, "1bb": -1,
	} {
		got, ok := parseMemory(text)
		if !ok {
			got = -1
		}
		if got != want {
			t.Errorf("%q: got %d, want %d", text, got, want)
		}
	}
}

// A file that makes users and says nothing of the default one leaves it its password.
func TestUsersBesidePassword(t *testing.T) {
	c := NewConfig()
	if err := c.read(strings.NewReader("requirepass s3cret\nuser alice on >p ~* +@all\n")); err != nil {
		t.Fatal(err)
	}
	users, err := LoadUsers(c)
	if err != nil {
		t.Fatal(err)
	}
	d := users.Get("default")
	if d.NeedsNoPassword() || d.Accepts("x") || !d.Accepts("s3cret") {
		t.Errorf("the default user is %s, want it to have the password", d.Rules())
	}
	if !users.Get("alice").Accepts("p") {
		t.Error("alice cannot log in")
	}
}

// TestIdleSettings: what only tunes Redis is kept as it was given, and what asks for less than there is changes nothing.
func TestIdleSettings(t *testing.T) {
	c := NewConfig()
	before := c.clone()
	for name, want := range map[string][2]string{
		"activedefrag-cycle":        {}, // no such setting
		"active-expire-effort":      {"7", "7"},
		"AUTO-AOF-REWRITE-MIN-SIZE": {"1mb", "1048576"},
		"slave-priority":            {"3", "3"},
		"rdbcompression":            {"NO", "no"},
		"dbfilename":                {"x.rdb", "x.rdb"},
		"repl-diskless-load":        {"swapdb", "swapdb"},
		"appendonly":                {"no", "yes"},
		"appendfsync":               {"everysec", "always"},
		"save":                      {"900 01 60 0", "900 1 60 0"},
	} {
		err := c.Set(name, want[0])
		if want == [2]string{} {
			if err == nil {
				t.Errorf("%s has been set", name)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if got := c.Get(name); got != want[1] {
			t.Errorf("%s: got %q, want %q", name, got, want[1])
		}
	}
	if got := before.Get("active-expire-effort"); got != "1" {
		t.Errorf("a copy has changed with it: active-expire-effort is %s", got)
	}
}

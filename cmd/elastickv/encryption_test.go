package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/elastickv/elastickv/encryption"
	"github.com/elastickv/elastickv/encryption/keys"
	"github.com/elastickv/elastickv/internal/server"
)

// kekText is a key encryption key in base64.
var kekText = base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, encryption.KeySize))

func writeFile(t *testing.T, path, text string, mode os.FileMode) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

// sealedFolder makes a data folder whose values are sealed under the KEK in file.
func sealedFolder(t *testing.T, dir, file string) {
	t.Helper()
	e, _ := openFolder(t, dir, "file:"+file)
	if err := errors.Join(e.PutAt(context.Background(), []byte("k"), []byte("v"), 1, 0), e.Close()); err != nil {
		t.Fatal(err)
	}
}

// A server that cannot seal, or cannot open what is sealed, does not start. It says in one line
// what to do, shows no key, and changes nothing.
func TestEncryptionFaults(t *testing.T) {
	dir := t.TempDir()
	good := writeFile(t, filepath.Join(dir, "kek"), kekText+"\n", 0o600)
	other := writeFile(t, filepath.Join(dir, "other"), strings.Replace(kekText, "B", "C", 1), 0o600)
	exposed := writeFile(t, filepath.Join(dir, "exposed"), kekText, 0o640)
	short := writeFile(t, filepath.Join(dir, "short"), kekText[:20], 0o600)
	sealed := filepath.Join(dir, "sealed")
	sealedFolder(t, sealed, good)
	lost := filepath.Join(dir, "lost")
	sealedFolder(t, lost, good)
	if err := os.Remove(filepath.Join(lost, keys.FileName)); err != nil {
		t.Fatal(err)
	}
	damaged := filepath.Join(dir, "damaged")
	sealedFolder(t, damaged, good)
	writeFile(t, filepath.Join(damaged, keys.FileName), "{}", 0o600)
	fresh := filepath.Join(dir, "fresh")
	for _, tc := range []struct {
		name, folder, source string
		code                 int
		want                 string
	}{
		{"no source", fresh, "yes", 2, "--encryption yes: argument must be off, file:PATH, env:NAME or command:LINE"},
		{"no path", fresh, "file:", 2, "argument must be off"},
		{"no file", fresh, "file:" + dir + "/none", 1, "elastickv keys generate --out FILE"},
		{"exposed file", fresh, "file:" + exposed, 1, "chmod 600"},
		{"short file", fresh, "file:" + short, 1, "20 bytes"},
		{"no variable", fresh, "env:ELASTICKV_NONE", 1, "set it to 32 random bytes in base64"},
		{"bad variable", fresh, "env:ELASTICKV_BAD", 1, "variable ELASTICKV_BAD: a key is 32 bytes"},
		{"no command", fresh, "command:" + dir + "/none wrap", 1, "check the program"},
		{"failing command", fresh, "command:false", 1, "false wrap: exit status 1"},
		{"no key for sealed values", sealed, "off", 1, "start with --encryption"},
		{"wrong key", sealed, "file:" + other, 1, "wrong key encryption key"},
		{"another kind of source", sealed, "command:cat", 1, "it came from a file or variable"},
		{"lost keys.json, without encryption", lost, "off", 1, "keys.json is missing; put that back"},
		{"lost keys.json", lost, "file:" + good, 1, "put back the newest copy of keys.json"},
		{"damaged keys.json", damaged, "file:" + good, 1, "keys.json is damaged or was changed"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before := listing(t, dir)
			env := map[string]string{"ELASTICKV_BAD": kekText[:30]}
			code, out, text := call(env, "serve", "--listen", "127.0.0.1:0", "--dir", tc.folder, "--encryption", tc.source)
			if code != tc.code || out != "" || !strings.Contains(text, tc.want) || strings.Count(text, "\n") != 1 {
				t.Errorf("got %d %q, want %d and %q", code, text, tc.code, tc.want)
			}
			if strings.Contains(text, kekText[:12]) {
				t.Errorf("the key is shown: %q", text)
			}
			// To open a store writes to it; nothing else is.
			if after := listing(t, dir); !strings.HasPrefix(tc.name, "lost") && after != before {
				t.Errorf("files before:\n%s\nafter:\n%s", before, after)
			}
		})
	}
}

// A variable is gone from the environment once it was read.
func TestVariableIsRemoved(t *testing.T) {
	t.Setenv("ELASTICKV_TEST_KEK", kekText)
	cfg := server.NewConfig()
	if err := cfg.Set("encryption", "env:ELASTICKV_TEST_KEK"); err != nil {
		t.Fatal(err)
	}
	p, err := newProvider(cfg, os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.Create(context.Background()); err != nil {
		t.Error(err)
	}
	if _, ok := os.LookupEnv("ELASTICKV_TEST_KEK"); ok {
		t.Error("the variable is still there")
	}
}

// The folder is what the ring says it is, whichever half of it is put back.
func TestOldHalfOfFolder(t *testing.T) {
	dir := t.TempDir()
	kek := writeFile(t, filepath.Join(dir, "kek"), kekText, 0o600)
	data := filepath.Join(dir, "data")
	sealedFolder(t, data, kek)
	name := filepath.Join(data, keys.FileName)
	early, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	sealedFolder(t, data, kek)
	writeFile(t, name, string(early), 0o600)
	code, _, text := call(nil, "serve", "--listen", "127.0.0.1:0", "--dir", data, "--encryption", "file:"+kek)
	if code != 1 || !strings.Contains(text, "the store is ahead of keys.json") {
		t.Errorf("got %d %q", code, text)
	}
}

func TestKeysFlags(t *testing.T) {
	dir := t.TempDir()
	for _, tc := range []struct {
		args []string
		code int
		out  string
		err  string
	}{
		{[]string{"--help"}, 0, "elastickv keys COMMAND", ""},
		{[]string{"status", "--help"}, 0, "elastickv keys COMMAND", ""},
		{nil, 2, "", "Usage:"},
		{[]string{"nosuch"}, 2, "", `unknown command "nosuch"`},
		{[]string{"status", "--nosuch"}, 2, "", "flag provided but not defined"},
		{[]string{"status", "x"}, 2, "", `unexpected argument "x"`},
		{[]string{"rotate", "--json"}, 2, "", "--json is for status"},
		{[]string{"rotate", "--to", "file:x"}, 2, "", "--to is for rewrap"},
		{[]string{"retire"}, 2, "", "which key?"},
		{[]string{"retire", "1", "2"}, 2, "", `unexpected argument "2"`},
		{[]string{"retire", "x", "--dir", dir}, 1, "", `key "x"`},
		{[]string{"generate"}, 2, "", "--out FILE"},
		{[]string{"generate", "--out", dir}, 1, "", "file exists"},
		{[]string{"status", "--dir", dir}, 1, "", "no server runs"},
		{[]string{"rotate", "--dir", filepath.Join(dir, strings.Repeat("long", 40))}, 1, "", "no server runs"},
	} {
		code, out, err := call(nil, append([]string{"keys"}, tc.args...)...)
		if code != tc.code || !strings.Contains(out, tc.out) || !strings.Contains(err, tc.err) || tc.err == "" && err != "" {
			t.Errorf("%q: got %d %q %q", tc.args, code, out, err)
		}
	}
	file := filepath.Join(dir, "kek")
	code, out, err := call(nil, "keys", "generate", "--out", file)
	if code != 0 || err != "" {
		t.Fatalf("got %d %q", code, err)
	}
	text, readErr := os.ReadFile(file)
	if readErr != nil || strings.Contains(out, string(text[:10])) {
		t.Errorf("%v, %q", readErr, out)
	}
	if _, _, err := keys.FromFile(file).Create(context.Background()); err != nil {
		t.Error(err)
	}
}

// A key that was used often is followed by another one while the server runs, and what was
// sealed under either is read.
func TestKeyIsRenewed(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	cfg := server.NewConfig()
	if err := cfg.Set("dir", dir); err != nil {
		t.Fatal(err)
	}
	file := writeFile(t, filepath.Join(t.TempDir(), "kek"), kekText, 0o600)
	ring, err := keys.Load(ctx, keys.Options{Dir: dir, KEK: keys.FromFile(file), Rand: rand.Reader, Now: time.Now, RenewAfter: 20})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	e, err := openStore(cfg, ring, log)
	if err != nil {
		t.Fatal(err)
	}
	_, stop := startKeeper(ctx, ring, e, nil, cfg, log)
	ts := uint64(0)
	for id, _ := ring.ActiveKeyID(); id < 4; id, _ = ring.ActiveKeyID() {
		if ts++; ts > 100_000 {
			t.Fatalf("after %d writes key %d is still active", ts, id)
		}
		if err := e.PutAt(ctx, []byte("k"), fmt.Append(nil, ts), ts, 0); err != nil {
			t.Fatal(err)
		}
	}
	for at := uint64(1); at <= ts; at++ {
		if got, err := e.GetAt(ctx, []byte("k"), at); err != nil || string(got) != fmt.Sprint(at) {
			t.Fatalf("at %d: %q, %v", at, got, err)
		}
	}
	stop()
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

package main

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/elastickv/elastickv/encryption/keys"
	"github.com/elastickv/elastickv/internal/backup"
	"github.com/elastickv/elastickv/internal/server"
)

func TestBackupFlags(t *testing.T) {
	dir := t.TempDir()
	there := writeFile(t, filepath.Join(dir, "there"), "x", 0o600)
	for _, tc := range []struct {
		args []string
		code int
		out  string
		err  string
	}{
		{[]string{"backup", "--help"}, 0, "elastickv backup --out FILE", ""},
		{[]string{"backup"}, 2, "", "--out FILE"},
		{[]string{"backup", "x"}, 2, "", `unexpected argument "x"`},
		{[]string{"backup", "--nosuch"}, 2, "", "flag provided but not defined"},
		{[]string{"backup", "--dir", dir, "--out", there}, 1, "", there + " is there already"},
		{[]string{"backup", "--dir", dir, "--out", filepath.Join(dir, "new")}, 1, "", "no server runs on this data folder"},
		{[]string{"backup", "--dir", dir, "--out", filepath.Join(dir, "none", "new")}, 1, "", "no such file or directory"},
		{[]string{"backup", "--dir", dir, "--out", "-"}, 1, "", "no server runs on this data folder"},
		{[]string{"restore", "--help"}, 0, "elastickv restore --from FILE", ""},
		{[]string{"restore"}, 2, "", "--from FILE"},
		{[]string{"restore", "--from", there}, 2, "", "one of them is wanted"},
		{[]string{"restore", "--from", there, "--check", "--dir", dir}, 2, "", "one of them is wanted"},
		{[]string{"restore", "--from", there, "--check", "--encryption", "off"}, 2, "", "--check takes --backup-key"},
		{[]string{"restore", "--from", there, "--check"}, 1, "", "not a backup"},
		{[]string{"restore", "--from", there + "s", "--check"}, 1, "", "no such file"},
	} {
		before := listing(t, dir)
		code, out, err := call(nil, tc.args...)
		if code != tc.code || !strings.Contains(out, tc.out) || !strings.Contains(err, tc.err) || tc.err == "" && err != "" {
			t.Errorf("%q: got %d %q %q", tc.args, code, out, err)
		}
		if after := listing(t, dir); after != before {
			t.Errorf("%q: files before:\n%s\nafter:\n%s", tc.args, before, after)
		}
	}
}

// openFolder opens the store of a data folder.
func openFolder(t *testing.T, dir, source string) (engine, *keys.Ring) {
	t.Helper()
	cfg := server.NewConfig()
	for name, value := range map[string]string{"dir": dir, "encryption": source} {
		if err := cfg.Set(name, value); err != nil {
			t.Fatal(err)
		}
	}
	kek, err := newProvider(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := loadKeys(context.Background(), cfg, kek)
	if err != nil {
		t.Fatal(err)
	}
	e, err := openStore(cfg, ring, newLogger(cfg, new(slog.LevelVar), stdio{&bytes.Buffer{}, &bytes.Buffer{}}))
	if err != nil {
		t.Fatal(err)
	}
	return e, ring
}

// backupOf makes a folder with one value in it and backs it up.
func backupOf(t *testing.T, dir, source string) string {
	t.Helper()
	folder := filepath.Join(dir, "data")
	e, ring := openFolder(t, folder, source)
	if err := e.PutAt(context.Background(), []byte("k"), []byte("the secret value"), 1<<16, 0); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := writeBackup(&b, e, folder, ring); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if sealed := !bytes.Contains(b.Bytes(), []byte("the secret value")); sealed != (source != encryptionOff) {
		t.Errorf("%s: the backup is sealed: %t", source, sealed)
	}
	return writeFile(t, filepath.Join(dir, "backup"), b.String(), 0o600)
}

// A backup is restored into a folder that is sealed or clear as is asked for, whatever the one was that
// it was made of, and with keys of its own.
func TestRestore(t *testing.T) {
	for _, tc := range []struct {
		name        string
		was         string // the source of the backup's KEK, a file's name or off
		args        []string
		is          string // the source of the folder's
		out, err    string
		emptyFolder bool
	}{
		{"clear", "off", nil, "off", "start it with: elastickv serve --dir", "", false},
		{"clear to sealed", "off", []string{"--encryption", "file:kek"}, "file:kek", "--encryption", "", false},
		{"sealed", "file:kek", []string{"--encryption", "file:kek"}, "file:kek", "--encryption", "", true},
		{"sealed to another", "file:kek", []string{"--encryption", "file:other", "--backup-key", "file:kek"}, "file:other", "--encryption", "", false},
		{"sealed to clear", "file:kek", []string{"--encryption", "off", "--backup-key", "file:kek"}, "off", "", "", false},
		{"sealed, no key", "file:kek", nil, "", "", "give --backup-key SOURCE", false},
		{"sealed, no key but off", "file:kek", []string{"--encryption", "off"}, "", "", "give --backup-key SOURCE", false},
		{"sealed, nothing said of the folder", "file:kek", []string{"--backup-key", "file:kek"}, "", "", "give --encryption SOURCE for the new folder", true},
		{"sealed, wrong key", "file:kek", []string{"--encryption", "file:other"}, "", "", "wrong key encryption key", true},
		{"sealed, bad key of the folder", "file:kek", []string{"--encryption", "file:none", "--backup-key", "file:kek"}, "", "", "no key encryption key", true},
		{"clear, needless key", "off", []string{"--backup-key", "file:kek"}, "", "", "the backup is not sealed", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			t.Chdir(dir)
			writeFile(t, "kek", kekText, 0o600)
			writeFile(t, "other", strings.Replace(kekText, "B", "C", 1), 0o600)
			file := backupOf(t, dir, tc.was)
			if tc.emptyFolder { // an empty folder serves as well as none
				if err := os.MkdirAll(filepath.Join("to", "lost+found"), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			before := listing(t, dir)
			code, out, text := call(nil, append([]string{"restore", "--from", file, "--dir", "to"}, tc.args...)...)
			if tc.err != "" {
				if code != 1 || out != "" || !strings.Contains(text, tc.err) || strings.Count(text, "\n") != 1 {
					t.Errorf("got %d %q %q", code, out, text)
				}
				if after := listing(t, dir); after != before {
					t.Errorf("files before:\n%s\nafter:\n%s", before, after)
				}
				return
			}
			if code != 0 || text != "" || !strings.Contains(out, tc.out) {
				t.Fatalf("got %d %q %q", code, out, text)
			}
			if _, err := os.Stat(filepath.Join("to", keys.FileName)); (err == nil) != (tc.is != "off") {
				t.Errorf("keys.json: %v", err)
			}
			e, _ := openFolder(t, "to", tc.is)
			defer e.Close()
			if v, err := e.GetAt(context.Background(), []byte("k"), 1<<16); string(v) != "the secret value" || err != nil {
				t.Errorf("got %q, %v", v, err)
			}
			if code, _, text := call(nil, "restore", "--from", file, "--dir", "to"); code != 1 || !strings.Contains(text, "holds") && tc.was == "off" {
				t.Errorf("into a folder that is in use: got %d %q", code, text)
			}
		})
	}
}

// A backup that is cut or damaged anywhere makes no folder, and a check tells.
func TestRestoreOfDamage(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	writeFile(t, "kek", kekText, 0o600)
	whole, err := os.ReadFile(backupOf(t, dir, "file:kek"))
	if err != nil {
		t.Fatal(err)
	}
	code, out, text := call(nil, "restore", "--from", "backup", "--check", "--backup-key", "file:kek")
	if code != 0 || !strings.Contains(out, "whole and intact") || !strings.Contains(out, "sealed, 1 rows in 1 versions, last write 1970-01-01T00:00:00Z") {
		t.Errorf("got %d %q %q", code, out, text)
	}
	header, err := backup.Open(bytes.NewReader(whole))
	if err != nil || !header.Sealed() {
		t.Fatalf("%+v, %v", header, err)
	}
	for n := 0; n < len(whole); n += 1 + n/20 {
		changed := bytes.Clone(whole)
		changed[n] ^= 0x10
		for what, b := range map[string][]byte{"cut": whole[:n], "changed": changed} {
			writeFile(t, "damaged", string(b), 0o600)
			for _, args := range [][]string{{"--check"}, {"--dir", "to", "--encryption", "file:kek"}} {
				code, out, text := call(nil, append([]string{"restore", "--from", "damaged", "--backup-key", "file:kek"}, args...)...)
				if code != 1 || out != "" || text == "" {
					t.Errorf("%s at %d, %q: got %d %q %q", what, n, args, code, out, text)
				}
			}
			if _, err := os.Lstat("to"); !os.IsNotExist(err) {
				t.Fatalf("%s at %d: a folder was made", what, n)
			}
		}
	}
}

// A folder whose restore was cut off is no data folder, and says why.
func TestUnfinishedRestore(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, restoringFolder), 0o700); err != nil {
		t.Fatal(err)
	}
	code, _, text := call(nil, "serve", "--listen", "127.0.0.1:0", "--dir", dir)
	if code != 1 || !strings.Contains(text, "a restore did not come to its end") {
		t.Errorf("got %d %q", code, text)
	}
}

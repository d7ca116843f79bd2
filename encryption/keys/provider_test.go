package keys

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/elastickv/elastickv/encryption"
)

// kmsVariable makes this test binary a key management service, for whoever runs it as a command.
const kmsVariable = "ELASTICKV_TEST_KMS"

func TestMain(m *testing.M) {
	if mode, ok := os.LookupEnv(kmsVariable); ok {
		os.Exit(serveKMS(mode))
	}
	os.Exit(m.Run())
}

// serveKMS turns round every bit of what it is given, or misbehaves.
func serveKMS(mode string) int {
	line, err := bufio.NewReader(os.Stdin).ReadString('\n')
	text, decodeErr := base64.StdEncoding.DecodeString(strings.TrimSpace(line))
	if err != nil || decodeErr != nil {
		fmt.Fprintln(os.Stderr, "no base64 line:", err, decodeErr)
		return 1
	}
	verb := os.Args[len(os.Args)-1]
	switch {
	case verb != "wrap" && verb != "unwrap" || len(os.Args) != 3:
		fmt.Fprintln(os.Stderr, "unknown words:", os.Args[1:])
		return 1
	case mode == "refuse":
		fmt.Fprintln(os.Stderr, "permission denied\non the key")
		return 3
	case mode == "leak":
		fmt.Fprintln(os.Stderr, "debug: got", line)
		return 3
	case mode == "chatter":
		fmt.Println("Welcome!")
	case mode == "forget" && verb == "unwrap":
		text = make([]byte, encryption.KeySize)
	case mode == "short" && verb == "unwrap":
		text = text[:5]
	case mode == "flood":
		fmt.Println(strings.Repeat("QUFB", 1<<20))
		return 0
	}
	for i := range text {
		text[i] ^= 0xff
	}
	fmt.Println(base64.StdEncoding.EncodeToString(text))
	return 0
}

// textKEK is a key in the forms in which operators keep it.
const textKEK = "ZWxhc3RpY2t2IGtlZnMgYXJlIDMyIGJ5dGVzIGxvbmc="

func writeKEK(t *testing.T, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kek")
	must(t, os.WriteFile(path, []byte(text), 0o600))
	must(t, os.Chmod(path, mode))
	return path
}

func TestFromFile(t *testing.T) {
	raw, err := base64.StdEncoding.DecodeString(textKEK)
	must(t, err)
	for _, tc := range []struct {
		name, text string
		mode       os.FileMode
		want       error
		words      string
	}{
		{"bytes", string(raw), 0o600, nil, ""},
		{"read only", string(raw), 0o400, nil, ""},
		{"base64", textKEK, 0o600, nil, ""},
		{"base64 and a line break", textKEK + "\n", 0o600, nil, ""},
		{"hex", hex.EncodeToString(raw) + "\r\n", 0o600, nil, ""},
		{"open to the group", textKEK, 0o640, ErrKEKExposed, "0640"},
		{"open to others", textKEK, 0o604, ErrKEKExposed, "chmod 600"},
		{"open to the group's programs", textKEK, 0o610, ErrKEKExposed, "chmod 600"},
		{"empty", "", 0o600, ErrNoKEK, "32 bytes"},
		{"short", string(raw[:31]), 0o600, ErrNoKEK, "31 bytes"},
		{"long", string(raw) + "x", 0o600, ErrNoKEK, "33 bytes"},
		{"very long", strings.Repeat("A", 1<<20), 0o600, ErrNoKEK, "32 bytes"},
		{"other letters", strings.Repeat("!", 44), 0o600, ErrNoKEK, "base64"},
		{"base64 of less", "ZWxhc3RpY2t2IGtlZnMgYXJlIDMyIGJ5dGVzIGxvbg==", 0o600, ErrNoKEK, "base64"},
	} {
		path := writeKEK(t, tc.text, tc.mode)
		kek, wrapped, err := FromFile(path).Create(context.Background())
		if !errors.Is(err, tc.want) || (err == nil) != (tc.want == nil) || wrapped != nil {
			t.Errorf("%s: got %v", tc.name, err)
			continue
		}
		if err == nil && !bytes.Equal(kek.bytes(), raw) {
			t.Errorf("%s: another key", tc.name)
		}
		if err != nil && (!strings.Contains(err.Error(), tc.words) || !strings.Contains(err.Error(), path)) {
			t.Errorf("%s: %q does not say %q", tc.name, err, tc.words)
		}
		if err != nil && len(tc.text) > 20 && strings.Contains(err.Error(), tc.text[:20]) {
			t.Errorf("%s: the error shows the file: %v", tc.name, err)
		}
	}
	for name, path := range map[string]string{"a folder": t.TempDir(), "none": filepath.Join(t.TempDir(), "none")} {
		if _, err := FromFile(path).Open(context.Background(), nil); !errors.Is(err, ErrNoKEK) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := FromFile("f").Open(context.Background(), []byte("x")); !errors.Is(err, ErrWrongKEK) {
		t.Errorf("a key of a command: %v", err)
	}
}

func TestFromVariable(t *testing.T) {
	env := map[string]string{"KEK": textKEK, "BAD": textKEK[1:]}
	take := func(name string) (string, bool) {
		text, ok := env[name]
		delete(env, name)
		return text, ok
	}
	p := FromVariable("KEK", take)
	if len(env) != 1 {
		t.Error("the variable is still there")
	}
	one, _, err := p.Create(context.Background())
	must(t, err)
	two, err := p.Open(context.Background(), nil)
	must(t, err)
	if string(one.bytes()) != string(two.bytes()) {
		t.Error("two keys")
	}
	for name, words := range map[string]string{"BAD": "variable BAD", "NONE": "no variable NONE"} {
		_, _, err := FromVariable(name, take).Create(context.Background())
		if !errors.Is(err, ErrNoKEK) || !strings.Contains(err.Error(), words) || strings.Contains(err.Error(), textKEK[1:20]) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// testCommand is a provider whose service is this test binary.
func testCommand(t *testing.T, mode string) Provider {
	t.Helper()
	exe, err := os.Executable()
	must(t, err)
	t.Setenv(kmsVariable, mode)
	p, err := FromCommand(exe+"  --key=k", newChance(4))
	must(t, err)
	return p
}

func TestFromCommand(t *testing.T) {
	ctx := context.Background()
	p := testCommand(t, "")
	kek, wrapped, err := p.Create(ctx)
	must(t, err)
	back, err := p.Open(ctx, wrapped)
	must(t, err)
	if string(back.bytes()) != string(kek.bytes()) || bytes.Equal(wrapped, kek.bytes()) {
		t.Errorf("wrapped %x", wrapped)
	}
	if _, err := p.Open(ctx, nil); !errors.Is(err, ErrWrongKEK) {
		t.Errorf("a key of a file: %v", err)
	}
	for mode, words := range map[string]string{
		"refuse": "permission denied on the key", "leak": "not shown", "chatter": "base64 alone",
		"forget": "does not return what wrap was given", "short": "5 bytes", "flood": "base64 alone",
	} {
		kek, _, err := testCommand(t, mode).Create(ctx)
		if !errors.Is(err, ErrNoKEK) || !strings.Contains(err.Error(), words) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v", mode, err)
		}
		if !kek.none() && strings.Contains(err.Error(), base64.StdEncoding.EncodeToString(kek.bytes())) {
			t.Errorf("%s: the error shows the key", mode)
		}
	}
	missing, err := FromCommand("/nosuch/kms", newChance(1))
	must(t, err)
	if _, _, err := missing.Create(ctx); !errors.Is(err, ErrNoKEK) || !strings.Contains(err.Error(), "/nosuch/kms") {
		t.Errorf("got %v", err)
	}
	if _, err := FromCommand("  ", newChance(1)); !errors.Is(err, ErrNoKEK) {
		t.Errorf("got %v", err)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if _, _, err := p.Create(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}

	// A whole ring by way of a command.
	m := newMachine(t)
	o := testOptions(m, newChance(1))
	o.KEK = testCommand(t, "")
	mustBegin(t, o, m)
	must(t, mustBegin(t, o, m).Rewrap(ctx, nil))
	mustBegin(t, o, m)
	o.KEK = testKEK(1)
	if _, err := begin(o, m); !errors.Is(err, ErrWrongKEK) {
		t.Errorf("a file instead of the command: %v", err)
	}
}

package test

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/elastickv/elastickv/encryption/keys"
	"github.com/elastickv/elastickv/internal/admin"
	"github.com/elastickv/elastickv/internal/testkit"
)

// newKEK makes a key encryption key and returns the setting that names it, and the key's text.
func newKEK(t *testing.T) (source, text string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kek")
	if out, err := exec.Command(testkit.Binary(t), "keys", "generate", "--out", path).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	key, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return "file:" + path, strings.TrimSpace(string(key))
}

// waitKeys returns once ok says so of the state of the keys.
func waitKeys(t *testing.T, dir string, ok func(admin.KeysStatus) bool) admin.KeysStatus {
	t.Helper()
	c := admin.NewClient(dir)
	deadline := time.After(time.Minute)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		st, err := c.KeysStatus(context.Background())
		if err == nil && ok(st) {
			return st
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("the keys are still %+v, %v", st, err)
		}
	}
}

func allSealed(st admin.KeysStatus) bool { return st.Rewritten > 0 && st.Due == st.Rewritten }

// hidden are values that no file may show.
func hidden(n int) []string {
	rnd := rand.New(rand.NewPCG(11, 12))
	values := make([]string, n)
	for i := range values {
		b := make([]byte, 20)
		for j := range b {
			b[j] = byte(rnd.Uint32())
		}
		values[i] = hex.EncodeToString(b)
	}
	return values
}

// wantHidden searches every file below dir for texts.
func wantHidden(t *testing.T, dir string, texts []string) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		files++
		for _, text := range texts {
			if bytes.Contains(content, []byte(text)) {
				t.Errorf("%s shows %q", path, text)
				break
			}
		}
		return err
	})
	if err != nil || files < 4 {
		t.Errorf("%d files, %v", files, err)
	}
}

// TestSealedServer takes a clear folder through its life: it is sealed while clients are served
// and while it is killed again and again, its keys are rotated likewise, and in the end it
// shows no value and opens with nothing but its key.
func TestSealedServer(t *testing.T) {
	const n = 2000
	ctx := context.Background()
	dir := t.TempDir()
	secrets := hidden(200)
	put := func(s *testkit.Server) {
		c := testkit.Dial(t, s.Addr, 2)
		for i, v := range secrets {
			c.MustDo(t, "SET", fmt.Sprintf("hidden:%d", i), v)
		}
	}
	check := func(s *testkit.Server, what string) {
		t.Helper()
		inShares(t, s, n, verify)
		c := testkit.Dial(t, s.Addr, 2)
		for i, v := range secrets {
			if got := c.MustDo(t, "GET", fmt.Sprintf("hidden:%d", i)).Str; got != v {
				t.Fatalf("%s: value %d is %q", what, i, got)
			}
		}
	}
	s := testkit.Elastickv(t, dir)
	inShares(t, s, n, load)
	put(s)
	s.Kill()

	kek, text := newKEK(t)
	slow := []string{"--encryption", kek, "--encryption-rate", "128kb"}
	rows := uint64(0)
	for round := range 3 { // killed while it seals what was clear
		s = testkit.Elastickv(t, dir, slow...)
		st := waitKeys(t, dir, func(st admin.KeysStatus) bool { return st.Reseal.Sealed > 0 || allSealed(st) })
		rows += st.Reseal.Sealed
		check(s, fmt.Sprintf("being sealed, round %d", round))
		s.Kill()
		if strings.Contains(s.Log(), text) {
			t.Error("the log shows the key encryption key")
		}
	}
	s = testkit.Elastickv(t, dir, "--encryption", kek)
	st := waitKeys(t, dir, allSealed)
	if st.Stage != keys.StageSealed || st.Active != 4 || rows == 0 {
		t.Errorf("sealed: %+v", st)
	}
	check(s, "sealed")
	if info := testkit.Dial(t, s.Addr, 2).MustDo(t, "INFO", "storage").Str; !strings.Contains(info, "\r\nencryption:sealed\r\n") {
		t.Errorf("INFO storage: %s", info)
	}

	// Rotated, and killed while rows are being sealed again.
	s.Kill()
	s = testkit.Elastickv(t, dir, slow...)
	rotated, err := admin.NewClient(dir).Rotate(ctx)
	if err != nil {
		t.Fatal(err)
	}
	waitKeys(t, dir, func(st admin.KeysStatus) bool { return st.Reseal.Running && st.Reseal.Sealed > 0 })
	if err := admin.NewClient(dir).Retire(ctx, 1); err == nil || !strings.Contains(err.Error(), "are being sealed again") {
		t.Errorf("retired a key in use: %v", err)
	}
	s.Kill()
	s = testkit.Elastickv(t, dir, "--encryption", kek)
	st = waitKeys(t, dir, allSealed)
	if st.Rewritten != rotated.Active {
		t.Errorf("rotated to %d: %+v", rotated.Active, st)
	}
	for _, k := range st.Keys {
		if k.State == "retirable" {
			if err := admin.NewClient(dir).Retire(ctx, k.ID); err != nil {
				t.Error(err)
			}
		}
	}
	put(s)
	check(s, "rotated")

	// Wrapped under another key encryption key.
	other, _ := newKEK(t)
	if _, err := admin.NewClient(dir).Rewrap(ctx, other); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.NewClient(dir).Rewrap(ctx, "env:HOME"); err == nil {
		t.Error("a running server was given a variable")
	}
	if err := s.Stop(); err != nil {
		t.Errorf("%v:\n%s", err, s.Log())
	}
	wantHidden(t, dir, append(secrets, text))
	for source, want := range map[string]string{"off": "start with --encryption", kek: "wrong key encryption key"} {
		out, err := exec.Command(testkit.Binary(t), "serve", "--listen", "127.0.0.1:0", "--dir", dir, "--encryption", source).CombinedOutput()
		if err == nil || !strings.Contains(string(out), want) {
			t.Errorf("--encryption %s: %v, %s", source, err, out)
		}
	}
	s = testkit.Elastickv(t, dir, "--encryption", other)
	check(s, "rewrapped")
}

// TestKillWhileKeysChange kills a sealed server under load, while its keys are rotated all the time,
// and accounts for every write.
func TestKillWhileKeysChange(t *testing.T) {
	rounds := 3
	if testing.Short() {
		rounds = 2
	}
	dir := t.TempDir()
	kek, _ := newKEK(t)
	start := func() *testkit.Server { return testkit.Elastickv(t, dir, "--encryption", kek) }
	s := start()
	var accounts []*account
	for i, kind := range accountKinds {
		accounts = append(accounts, &account{kind: kind, key: fmt.Sprintf("account:%d", i)})
	}
	var rotations atomic.Int64
	for round := range rounds {
		stopped := make(chan struct{})
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for {
				select {
				case <-stopped:
					return
				default:
					if _, err := admin.NewClient(dir).Rotate(context.Background()); err == nil {
						rotations.Add(1)
					}
				}
			}
		}()
		loadAndKill(t, s, accounts, int64(200+300*round))
		close(stopped)
		<-ended
		s = start()
		c := testkit.Dial(t, s.Addr, 2)
		for _, a := range accounts {
			if err := a.settle(c); err != nil {
				t.Errorf("round %d: %s: %v", round, a.key, err)
			}
		}
		if t.Failed() {
			t.Fatalf("the server's output:\n%s", s.Log())
		}
	}
	if rotations.Load() < int64(rounds) {
		t.Errorf("%d rotations only", rotations.Load())
	}
	waitKeys(t, dir, allSealed)
}

// A key that comes by the environment shows nowhere else: not in the folder, the log, or what
// clients and operators are told.
func TestKeyInVariable(t *testing.T) {
	dir := t.TempDir()
	source, text := newKEK(t)
	t.Setenv("ELASTICKV_TEST_KEK", text)
	for round := range 2 {
		s := testkit.Elastickv(t, dir, "--encryption", "env:ELASTICKV_TEST_KEK", "--log-level", "debug")
		c := testkit.Dial(t, s.Addr, 2)
		if round == 0 {
			c.MustDo(t, "SET", "k", "v")
		}
		if got := c.MustDo(t, "GET", "k").Str; got != "v" {
			t.Errorf("round %d: %q", round, got)
		}
		st := waitKeys(t, dir, allSealed)
		told := fmt.Sprint(st, c.MustDo(t, "CONFIG", "GET", "*"), c.MustDo(t, "INFO", "everything"), s.Log())
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
		for what, shown := range map[string]string{"told": told, "log": s.Log()} {
			if strings.Contains(shown, text[:20]) {
				t.Errorf("%s: the key is shown", what)
			}
		}
	}
	wantHidden(t, dir, []string{text[:20]})
	// The same key in a file is the same key.
	if got := testkit.Dial(t, testkit.Elastickv(t, dir, "--encryption", source).Addr, 2).MustDo(t, "GET", "k").Str; got != "v" {
		t.Errorf("from the file: %q", got)
	}
}

// TestEnableWhileServing has a server begin to seal while clients write to it: nobody is refused, and
// once all is sealed no file shows a value, after a kill and a start with the key included.
func TestEnableWhileServing(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	kek, text := newKEK(t)
	s := testkit.Elastickv(t, dir)
	inShares(t, s, 500, load)
	secrets := hidden(50)
	c := testkit.Dial(t, s.Addr, 2)
	for i, v := range secrets {
		c.MustDo(t, "SET", fmt.Sprintf("hidden:%d", i), v)
	}
	if _, err := admin.NewClient(dir).Rotate(ctx); err == nil || !strings.Contains(err.Error(), "elastickv keys enable") {
		t.Errorf("rotate before there are keys: %v", err)
	}
	stop := transfers(t, s)
	for _, tc := range []struct{ kek, want string }{
		{"file:" + filepath.Join(dir, "none"), "no key encryption key"}, {"env:HOME", "cannot be given a variable"}, {"", "is not file:PATH"},
	} {
		if _, err := admin.NewClient(dir).Enable(ctx, tc.kek); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("enable with %q: %v", tc.kek, err)
		}
	}
	if told := program(t, "keys", "enable", "--kek", kek, "--dir", dir); !strings.Contains(told, kek) {
		t.Errorf("enable: %s", told)
	}
	if _, err := admin.NewClient(dir).Enable(ctx, kek); err == nil || !strings.Contains(err.Error(), "sealed already") {
		t.Errorf("enabled twice: %v", err)
	}
	if st := waitKeys(t, dir, allSealed); st.Stage != keys.StageSealed {
		t.Errorf("got %+v", st)
	}
	stop()
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	for range 2 { // the first start uses up the log files that the engine keeps
		s = testkit.Elastickv(t, dir, "--encryption", kek)
		inShares(t, s, 500, verify)
		wantBalance(t, testkit.Dial(t, s.Addr, 2))
		s.Kill()
	}
	wantHidden(t, dir, append(secrets, text))
}

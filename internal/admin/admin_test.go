package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/elastickv/elastickv/encryption/keys"
	"github.com/elastickv/elastickv/store"
)

// fakeKeys does what it is told, or fails.
type fakeKeys struct {
	mu   sync.Mutex
	told []string
	err  error
}

func (f *fakeKeys) note(format string, args ...any) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.told = append(f.told, fmt.Sprintf(format, args...))
	return f.err
}

func (f *fakeKeys) Status() KeysStatus {
	return KeysStatus{Status: keys.Status{Stage: keys.StageSealed, Active: 3, Keys: []keys.KeyStatus{{ID: 3, State: "active"}}},
		Reseal: ResealOf(store.ResealStats{Running: true, Below: 2, Failure: errors.New("no room")})}
}
func (f *fakeKeys) Rotate() (uint32, error) { return 4, f.note("rotate") }
func (f *fakeKeys) Enable(_ context.Context, provider string) (string, error) {
	return "file:new", f.note("enable %q", provider)
}
func (f *fakeKeys) Rewrap(_ context.Context, provider string) (string, error) {
	return "file:now", f.note("rewrap %q", provider)
}
func (f *fakeKeys) Retire(id uint32) error { return f.note("retire %d", id) }

// serve opens a door in dir until the test ends.
func serve(t *testing.T, dir string, o Operated) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ln, err := Listen(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, ln, o, slog.New(slog.DiscardHandler)) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(filepath.Join(dir, SocketName)); !os.IsNotExist(err) {
			t.Errorf("the socket is still there: %v", err)
		}
	})
}

func TestDoor(t *testing.T) {
	ctx := context.Background()
	long := filepath.Join(t.TempDir(), strings.Repeat("long", 40))
	if err := os.Mkdir(long, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{t.TempDir(), long} {
		if err := os.WriteFile(filepath.Join(dir, SocketName), []byte("left by a crash"), 0o644); err != nil {
			t.Fatal(err)
		}
		k := &fakeKeys{}
		serve(t, dir, Operated{Keys: k})
		info, err := os.Lstat(filepath.Join(dir, SocketName))
		if err != nil || info.Mode() != os.ModeSocket|0o600 {
			t.Errorf("the socket: %v, %v", info.Mode(), err)
		}
		c := NewClient(dir)
		st, err := c.KeysStatus(ctx)
		if err != nil || st.Stage != keys.StageSealed || st.Active != 3 || len(st.Keys) != 1 || st.Reseal.Below != 2 || st.Reseal.Failure != "no room" {
			t.Errorf("got %+v, %v", st, err)
		}
		if got, err := c.Rotate(ctx); err != nil || got.Active != 4 {
			t.Errorf("got %+v, %v", got, err)
		}
		if got, err := c.Enable(ctx, "file:y"); err != nil || got.Provider != "file:new" {
			t.Errorf("got %+v, %v", got, err)
		}
		if got, err := c.Rewrap(ctx, "file:x"); err != nil || got.Provider != "file:now" {
			t.Errorf("got %+v, %v", got, err)
		}
		if err := c.Retire(ctx, 7); err != nil {
			t.Error(err)
		}
		if got := strings.Join(k.told, ", "); got != `rotate, enable "file:y", rewrap "file:x", retire 7` {
			t.Errorf("told %s", got)
		}
		k.err = &keys.InUseError{ID: 7, Why: "it is"}
		if err := c.Retire(ctx, 7); err == nil || err.Error() != k.err.Error() {
			t.Errorf("got %v", err)
		}
	}
}

// Requests that are none do nothing.
func TestDoorRefuses(t *testing.T) {
	k, dir := &fakeKeys{}, t.TempDir()
	serve(t, dir, Operated{Keys: k})
	c := NewClient(dir)
	for _, tc := range []struct{ method, path, body string }{
		{"GET", rotatePath, ""},
		{"GET", retirePath, ""},
		{"POST", keysPath, ""},
		{"POST", retirePath, ""},
		{"POST", retirePath, `{"id": -1}`},
		{"POST", retirePath, `{"id": 1, "more": 2}`},
		{"POST", retirePath, `{"id": 1} {"id": 2}`},
		{"POST", retirePath, `{"id": "` + strings.Repeat("1", requestMost) + `"}`},
		{"POST", "/v1/keys/drop", "{}"},
	} {
		req, err := http.NewRequest(tc.method, "http://x"+tc.path, strings.NewReader(tc.body))
		if err != nil {
			t.Fatal(err)
		}
		res, err := c.http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode == http.StatusOK {
			t.Errorf("%s %s %.30s: got %s", tc.method, tc.path, tc.body, text)
		}
	}
	if len(k.told) > 0 {
		t.Errorf("told %q", k.told)
	}
	if _, err := NewClient(t.TempDir()).Rotate(context.Background()); err == nil || !strings.Contains(err.Error(), "no server") {
		t.Errorf("got %v", err)
	}
}

// Who keeps connections open does not keep others out for good, and the server's files are bounded.
func TestDoorHasRoom(t *testing.T) {
	dir := t.TempDir()
	serve(t, dir, Operated{Keys: &fakeKeys{}})
	var idle []net.Conn
	for range connectionMost + 10 {
		c, err := net.Dial("unix", filepath.Join(dir, SocketName))
		if err != nil {
			t.Fatal(err)
		}
		idle = append(idle, c)
	}
	if _, err := NewClient(dir).KeysStatus(context.Background()); err == nil {
		t.Error("there was room for one more")
	}
	for _, c := range idle {
		c.Close()
	}
	for try := 0; ; try++ {
		if _, err := NewClient(dir).KeysStatus(context.Background()); err == nil {
			break
		} else if try > 10000 {
			t.Fatal(err)
		}
	}
}

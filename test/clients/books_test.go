package clients

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// books account for jobs by their names: what was handed to the library at least once, what it
// has acknowledged, and how often each was done.
type books struct {
	mu          sync.Mutex
	sent, acked map[string]bool
	done        map[string]int
}

func newBooks() *books {
	return &books{sent: make(map[string]bool), acked: make(map[string]bool), done: make(map[string]int)}
}

// promise calls add until it succeeds, as often as the connection is lost. It returns the error
// that is not about the connection.
func (b *books) promise(v *victim, name string, add func() error) error {
	b.mu.Lock()
	b.sent[name] = true
	b.mu.Unlock()
	if err := persist(add); err != nil {
		return err
	}
	b.mu.Lock()
	b.acked[name] = true
	b.mu.Unlock()
	v.happened()
	return nil
}

func (b *books) finish(v *victim, name string) {
	b.mu.Lock()
	b.done[name]++
	b.mu.Unlock()
	v.happened()
}

// names returns those that were acknowledged, in order.
func (b *books) names() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Sorted(maps.Keys(b.acked))
}

// missing returns what was acknowledged and has not been done.
func (b *books) missing() []string {
	return slices.DeleteFunc(b.names(), func(name string) bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.done[name] > 0
	})
}

// balance checks that all that was acknowledged is done, and nothing that was never sent.
func (b *books) balance(t *testing.T, what string) {
	t.Helper()
	if missing := b.missing(); len(missing) > 0 {
		t.Errorf("%s: acknowledged, but never done: %q", what, missing)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	again := 0
	for name, n := range b.done {
		if !b.sent[name] {
			t.Errorf("%s: done, but never sent: %q", what, name)
		}
		if n > 1 {
			again++
		}
	}
	t.Logf("%s: %d acknowledged, all done, %d of them more than once", what, len(b.acked), again)
}

// persist calls f until it does not fail because of the connection, for as long as a server may take to
// come back.
func persist(f func() error) error {
	deadline := time.Now().Add(time.Minute)
	for {
		err := f()
		if err == nil || !isLost(err) || time.Now().After(deadline) {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// isLost tells an error of the connection from an answer of the server. Libraries hand on texts.
func isLost(err error) bool {
	for _, text := range []string{"EOF", "connection refused", "connection reset", "broken pipe", "use of closed network connection"} {
		if strings.Contains(err.Error(), text) {
			return true
		}
	}
	return false
}

// comesAbout bounds how long a test waits for something that must come about.
const comesAbout = 90 * time.Second

// until waits until a condition holds, over losses of the connection.
func until(t *testing.T, what string, condition func() (bool, error), detail func() any) {
	t.Helper()
	for deadline := time.Now().Add(comesAbout); ; {
		holds, err := condition()
		if err != nil && !isLost(err) {
			t.Fatalf("%s: %v", what, err)
		}
		if holds {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not come about: %v", what, detail())
		}
		time.Sleep(10 * time.Millisecond)
	}
}

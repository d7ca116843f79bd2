package eviction

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
)

const minute = millisPerMinute

var began = int64(1_700_000_000_000)

func TestIdle(t *testing.T) {
	u := newUses(64, began, rand.Uint64)
	a, b := []byte("a"), []byte("b")
	if _, ok := u.Idle(0, a, began); ok {
		t.Error("a key is known that was never used")
	}
	u.Touch(0, a, began)
	u.Touch(1, a, began+10)
	u.SetIdle(0, b, began, 5000)
	for _, c := range []struct {
		place int
		key   []byte
		at    int64
		want  int64
	}{{0, a, began, 0}, {0, a, began + 2500, 2500}, {1, a, began + 2500, 2490}, {0, b, began + 1, 5001}, {0, a, began - 7, 0}} {
		if got, ok := u.Idle(c.place, c.key, c.at); !ok || got != c.want {
			t.Errorf("Idle(%d, %s) at %+d = %d, %v, want %d", c.place, c.key, c.at-began, got, ok, c.want)
		}
	}
	u.Touch(0, b, began+100)
	if got, _ := u.Idle(0, b, began+100); got != 0 {
		t.Errorf("idle for %d after a use", got)
	}
	u.SetIdle(0, b, began, 1<<62)
	if got, _ := u.Idle(0, b, began); got != 1<<(dataBits-1)-1 {
		t.Errorf("idle for ever is %d", got)
	}
}

// Of more keys than fit, those stay that were used last.
func TestUsesForgetsTheOldest(t *testing.T) {
	const most, keys = 1 << 10, 1 << 14
	u := newUses(most, began, rand.Uint64)
	for i := range int64(keys) {
		u.Touch(0, fmt.Appendf(nil, "key:%d", i), began+i)
	}
	known := 0
	for i := range int64(keys) {
		idle, ok := u.Idle(0, fmt.Appendf(nil, "key:%d", i), began+keys)
		if !ok {
			continue
		}
		known++
		if idle != keys-i {
			t.Fatalf("key:%d was idle for %d, want %d", i, idle, keys-i)
		}
		if idle > 8*most {
			t.Errorf("key:%d was remembered before %d later ones", i, idle)
		}
	}
	if known != most {
		t.Errorf("%d keys are known, want %d", known, most)
	}
}

func TestCount(t *testing.T) {
	const seed = 7
	u := newUses(64, began, rand.New(rand.NewPCG(seed, seed)).Uint64)
	u.Configure(Settings{Frequency: true, LogFactor: 10, DecayMinutes: 1})
	key := []byte("k")
	if got := u.Count(0, key, began, began); got != freshUses {
		t.Errorf("a key that was just written counts %d, want %d", got, freshUses)
	}
	if got := u.Count(0, key, began+3*minute, began); got != freshUses-3 {
		t.Errorf("a key that was written three minutes ago counts %d, want %d", got, freshUses-3)
	}
	// Redis' own table for a factor of 10.
	for _, c := range []struct{ uses, least, most int }{{100, 8, 14}, {1000, 14, 22}, {100_000, 130, 155}} {
		u.Create(0, key, began)
		for range c.uses {
			u.Touch(0, key, began)
		}
		if got := int(u.Count(0, key, began, began)); got < c.least || got > c.most {
			t.Errorf("%d uses count %d, want %d to %d (seed %d)", c.uses, got, c.least, c.most, seed)
		}
	}
	u.SetCount(0, key, began, 100)
	if got := u.Count(0, key, began+40*minute, began); got != 60 {
		t.Errorf("100 counts %d after 40 minutes, want 60", got)
	}
	u.Configure(Settings{Frequency: true, DecayMinutes: 0})
	if got := u.Count(0, key, began+40*minute, began); got != 100 {
		t.Errorf("100 counts %d without decay", got)
	}
	for range 300 {
		u.Touch(0, key, began)
	}
	if got := u.Count(0, key, began, began); got != 255 {
		t.Errorf("with a factor of 0 it counts %d, want 255", got)
	}
}

func TestConfigureForgets(t *testing.T) {
	u := newUses(64, began, rand.Uint64)
	key := []byte("k")
	u.SetIdle(0, key, began, 1000)
	u.Configure(Settings{LogFactor: 3})
	if got, ok := u.Idle(0, key, began); !ok || got != 1000 {
		t.Errorf("idle for %d, %v after another setting has changed", got, ok)
	}
	u.Configure(Settings{Frequency: true})
	if got := u.Count(0, key, began, began); got != freshUses {
		t.Errorf("counts %d after the policy has changed", got)
	}
	if _, ok := u.Idle(0, key, began); ok {
		t.Error("an idle time is known by frequency")
	}
	u.SetIdle(0, key, began, 1000)
	u.Configure(Settings{})
	u.SetCount(0, key, began, 9)
	if _, ok := u.Idle(0, key, began); ok {
		t.Error("something is known after the policy has changed back")
	}
}

// For a nil Uses there are no uses, and nothing goes wrong.
func TestNoUses(t *testing.T) {
	var u *Uses
	u.Touch(0, nil, began)
	u.Create(0, nil, began)
	u.SetIdle(0, nil, began, 1)
	u.SetCount(0, nil, began, 1)
	if _, ok := u.Idle(0, nil, began); ok || u.Frequency() {
		t.Error("a nil Uses knows something")
	}
}

// Many use the table at once: the race detector looks on, and what is there at the end is right.
func TestUsesTogether(t *testing.T) {
	u := newUses(1<<8, began, rand.Uint64)
	var all sync.WaitGroup
	for g := range 4 {
		all.Go(func() {
			for i := range 2000 {
				u.Touch(g, fmt.Appendf(nil, "%d", i%100), began+int64(i))
				u.Idle(g, fmt.Appendf(nil, "%d", i%70), began)
			}
		})
	}
	all.Wait()
	u.Touch(0, []byte("last"), began+5000)
	if idle, ok := u.Idle(0, []byte("last"), began+5000); !ok || idle != 0 {
		t.Errorf("idle for %d, %v after a use", idle, ok)
	}
}

func BenchmarkTouch(b *testing.B) {
	for _, frequency := range []bool{false, true} {
		b.Run(fmt.Sprintf("frequency=%v", frequency), func(b *testing.B) {
			u := NewUses(began, rand.Uint64)
			u.Configure(Settings{Frequency: frequency, LogFactor: 10, DecayMinutes: 1})
			key := []byte("key:000000000000")
			for i := 0; b.Loop(); i++ {
				key[4] = byte(i)
				u.Touch(0, key, began)
			}
		})
	}
}

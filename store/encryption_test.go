package store

import (
	"context"
	"encoding/hex"
	"errors"
	"math"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/elastickv/elastickv/encryption"
)

func TestCounterNonceFactory(t *testing.T) {
	f := NewCounterNonceFactory(0x0102, 0x0304)
	for _, want := range []string{"010203040000000000000000", "010203040000000000000001", "010203040000000000000002"} {
		got, err := f.Next()
		if err != nil || hex.EncodeToString(got[:]) != want {
			t.Errorf("got %x, %v, want %s", got, err, want)
		}
	}
	f.next.Store(math.MaxUint64 - 1)
	if got, err := f.Next(); err != nil || hex.EncodeToString(got[:]) != "01020304fffffffffffffffe" {
		t.Errorf("the last one: got %x, %v", got, err)
	}
	for range 3 {
		if got, err := f.Next(); !errors.Is(err, errNoncesExhausted) || got != [encryption.NonceSize]byte{} {
			t.Errorf("after the last one: got %x, %v", got, err)
		}
	}
}

func TestCounterNonceFactoryNeverRepeats(t *testing.T) {
	const goroutines, each = 8, 2000
	f := NewCounterNonceFactory(1, 1)
	var nonces [goroutines][each][encryption.NonceSize]byte
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for i := range each {
				var err error
				if nonces[g][i], err = f.Next(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	seen := map[[encryption.NonceSize]byte]bool{}
	for g := range goroutines {
		for _, n := range nonces[g] {
			seen[n] = true
		}
	}
	if len(seen) != goroutines*each {
		t.Errorf("%d different nonces of %d", len(seen), goroutines*each)
	}
}

// An option with nothing in it is as if it were not there.
func TestEncryptionOptionsWithNil(t *testing.T) {
	cipher := sealTestCipher(t, 1)
	nonces := NewCounterNonceFactory(1, 1)
	one := func() (uint32, bool) { return 1, true }
	no := func() bool { return false }
	all := WithEncryption(cipher, nonces, one)
	for _, c := range []struct {
		name   string
		opts   []PebbleStoreOption
		sealed bool
		err    error
	}{
		{"nothing", nil, false, nil},
		{"everything", []PebbleStoreOption{all}, true, nil},
		{"no cipher", []PebbleStoreOption{WithEncryption(nil, nonces, one)}, false, nil},
		{"no nonces", []PebbleStoreOption{WithEncryption(cipher, nil, one)}, false, nil},
		{"no key id", []PebbleStoreOption{WithEncryption(cipher, nonces, nil)}, false, nil},
		{"nothing after everything", []PebbleStoreOption{all, WithEncryption(nil, nil, nil)}, true, nil},
		{"nil gates", []PebbleStoreOption{WithStorageEnvelopeGate(nil), WithStorageRegistrationGate(nil), all}, true, nil},
		{"not active", []PebbleStoreOption{all, WithStorageEnvelopeGate(no), WithStorageEnvelopeGate(nil)}, false, nil},
		{"not registered", []PebbleStoreOption{all, WithStorageRegistrationGate(no), WithStorageRegistrationGate(nil)}, false, ErrWriterNotRegistered},
		{"gates without encryption", []PebbleStoreOption{WithStorageEnvelopeGate(no), WithStorageRegistrationGate(no)}, false, nil},
	} {
		s := openTest(t, "db", append(c.opts, WithFS(vfs.NewMem()))...)
		if err := s.PutAt(context.Background(), []byte("k"), []byte("v"), 1, 0); !errors.Is(err, c.err) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.err)
		}
		for _, r := range engineRows(t, s) {
			if valueSealed(r.value) != c.sealed {
				t.Errorf("%s: %s", c.name, r.describe(t))
			}
		}
		if c.err == nil {
			wantValue(t, s, "k", 1, "v")
		}
	}
}

// A gate may change its mind at any moment; each write is made as a whole, by one answer.
func TestGateFlipsUnderWrites(t *testing.T) {
	ctx := context.Background()
	s := newSealer(t)
	var mu sync.Mutex
	asked := 0
	e := openTest(t, "db", WithFS(vfs.NewMem()), WithVersionCacheSize(-1),
		WithEncryption(s.cipher, s.nonces, func() (uint32, bool) {
			mu.Lock()
			defer mu.Unlock()
			asked++
			return uint32(asked%2) + 1, asked%3 > 0
		}))
	var wg sync.WaitGroup
	const writers, rounds = 4, 50
	for w := range writers {
		wg.Go(func() {
			for round := 1; round <= rounds; round++ {
				must(t, e.ApplyMutations(ctx, crashMutations(w, round), nil, maxTS, crashTS(w, round)))
			}
		})
	}
	wg.Wait()
	states := map[uint64]map[string]bool{} // by timestamp, what its rows are sealed under
	kinds := map[string]bool{}
	for _, r := range engineRows(t, e) {
		_, ts, err := parseVersionKey(r.key)
		must(t, err)
		state := "clear"
		if valueSealed(r.value) {
			envelope, err := encryption.ParseEnvelope(r.value[1:])
			must(t, err)
			state = string(rune('0' + envelope.KeyID))
		}
		if states[ts] == nil {
			states[ts] = map[string]bool{}
		}
		states[ts][state], kinds[state] = true, true
	}
	for ts, state := range states {
		if len(state) != 1 {
			t.Errorf("the write at %d is %v", ts, state)
		}
	}
	if len(states) != writers*rounds || len(kinds) != 3 {
		t.Errorf("%d writes, of kinds %v", len(states), kinds)
	}
	describe(t, e) // reads every row
}

package encryption_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/elastickv/elastickv/encryption"
)

// testKey returns a key that is no other number's.
func testKey(n byte) []byte {
	return bytes.Repeat([]byte{0xa0, n, 0x5e, 0xc3}, encryption.KeySize/4)
}

func newCipher(t testing.TB, ids ...uint32) *encryption.Cipher {
	t.Helper()
	c := encryption.NewCipher()
	for _, id := range ids {
		if err := c.AddKey(id, testKey(byte(id))); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

var someNonce = &[encryption.NonceSize]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}

func TestKeys(t *testing.T) {
	c := newCipher(t, 7, 1, 300)
	if got := c.KeyIDs(); !slices.Equal(got, []uint32{1, 7, 300}) {
		t.Errorf("ids: got %v", got)
	}
	if !c.HasKey(7) || c.HasKey(8) || c.HasKey(0) {
		t.Errorf("has 7, 8, 0: got %t, %t, %t", c.HasKey(7), c.HasKey(8), c.HasKey(0))
	}
	if err := c.AddKey(7, testKey(7)); err != nil {
		t.Errorf("the same key again: %v", err)
	}
	if !c.RemoveKey(7) || c.RemoveKey(7) || c.HasKey(7) {
		t.Error("key 7 is not removed, once")
	}
	if err := c.AddKey(7, testKey(8)); err != nil {
		t.Errorf("another key in the place of a removed one: %v", err)
	}
	var zero encryption.Cipher
	if zero.HasKey(1) || zero.RemoveKey(1) || len(zero.KeyIDs()) != 0 {
		t.Error("the zero cipher has a key")
	}
	if err := zero.AddKey(1, testKey(1)); err != nil || !zero.HasKey(1) {
		t.Errorf("a key for the zero cipher: %v", err)
	}
}

func TestKeysRefused(t *testing.T) {
	for _, c := range []struct {
		name string
		id   uint32
		key  []byte
		want error
	}{
		{"id 0", 0, testKey(1), encryption.ErrKeyIDReserved},
		{"no key", 1, nil, encryption.ErrKeySize},
		{"a key for AES-128", 1, testKey(1)[:16], encryption.ErrKeySize},
		{"a byte too long", 1, append(testKey(1), 0), encryption.ErrKeySize},
		{"another key under a known id", 2, testKey(1), encryption.ErrKeyDiffers},
	} {
		set := newCipher(t, 2)
		err := set.AddKey(c.id, c.key)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
		if strings.Contains(err.Error(), hex.EncodeToString(testKey(1))[:8]) {
			t.Errorf("%s: the error shows the key: %v", c.name, err)
		}
		if got := set.KeyIDs(); !slices.Equal(got, []uint32{2}) {
			t.Errorf("%s: left keys %v", c.name, got)
		}
	}
}

// The cipher does not depend on the caller's copy of a key.
func TestKeyIsCopied(t *testing.T) {
	c, key := encryption.NewCipher(), testKey(1)
	if err := c.AddKey(1, key); err != nil {
		t.Fatal(err)
	}
	before, _ := c.Seal(nil, 1, someNonce, []byte("v"), nil)
	clear(key)
	after, _ := c.Seal(nil, 1, someNonce, []byte("v"), nil)
	if !bytes.Equal(before, after) {
		t.Error("a key that was wiped by its owner has changed in the cipher")
	}
}

func TestUnknownKey(t *testing.T) {
	c := newCipher(t, 1, 2)
	sealed, err := c.Seal(nil, 1, someNonce, []byte("v"), nil)
	if err != nil {
		t.Fatal(err)
	}
	c.RemoveKey(1)
	dst := []byte("dst")
	for _, id := range []uint32{0, 1, 3} {
		var unknown *encryption.UnknownKeyError
		got, err := c.Seal(dst, id, someNonce, []byte("v"), nil)
		if !errors.As(err, &unknown) || unknown.KeyID != id || errors.Is(err, encryption.ErrIntegrity) || string(got) != "dst" {
			t.Errorf("seal under %d: got %q, %v", id, got, err)
		}
		unknown = nil
		got, err = c.Open(dst, id, someNonce, sealed, nil)
		if !errors.As(err, &unknown) || unknown.KeyID != id || !errors.Is(err, encryption.ErrIntegrity) || string(got) != "dst" {
			t.Errorf("open under %d: got %q, %v", id, got, err)
		}
	}
	if got, err := c.Open(dst, 2, someNonce, sealed, nil); err == nil || errors.As(err, new(*encryption.UnknownKeyError)) || string(got) != "dst" {
		t.Errorf("open under a wrong key: got %q, %v", got, err)
	}
}

// Whatever bit is changed, of what is sealed or of what it is bound to, it does not open.
func TestEveryBitCounts(t *testing.T) {
	c := newCipher(t, 1)
	additional := []byte("bound to this")
	sealed, err := c.Seal(nil, 1, someNonce, []byte("a value"), additional)
	if err != nil {
		t.Fatal(err)
	}
	nonce := someNonce[:]
	for _, part := range [][]byte{sealed, additional, nonce} {
		for bit := range len(part) * 8 {
			part[bit/8] ^= 1 << (bit % 8)
			if got, err := c.Open(nil, 1, someNonce, sealed, additional); !errors.Is(err, encryption.ErrIntegrity) || got != nil {
				t.Errorf("bit %d of %d bytes: got %q, %v", bit, len(part), got, err)
			}
			part[bit/8] ^= 1 << (bit % 8)
		}
	}
	if got, err := c.Open(nil, 1, someNonce, sealed, additional); err != nil || string(got) != "a value" {
		t.Errorf("unchanged: got %q, %v", got, err)
	}
	for n := range len(sealed) {
		if _, err := c.Open(nil, 1, someNonce, sealed[:n], additional); !errors.Is(err, encryption.ErrIntegrity) {
			t.Errorf("cut to %d bytes: got %v", n, err)
		}
	}
}

// Keys come and go while others seal and open: those see the key or an error that says
// that it is missing.
func TestKeysChangeUnderUse(t *testing.T) {
	c := newCipher(t, 1, 2)
	sealed, err := c.Seal(nil, 1, someNonce, []byte("v"), nil)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for range 2000 {
				if got, err := c.Open(nil, 1, someNonce, sealed, nil); err != nil || string(got) != "v" {
					t.Errorf("a key that stays: got %q, %v", got, err)
				}
				if _, err := c.Seal(nil, 2, someNonce, nil, nil); err != nil && !errors.As(err, new(*encryption.UnknownKeyError)) {
					t.Errorf("a key that comes and goes: %v", err)
				}
			}
		})
	}
	wg.Go(func() {
		for range 500 {
			c.RemoveKey(2)
			if err := c.AddKey(2, testKey(2)); err != nil {
				t.Error(err)
			}
		}
	})
	wg.Wait()
	if got := c.KeyIDs(); !slices.Equal(got, []uint32{1, 2}) {
		t.Errorf("ids: got %v", got)
	}
}

// However a cipher is printed, and in whatever it lies, no byte of a key comes out.
func TestCipherPrintsNoKey(t *testing.T) {
	c := newCipher(t, 1, 2)
	const want = "encryption.Cipher[1 2]"
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%X", "%t"} {
		if got := fmt.Sprintf(verb, c); got != want {
			t.Errorf("%s: got %q, want %q", verb, got, want)
		}
	}
	if got := c.String() + c.GoString(); got != want+want {
		t.Errorf("got %q", got)
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("m", "cipher", c)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("m", "cipher", c)
	if n := strings.Count(log.String(), want); n != 2 {
		t.Errorf("logs: got %s", log.String())
	}
	text, err := json.Marshal(map[string]any{"cipher": c})
	if err != nil || string(text) != `{"cipher":"`+want+`"}` {
		t.Errorf("JSON: got %s, %v", text, err)
	}
	var none *encryption.Cipher
	if got := fmt.Sprint(none); got != "encryption.Cipher(nil)" {
		t.Errorf("nil: got %q", got)
	}
	holder := struct {
		Exported   *encryption.Cipher
		unexported *encryption.Cipher
	}{c, c}
	all := log.String() + fmt.Sprintf("%v %+v %#v", holder, holder, holder)
	for _, form := range []string{string(testKey(1)[:4]), "a0015ec3", "A0015EC3", "160 1 94 195", "0xa0, 0x1, 0x5e, 0xc3"} {
		if strings.Contains(all, form) {
			t.Errorf("a key is shown as %q: %s", form, all)
		}
	}
}

func BenchmarkSeal(b *testing.B) {
	c := newCipher(b, 1)
	for _, size := range []int{100, 10 << 10} {
		plaintext, additional := make([]byte, size), make([]byte, 48)
		dst := make([]byte, 0, size+encryption.TagSize)
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Seal(dst, 1, someNonce, plaintext, additional); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// Sealing and opening into a buffer that is large enough allocates nothing.
func TestCipherAllocations(t *testing.T) {
	c := newCipher(t, 1)
	value, additional := make([]byte, 100), make([]byte, 48)
	sealed, opened := make([]byte, 0, 200), make([]byte, 0, 200)
	if n := testing.AllocsPerRun(100, func() {
		s, _ := c.Seal(sealed, 1, someNonce, value, additional)
		if _, err := c.Open(opened, 1, someNonce, s, additional); err != nil {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("got %v allocations", n)
	}
}

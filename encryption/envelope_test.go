package encryption_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/elastickv/elastickv/encryption"
	"github.com/elastickv/elastickv/internal/testkit/corpus"
)

func TestEnvelopeParts(t *testing.T) {
	b := encryption.AppendEnvelopeHeader(nil, 0x01020304)
	if !bytes.Equal(b, []byte{1, 0, 1, 2, 3, 4}) || len(b) != encryption.EnvelopeHeaderSize {
		t.Fatalf("header: got %x", b)
	}
	b = append(append(append(b, someNonce[:]...), "text"...), make([]byte, encryption.TagSize)...)
	e, err := encryption.ParseEnvelope(b)
	if err != nil || e.KeyID != 0x01020304 || *e.Nonce != *someNonce || !bytes.Equal(e.Sealed, append([]byte("text"), make([]byte, 16)...)) {
		t.Fatalf("got %+v, %v", e, err)
	}
	clear(b[2:6])
	if _, err := encryption.ParseEnvelope(b); !errors.Is(err, encryption.ErrIntegrity) {
		t.Errorf("key id 0: got %v", err)
	}
	if cap(e.Sealed) != len(e.Sealed) {
		t.Error("what is sealed can be appended to in place")
	}
}

// An envelope that parses is put together again from its parts; one that does not is a
// failed integrity check. Nothing that was not sealed opens.
// someEnvelope returns a cipher and an envelope that it has sealed.
func someEnvelope(t testing.TB) (*encryption.Cipher, []byte) {
	t.Helper()
	c := newCipher(t, 1)
	header := encryption.AppendEnvelopeHeader(nil, 1)
	sealed, err := c.Seal(append(bytes.Clone(header), someNonce[:]...), 1, someNonce, []byte("v"), header)
	if err != nil {
		t.Fatal(err)
	}
	return c, sealed
}

// TestFuzzCorpus holds the seeds of the fuzz targets of this package.
func TestFuzzCorpus(t *testing.T) {
	_, sealed := someEnvelope(t)
	seeds := append(corpus.Bent("sealed", sealed),
		corpus.Of("empty", []byte{}),
		corpus.Of("version", []byte{1}),
		corpus.Of("header", []byte{1, 0, 0, 0, 0, 1}),
		corpus.Of("zeros", make([]byte, 34)),
		corpus.Of("short", sealed[:33]),
		corpus.Of("newer", append([]byte{2}, sealed[1:]...)))
	corpus.Check(t, map[string][]corpus.Seed{"FuzzParseEnvelope": seeds})
}

func FuzzParseEnvelope(f *testing.F) {
	c, sealed := someEnvelope(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := encryption.ParseEnvelope(b)
		if err != nil {
			if !errors.Is(err, encryption.ErrIntegrity) {
				t.Fatalf("%x: got %v", b, err)
			}
			return
		}
		if again := append(append(encryption.AppendEnvelopeHeader(nil, e.KeyID), e.Nonce[:]...), e.Sealed...); !bytes.Equal(again, b) {
			t.Fatalf("%x is put together as %x", b, again)
		}
		if got, err := c.Open(nil, e.KeyID, e.Nonce, e.Sealed, b[:encryption.EnvelopeHeaderSize]); err == nil && !bytes.Equal(b, sealed) {
			t.Fatalf("%x opens to %q", b, got)
		}
	})
}

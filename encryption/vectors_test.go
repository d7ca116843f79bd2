package encryption_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"testing"

	"github.com/elastickv/elastickv/encryption"
)

// hexBytes are bytes that stand in hex in a JSON file.
type hexBytes []byte

func (b *hexBytes) UnmarshalText(text []byte) (err error) {
	*b, err = hex.AppendDecode(nil, text)
	return err
}

type vector struct {
	Name       string   `json:"name"`
	Key        hexBytes `json:"key"`
	KeyID      uint32   `json:"key_id"`
	Nonce      hexBytes `json:"nonce"`
	Context    hexBytes `json:"context"`
	Plaintext  hexBytes `json:"plaintext"`
	Additional hexBytes `json:"additional_data"`
	Envelope   hexBytes `json:"envelope"`
}

func readVectors(t *testing.T) (opens, fails []vector) {
	t.Helper()
	text, err := os.ReadFile("testdata/envelope_v1.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Opens, Fails []vector }
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Opens) < 8 || len(file.Fails) < 13 {
		t.Fatalf("read %d and %d vectors", len(file.Opens), len(file.Fails))
	}
	return file.Opens, file.Fails
}

func (v vector) cipher(t *testing.T) *encryption.Cipher {
	t.Helper()
	c := encryption.NewCipher()
	if err := c.AddKey(v.KeyID, v.Key); err != nil {
		t.Fatal(err)
	}
	return c
}

// additional is what an envelope under v's key and with v's context is bound to.
func (v vector) additional() []byte {
	return append(encryption.AppendEnvelopeHeader(nil, v.KeyID), v.Context...)
}

// open opens v's envelope as a reader does.
func (v vector) open(c *encryption.Cipher) ([]byte, error) {
	e, err := encryption.ParseEnvelope(v.Envelope)
	if err != nil {
		return nil, err
	}
	return c.Open(nil, e.KeyID, e.Nonce, e.Sealed, v.additional())
}

func TestVectors(t *testing.T) {
	opens, fails := readVectors(t)
	for _, v := range opens {
		t.Run(v.Name, func(t *testing.T) {
			c := v.cipher(t)
			if !bytes.Equal(v.additional(), v.Additional) {
				t.Errorf("additional data: got %x, want %x", v.additional(), v.Additional)
			}
			envelope := append(encryption.AppendEnvelopeHeader([]byte("before"), v.KeyID), v.Nonce...)
			envelope, err := c.Seal(envelope, v.KeyID, (*[encryption.NonceSize]byte)(v.Nonce), v.Plaintext, v.additional())
			if err != nil || !bytes.Equal(envelope, append([]byte("before"), v.Envelope...)) {
				t.Errorf("sealed: got %x, %v", envelope, err)
			}
			if n := len(v.Envelope) - len(v.Plaintext); n != encryption.EnvelopeOverhead {
				t.Errorf("overhead: got %d, want %d", encryption.EnvelopeOverhead, n)
			}
			plaintext, err := v.open(c)
			if err != nil || !bytes.Equal(plaintext, v.Plaintext) {
				t.Errorf("opened: got %x, %v", plaintext, err)
			}
		})
	}
	for _, v := range fails {
		t.Run(v.Name, func(t *testing.T) {
			if plaintext, err := v.open(v.cipher(t)); !errors.Is(err, encryption.ErrIntegrity) || plaintext != nil {
				t.Errorf("opened: got %x, %v", plaintext, err)
			}
		})
	}
}

// The vectors hold without this package: with nothing but what their file says.
func TestVectorsByHand(t *testing.T) {
	opens, _ := readVectors(t)
	for _, v := range opens {
		block, err := aes.NewCipher(v.Key)
		if err != nil {
			t.Fatal(err)
		}
		gcm, err := cipher.NewGCM(block)
		if err != nil {
			t.Fatal(err)
		}
		envelope := []byte{0x01, 0x00, 0, 0, 0, 0}
		binary.BigEndian.PutUint32(envelope[2:], v.KeyID)
		additional := append(bytes.Clone(envelope), v.Context...)
		envelope = gcm.Seal(append(envelope, v.Nonce...), v.Nonce, v.Plaintext, additional)
		if !bytes.Equal(envelope, v.Envelope) {
			t.Errorf("%s: got %x, want %x", v.Name, envelope, v.Envelope)
		}
	}
}

// Test case 16 of "The Galois/Counter Mode of Operation" by McGrew and Viega ties Seal
// and Open to the standard's own numbers.
func TestStandardVector(t *testing.T) {
	bin := func(s string) []byte {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	plaintext := bin("d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39")
	additional := bin("feedfacedeadbeeffeedfacedeadbeefabaddad2")
	nonce := (*[encryption.NonceSize]byte)(bin("cafebabefacedbaddecaf888"))
	want := bin("522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662" +
		"76fc6ece0f4e1768cddf8853bb2d551b")
	c := encryption.NewCipher()
	if err := c.AddKey(9, bin("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308")); err != nil {
		t.Fatal(err)
	}
	sealed, err := c.Seal(nil, 9, nonce, plaintext, additional)
	if err != nil || !bytes.Equal(sealed, want) {
		t.Fatalf("sealed: got %x, %v, want %x", sealed, err, want)
	}
	opened, err := c.Open(nil, 9, nonce, sealed, additional)
	if err != nil || !bytes.Equal(opened, plaintext) {
		t.Fatalf("opened: got %x, %v, want %x", opened, err, plaintext)
	}
}

package keys

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/elastickv/elastickv/encryption"
)

// Secret is a key of encryption.KeySize bytes, or none. It prints as neither, whoever prints it
// and however: the bytes are behind a function because package fmt does not ask the methods
// of fields that are not exported, and follows pointers.
type Secret struct {
	key func() *[encryption.KeySize]byte // nil if there is none
}

var (
	_ fmt.Formatter  = Secret{}
	_ fmt.GoStringer = Secret{}
	_ slog.LogValuer = Secret{}
	_ json.Marshaler = Secret{}
)

const redacted = "keys.Secret(not shown)"

// String says nothing.
func (s Secret) String() string { return redacted }

// GoString is String, for %#v.
func (s Secret) GoString() string { return redacted }

// Format writes String for every verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue is String.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON is String as a JSON string.
func (s Secret) MarshalJSON() ([]byte, error) { return json.Marshal(redacted) }

// bytes returns the key itself. There is one.
func (s Secret) bytes() []byte { return s.key()[:] }

// none reports whether there is no key.
func (s Secret) none() bool { return s.key == nil }

// NewSecret returns a copy of key as a Secret.
func NewSecret(key []byte) (Secret, error) {
	if len(key) != encryption.KeySize {
		return Secret{}, fmt.Errorf("%w: %d bytes, not %d", errSecretSize, len(key), encryption.KeySize)
	}
	held := [encryption.KeySize]byte(key)
	return Secret{func() *[encryption.KeySize]byte { return &held }}, nil
}

// drawSecret makes a new key of chance.
func drawSecret(chance io.Reader) (Secret, error) {
	var key [encryption.KeySize]byte
	if _, err := io.ReadFull(chance, key[:]); err != nil {
		return Secret{}, fmt.Errorf("keys: draw a key: %w", err)
	}
	return Secret{func() *[encryption.KeySize]byte { return &key }}, nil
}

var (
	errSecretSize = errors.New("wrong size of key")
	errSecretText = errors.New("a key is 32 bytes, or their 64 hexadecimal digits, or their 44 characters of base64")
)

// ParseSecret reads a key as operators keep it: its 32 bytes, or them in hexadecimal or
// standard base64; a line break may follow these. The error shows nothing of text.
func ParseSecret(text []byte) (Secret, error) {
	if len(text) == encryption.KeySize {
		return NewSecret(text)
	}
	for n := len(text); n > 0 && (text[n-1] == '\n' || text[n-1] == '\r'); n-- {
		text = text[:n-1]
	}
	key := make([]byte, len(text))
	defer clear(key)
	var n int
	var err error
	switch len(text) {
	case hex.EncodedLen(encryption.KeySize):
		n, err = hex.Decode(key, text)
	case base64.StdEncoding.EncodedLen(encryption.KeySize):
		n, err = base64.StdEncoding.Decode(key, text)
	default:
		return Secret{}, fmt.Errorf("%w: these are %d bytes", errSecretText, len(text))
	}
	if err != nil || n != encryption.KeySize {
		return Secret{}, errSecretText
	}
	return NewSecret(key[:n])
}

package encryption

import (
	"encoding/json"
	"fmt"
	"log/slog"
)

// A cipher prints as the ids of its keys, whoever prints it and however.
var (
	_ fmt.Formatter  = (*Cipher)(nil)
	_ fmt.GoStringer = (*Cipher)(nil)
	_ slog.LogValuer = (*Cipher)(nil)
	_ json.Marshaler = (*Cipher)(nil)
)

// String returns the ids of the keys.
func (c *Cipher) String() string {
	if c == nil {
		return "encryption.Cipher(nil)"
	}
	return fmt.Sprintf("encryption.Cipher%d", c.KeyIDs())
}

// GoString is String, for %#v.
func (c *Cipher) GoString() string { return c.String() }

// Format writes String for every verb.
func (c *Cipher) Format(s fmt.State, _ rune) { _, _ = s.Write([]byte(c.String())) }

// LogValue is String.
func (c *Cipher) LogValue() slog.Value { return slog.StringValue(c.String()) }

// MarshalJSON is String as a JSON string.
func (c *Cipher) MarshalJSON() ([]byte, error) { return json.Marshal(c.String()) }

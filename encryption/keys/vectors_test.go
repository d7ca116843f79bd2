package keys

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"regexp"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew; only with a new number of the format")

// hexBytes are bytes that stand in hex in a JSON file.
type hexBytes []byte

func (b hexBytes) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(b)), nil }

func (b *hexBytes) UnmarshalText(text []byte) (err error) {
	*b, err = hex.AppendDecode(nil, text)
	return err
}

// wrapVectors is testdata/wrap_v1.json.
type wrapVectors struct {
	Format  string       `json:"format"`
	Reading []string     `json:"reading"`
	KEK     hexBytes     `json:"kek"`
	KEKID   string       `json:"kek_id"`
	MACKey  hexBytes     `json:"mac_key"` // of keys.json
	Opens   []wrapVector `json:"opens"`
	Fails   []wrapVector `json:"fails"`
}

type wrapVector struct {
	Name       string   `json:"name"`
	ID         uint32   `json:"key_id"`
	Purpose    string   `json:"purpose"`
	Key        hexBytes `json:"key,omitempty"`
	Additional hexBytes `json:"additional_data,omitempty"`
	Wrapped    hexBytes `json:"wrapped"`
}

const (
	wrapVectorFile = "testdata/wrap_v1.json"
	goldenSidecar  = "testdata/keys_v1.json"
)

// goldenKEK is the KEK of the golden files.
func goldenKEK(t testing.TB) Secret {
	t.Helper()
	key := make([]byte, 32)
	for i := range key {
		key[i] = byte(i)
	}
	kek, err := NewSecret(key)
	must(t, err)
	return kek
}

func makeVectors(t *testing.T) wrapVectors {
	kek, c := goldenKEK(t), newChance(99)
	v := wrapVectors{
		Format: "elastickv wrapped key, version 1",
		Reading: []string{
			"All byte strings are in hex.",
			"wrapped = nonce (12) | ciphertext (32) | tag (16): AES-256-GCM under kek of key",
			"additional_data = \"elastickv dek v1\" | length of purpose (1 byte) | purpose | key_id (4 bytes, big endian)",
			"kek_id = HKDF-SHA-256(kek, no salt, \"elastickv kek id v1\"), 8 bytes",
			"mac_key = HKDF-SHA-256(kek, no salt, \"elastickv keys.json mac\"), 32 bytes; the mac of keys.json, such as keys_v1.json, is HMAC-SHA-256 under it of the file with the digits of the mac left out",
			"Each entry of opens unwraps to its key. Each entry of fails must not unwrap.",
		},
		KEK: kek.bytes(),
	}
	var err error
	v.KEKID, err = kekID(kek)
	must(t, err)
	v.MACKey, err = hkdf.Key(sha256.New, kek.bytes(), nil, macLabel, 32)
	must(t, err)
	for _, name := range []dekName{{1, "storage"}, {0xfffffffe, "storage"}, {7, ""}, {7, "another purpose"}} {
		key, err := drawSecret(c)
		must(t, err)
		wrapped, err := wrap(kek, name, key, c)
		must(t, err)
		v.Opens = append(v.Opens, wrapVector{"", name.id, name.purpose, key.bytes(), name.appendBinding(nil), wrapped})
	}
	v.Opens[0].Name, v.Opens[1].Name, v.Opens[2].Name, v.Opens[3].Name = "storage", "highest id", "no purpose", "another purpose"
	fail := func(name string, id uint32, purpose string, wrapped []byte) {
		v.Fails = append(v.Fails, wrapVector{Name: name, ID: id, Purpose: purpose, Wrapped: wrapped})
	}
	first := v.Opens[0].Wrapped
	fail("another id", 2, "storage", first)
	fail("another purpose", 1, "snapshot", first)
	fail("without the last byte", 1, "storage", first[:len(first)-1])
	for _, i := range []int{0, 12, 59} {
		changed := bytes.Clone(first)
		changed[i] ^= 1
		fail("changed byte", 1, "storage", changed)
	}
	fail("nothing", 1, "storage", nil)
	return v
}

func golden(t *testing.T, name string, text []byte) {
	t.Helper()
	if *rewrite {
		must(t, os.WriteFile(name, text, 0o644))
	}
	want, err := os.ReadFile(name)
	must(t, err)
	if !bytes.Equal(text, want) {
		t.Errorf("%s: got\n%s\nwant\n%s", name, text, want)
	}
}

func TestWrapBytes(t *testing.T) {
	made, err := json.MarshalIndent(makeVectors(t), "", "  ")
	must(t, err)
	golden(t, wrapVectorFile, append(made, '\n'))
}

func TestSidecarBytes(t *testing.T) {
	m, kek := newMachine(t), goldenKEK(t)
	o := testOptions(m, newChance(98))
	o.KEK = fixed{"golden", func() (Secret, error) { return kek, nil }}
	r := mustBegin(t, o, m)
	must(t, r.Rewritten(1))
	_, err := r.Rotate()
	must(t, err)
	golden(t, goldenSidecar, sidecarText(t, m))
}

// The golden files open with nothing but the standard library and what FORMAT.md says.
func TestVectorsByHand(t *testing.T) {
	text, err := os.ReadFile(wrapVectorFile)
	must(t, err)
	var v wrapVectors
	must(t, json.Unmarshal(text, &v))
	block, err := aes.NewCipher(v.KEK)
	must(t, err)
	gcm, err := cipher.NewGCM(block)
	must(t, err)
	for _, o := range v.Opens {
		bound := append(append([]byte("elastickv dek v1"), byte(len(o.Purpose))), o.Purpose...)
		bound = append(bound, byte(o.ID>>24), byte(o.ID>>16), byte(o.ID>>8), byte(o.ID))
		key, err := gcm.Open(nil, o.Wrapped[:12], o.Wrapped[12:], bound)
		if err != nil || !bytes.Equal(key, o.Key) || !bytes.Equal(bound, o.Additional) {
			t.Errorf("%s: got %x, %v", o.Name, key, err)
		}
	}
	kek, err := NewSecret(v.KEK)
	must(t, err)
	for _, o := range v.Fails {
		if key, err := unwrap(kek, dekName{o.ID, o.Purpose}, o.Wrapped); err == nil || !key.none() {
			t.Errorf("%s: unwrapped", o.Name)
		}
	}
	if id, err := hkdf.Key(sha256.New, v.KEK, nil, "elastickv kek id v1", 8); err != nil || hex.EncodeToString(id) != v.KEKID {
		t.Errorf("kek_id is %x, %v", id, err)
	}

	sidecar, err := os.ReadFile(goldenSidecar)
	must(t, err)
	digits := regexp.MustCompile(`("mac": ")([0-9a-f]{64})(")`)
	mac := hmac.New(sha256.New, v.MACKey)
	mac.Write(digits.ReplaceAll(sidecar, []byte("$1$3")))
	if got := string(digits.FindSubmatch(sidecar)[2]); got != hex.EncodeToString(mac.Sum(nil)) {
		t.Errorf("the mac of %s is %s", goldenSidecar, got)
	}
	var file struct {
		Keys []struct {
			ID      uint32
			Wrapped []byte
		}
	}
	must(t, json.Unmarshal(sidecar, &file))
	for _, k := range file.Keys {
		bound := []byte("elastickv dek v1\x07storage\x00\x00\x00" + string(rune(k.ID)))
		if _, err := gcm.Open(nil, k.Wrapped[:12], k.Wrapped[12:], bound); err != nil {
			t.Errorf("key %d of %s: %v", k.ID, goldenSidecar, err)
		}
	}
	if len(file.Keys) != 2 {
		t.Errorf("%d keys", len(file.Keys))
	}
}

// The file system of the machine: the file is its owner's alone, whatever lay in the way.
func TestSidecarOnDisk(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(dir+"/"+NewFileName, []byte("left by a crash"), 0o666))
	m := newMachine(t)
	o := testOptions(m, newChance(1))
	o.Dir, o.FS = dir, nil
	mustBegin(t, o, m)
	info, err := os.Stat(dir + "/" + FileName)
	must(t, err)
	if info.Mode() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	if _, err := os.Stat(dir + "/" + NewFileName); !os.IsNotExist(err) {
		t.Errorf("%s is still there: %v", NewFileName, err)
	}
	_, err = Load(context.Background(), o)
	must(t, err)
}

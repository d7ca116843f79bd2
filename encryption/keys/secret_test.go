package keys

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/elastickv/elastickv/internal/testkit/corpus"
)

// TestSecretsArePrintedNowhere prints everything that holds a key in every way, and searches what
// comes out for the keys.
func TestSecretsArePrintedNowhere(t *testing.T) {
	m := newMachine(t)
	o := testOptions(m, newChance(1))
	r := mustBegin(t, o, m)
	_, err := r.Rotate()
	must(t, err)
	command, err := FromCommand("kms", newChance(1))
	must(t, err)
	kek := r.change.kek
	type holder struct {
		Name   string
		Shown  Secret
		hidden Secret
		deep   map[string][]Secret
		ring   *Ring
	}
	h := holder{"h", kek, kek, map[string][]Secret{"a": {kek}}, r}
	var out bytes.Buffer
	loggers := []*slog.Logger{slog.New(slog.NewTextHandler(&out, nil)), slog.New(slog.NewJSONHandler(&out, nil))}
	for _, v := range []any{kek, &kek, h, &h, []holder{h}, r, *r.o, r.o, r.Status(), o.KEK, command, r.nonces, r.file.Load(), fmt.Errorf("x: %v", kek)} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%o", "%b", "%t", "%p"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		text, _ := json.Marshal(v) // some have parts that JSON has no form for
		out.Write(text)
		for _, l := range loggers {
			l.Info("m", "v", v)
		}
	}
	for id, key := range r.change.keys {
		wantAbsent(t, fmt.Sprintf("key %d", id), key, out.Bytes())
	}
	wantAbsent(t, "the KEK", kek, out.Bytes())
	wantAbsent(t, "the KEK in keys.json", kek, sidecarText(t, m))
	if !strings.Contains(out.String(), redacted) {
		t.Error("nothing was printed at all")
	}
	// The search finds what it is for.
	found := &countingT{}
	wantAbsentIn(found, kek, []byte(fmt.Sprint(kek.bytes())))
	wantAbsentIn(found, kek, kek.bytes())
	wantAbsentIn(found, kek, []byte(base64.StdEncoding.EncodeToString(kek.bytes())))
	if found.n != 3 {
		t.Errorf("the search has found %d of 3", found.n)
	}
}

type countingT struct{ n int }

func (c *countingT) found(string) { c.n++ }

type testingFound struct {
	t    *testing.T
	what string
}

func (f testingFound) found(form string) { f.t.Errorf("%s is shown, as %s", f.what, form) }

func wantAbsent(t *testing.T, what string, key Secret, text []byte) {
	t.Helper()
	wantAbsentIn(testingFound{t, what}, key, text)
}

// wantAbsentIn reports the forms of key in which its first half is found in text.
func wantAbsentIn(f interface{ found(form string) }, key Secret, text []byte) {
	half := key.bytes()[:15]
	lower := bytes.ToLower(text)
	for form, shown := range map[string]string{
		"bytes": string(half), "hex": hex.EncodeToString(half), "numbers": strings.Trim(fmt.Sprint(half), "[]"),
		"numbers with commas": strings.Trim(strings.ReplaceAll(fmt.Sprint(half), " ", ","), "[]"),
	} {
		if bytes.Contains(lower, bytes.ToLower([]byte(shown))) {
			f.found(form)
			return
		}
	}
	for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
		if bytes.Contains(text, []byte(enc.EncodeToString(half))) {
			f.found("base64")
			return
		}
	}
}

func TestParseSecretRejects(t *testing.T) {
	for _, text := range []string{"", "x", strings.Repeat("g", 64), strings.Repeat("0", 63), strings.Repeat("\n", 50)} {
		if _, err := ParseSecret([]byte(text)); err == nil {
			t.Errorf("%q is taken for a key", text)
		}
	}
	if s, err := ParseSecret([]byte(strings.Repeat("\n", 32))); err != nil || s.none() {
		t.Errorf("32 bytes are a key, whatever they are: %v", err)
	}
	_, err := testKEK(1).Open(context.Background(), nil)
	must(t, err)
}

// TestFuzzCorpus holds the seeds of the fuzz targets of this package.
func TestFuzzCorpus(t *testing.T) {
	m := newMachine(t)
	_, err := begin(testOptions(m, newChance(1)), m)
	must(t, err)
	seeds := append(corpus.Bent("sidecar", sidecarText(t, m)),
		corpus.Of("empty", []byte{}),
		corpus.Of("format-alone", []byte(`{"format": 1}`)),
		corpus.Of("null", []byte("null")))
	corpus.Check(t, map[string][]corpus.Seed{"FuzzParseSidecar": seeds})
}

func FuzzParseSidecar(f *testing.F) {
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := parseSidecar(text)
		if err != nil {
			return
		}
		if again, err := s.append(nil, s.MAC); err != nil || !bytes.Equal(again, text) {
			t.Errorf("%q is read as %q", text, again)
		}
	})
}

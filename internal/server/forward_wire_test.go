package server

import (
	"bytes"
	"encoding/hex"
	"reflect"
	"testing"
)

var requests = map[string]*request{
	"0100000000000000000000000000000000000100000001000000046563686f": {proto: 2, scripts: [][]byte{}, calls: [][][]byte{{[]byte("echo")}}},
	"010f0f00000003616e6e0000000361" + "3a310000000100000001780000000200000002000000016100000000000000010000000162": {
		user: "ann", addr: "a:1", db: 15, proto: 3, noTouch: true, transaction: true, lastWord: true, scripts: [][]byte{[]byte("x")},
		calls: [][][]byte{{[]byte("a"), {}}, {[]byte("b")}},
	},
}

// The bytes of requests and answers are what other releases know.
func TestRequestFormat(t *testing.T) {
	for want, r := range requests {
		b := appendRequest(nil, r)
		if got := hex.EncodeToString(b); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		back, err := parseRequest(b)
		if err != nil || !reflect.DeepEqual(back, r) {
			t.Errorf("got %+v, %v; want %+v", back, err, r)
		}
		for n := range b {
			if _, err := parseRequest(b[:n]); err == nil {
				t.Errorf("the first %d bytes of %s are a request", n, want)
			}
		}
		if _, err := parseRequest(append(bytes.Clone(b), 0)); err == nil {
			t.Errorf("more than %s is a request", want)
		}
		b[0]++
		if _, err := parseRequest(b); err == nil {
			t.Error("a request of a later release is understood")
		}
	}
	if got := hex.EncodeToString(appendAnswerEnd([]byte("+"), 258, carriedOut)); got != "2b0000010200" {
		t.Errorf("an answer is %s", got)
	}
	for what, b := range map[string][]byte{
		"nothing":          nil,
		"too much":         appendAnswerEnd(nil, 4, carriedOut),
		"none":             appendAnswerEnd(nil, 0, carriedOut),
		"refused and done": appendAnswerEnd(nil, 1, refused),
		"another status":   appendAnswerEnd(nil, 0, lacking+1),
	} {
		if a, err := parseAnswer(b, 3); err == nil {
			t.Errorf("%s: %+v", what, a)
		}
	}
	if a, err := parseAnswer(appendAnswerEnd([]byte("+OK"), 3, carriedOut), 3); err != nil || string(a.replies) != "+OK" || a.carried != 3 {
		t.Errorf("got %+v, %v", a, err)
	}
}

// FuzzRequest reads anything as a request: what is one is written as it was.
func FuzzRequest(f *testing.F) {
	for text := range requests {
		b, _ := hex.DecodeString(text)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parseRequest(b)
		if err != nil {
			return
		}
		b[1] &= flagProto3 | flagNoTouch | flagTransaction | flagLastWord // others mean nothing
		if got := appendRequest(nil, r); !bytes.Equal(got, b) {
			t.Errorf("%x becomes %x", b, got)
		}
	})
}

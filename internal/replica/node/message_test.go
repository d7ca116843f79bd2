package node

import (
	"encoding/hex"
	"testing"
)

func TestMessageBytes(t *testing.T) {
	for _, x := range []struct {
		m    Message
		want string
	}{
		{Message{false, []byte("ch"), []byte("hello")}, "01" + "01" + "00000002" + "6368" + "68656c6c6f"},
		{Message{true, nil, nil}, "01" + "02" + "00000000"},
	} {
		b := appendMessage(nil, x.m)
		if got := hex.EncodeToString(b); got != x.want {
			t.Errorf("%+v is %s, want %s", x.m, got, x.want)
		}
		back, err := parseMessage(b)
		if err != nil || back.Shard != x.m.Shard || string(back.Channel) != string(x.m.Channel) || string(back.Payload) != string(x.m.Payload) {
			t.Errorf("%s is %+v, %v", x.want, back, err)
		}
	}
	for _, bad := range []string{"", "0101000000", "02010000000161", "01030000000161", "010100000002" + "61"} {
		b, _ := hex.DecodeString(bad)
		if m, err := parseMessage(b); err == nil {
			t.Errorf("%s is %+v", bad, m)
		}
	}
}

func FuzzParseMessage(f *testing.F) {
	f.Add(appendMessage(nil, Message{true, []byte("a"), []byte("b")}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := parseMessage(b); err == nil && string(appendMessage(nil, m)) != string(b) {
			t.Errorf("%x is %+v", b, m)
		}
	})
}

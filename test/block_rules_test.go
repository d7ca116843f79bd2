package test

import (
	"bufio"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/elastickv/elastickv/internal/resp"
)

// decoded returns the reply that stands in s, in which a blank stands for a line end.
func decoded(t *testing.T, s string) resp.Value {
	t.Helper()
	v, err := resp.ReadReply(bufio.NewReader(strings.NewReader(strings.ReplaceAll(s, " ", "\r\n") + "\r\n")))
	if err != nil {
		t.Fatalf("reply %q: %v", s, err)
	}
	return v
}

func TestSorted(t *testing.T) {
	for _, tc := range []struct {
		name, in, want string
		pairs          bool
	}{
		{"flat array", "*3 :3 :1 :2", "*3 :1 :2 :3", false},
		{"set", "~2 $1 b $1 a", "~2 $1 a $1 b", false},
		{"map by key", "%2 $1 b $1 1 $1 a $1 2", "%2 $1 a $1 2 $1 b $1 1", false},
		{"pairs stay together", "*4 $1 b $1 1 $1 a $1 2", "*4 $1 a $1 2 $1 b $1 1", true},
		{"odd number of elements", "*3 :3 :1 :2", "*3 :1 :2 :3", true},
		{"cursor and page", "*2 $1 9 *2 $1 b $1 a", "*2 $1 9 *2 $1 a $1 b", false},
		{"cursor and page of pairs", "*2 $1 9 *4 $1 b $1 1 $1 a $1 2", "*2 $1 9 *4 $1 a $1 2 $1 b $1 1", true},
		{"array of pairs", "*2 *2 $1 b :1 *2 $1 a :2", "*2 *2 $1 a :2 *2 $1 b :1", false},
		{"inner pair keeps its order", "*1 *2 $1 z $1 a", "*1 *2 $1 z $1 a", false},
		{"scalar", ":1", ":1", false},
		{"empty", "*0", "*0", true},
	} {
		in := decoded(t, tc.in)
		before := in.String()
		if got, want := sorted(in, tc.pairs).String(), decoded(t, tc.want).String(); got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", tc.name, got, want)
		}
		if in.String() != before {
			t.Errorf("%s: the reply itself has been changed", tc.name)
		}
	}
}

func TestReplyLines(t *testing.T) {
	rs := replies{
		{"a", "a", "a"},
		{"1) b\n2) c", "1~ b\n2~ c", "1) b\n2) c"},
		{"d", "d", "e"},
		{direct3: "only 3"},
		{direct2: "only 2", inMulti: "only 2"},
	}
	want := []string{"a", "1) b", "2) c", "resp3: 1~ b", "       2~ c", "d", "multi: e", "only 3", "only 2"}
	if got := rs.lines(); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestMatch(t *testing.T) {
	same := reply{"(integer) 12", "(integer) 13", "(integer) 14"}
	other := reply{"1) x\n2) y", "1# x => y", "1) x\n2) y"}
	for i, tc := range []struct {
		rs       replies
		patterns string
		fault    string
	}{
		{replies{same}, `\(integer\) 1\d`, ""},
		{replies{same, same}, "\\(integer\\) 1\\d\n.*", ""},
		{replies{same}, `\(integer\) 1[23]`, "multi"},
		{replies{same}, `integer`, "resp2"}, // a whole line has to match
		{replies{same}, "", "resp2"},
		{replies{same}, ".*\n.*", "no reply"},
		{replies{same, same}, ".*", "resp2"},
		{replies{other}, "1\\) x\n2\\) y", "resp3"},
		{replies{other}, "1\\) x\n2\\) y\nresp3: 1# x => y", ""},
		{replies{other, same}, "1\\) x\n2\\) .\nresp3: 1# x => .\n.*", ""},
		{replies{other}, "1\\) x\n2\\) y\nresp3: z", "resp3"},
		{replies{same}, "(", "resp2"},
	} {
		err := tc.rs.match(tc.patterns + "\n")
		if tc.fault == "" && err != nil || tc.fault != "" && (err == nil || !strings.Contains(err.Error(), tc.fault)) {
			t.Errorf("case %d, %q: got %v, want a fault of %q", i, tc.patterns, err, tc.fault)
		}
	}
}

func TestParseCall(t *testing.T) {
	for line, want := range map[string]string{
		`GET "a b"`:           `["GET" "a b"] 0`,
		`SET k "\x00\n" 'c'`:  `["SET" "k" "\x00\n" "c"] 0`,
		`repeat 3 LPUSH l $i`: `["LPUSH" "l" "$i"] 3`,
		`repeat 0 PING`:       "", `repeat x PING`: "", `repeat 3`: "", `GET "a`: "", `repeat 100001 PING`: "",
	} {
		c, err := parseCall(line)
		got := fmt.Sprintf("%q %d", c.args, c.repeat)
		if want == "" && err == nil || want != "" && (err != nil || got != want) {
			t.Errorf("%s: got %s, %v; want %s", line, got, err, want)
		}
	}
}

package test

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/elastickv/elastickv/internal/resp"
	"github.com/elastickv/elastickv/internal/testkit"
)

// TestHostile sends what wants more memory, depth or time than there is: each is refused or
// answered, and what others have stays as it was.
func TestHostile(t *testing.T) {
	s := testkit.Elastickv(t, t.TempDir())
	other := testkit.Dial(t, s.Addr, 2)
	other.MustDo(t, "SET", "mine", "intact")
	for key, add := range map[string][]string{
		"list": {"RPUSH", "list"}, "set": {"SADD", "set"}, "zset": {"ZADD", "zset"}, "hash": {"HSET", "hash"}, "stream": {"XADD", "stream", "1-1"},
	} {
		for i := range 100 {
			add = append(add, strconv.Itoa(i))
		}
		other.MustDo(t, add...)
		if other.MustDo(t, "EXISTS", key).Int != 1 {
			t.Fatalf("no %s", key)
		}
	}
	most, least, huge := fmt.Sprint(math.MaxInt64), fmt.Sprint(math.MinInt64), fmt.Sprint(1<<62)
	const tooLong = "(error) ERR string exceeds maximum allowed size (proto-max-bulk-len)"
	const answered = "" // whatever it is
	for _, c := range []struct {
		want string // what the reply begins with
		args []string
	}{
		{tooLong, []string{"SETRANGE", "k", most, "x"}},
		{tooLong, []string{"SETRANGE", "k", fmt.Sprint(512 << 20), "x"}},
		{tooLong, []string{"SETBIT", "k", fmt.Sprint(1<<32 - 1), "1"}},
		{"(error) ERR bit offset is not an integer or out of range", []string{"BITFIELD", "k", "SET", "u8", most, "1"}},
		{"(error) ERR bit offset is not an integer or out of range", []string{"BITFIELD", "k", "SET", "u8", "#" + most, "1"}},
		{"(empty array)", []string{"KEYS", strings.Repeat("*a", 1000) + "b"}},
		{`1) "0"`, []string{"SCAN", "0", "COUNT", huge}},
		{`1) "0"`, []string{"SCAN", "0", "MATCH", strings.Repeat("*?", 1000), "COUNT", huge}},
		{`1) "0"`, []string{"HSCAN", "hash", "0", "COUNT", most}},
		{"(error) ERR value is out of range", []string{"SRANDMEMBER", "set", least}},
		{"(error) ERR reply exceeds", []string{"SRANDMEMBER", "set", "-" + huge}},
		{"(error) ERR value is out of range", []string{"HRANDFIELD", "hash", least, "WITHVALUES"}},
		{"(error) ERR reply exceeds", []string{"ZRANDMEMBER", "zset", "-" + huge}},
		{"(nil array)", []string{"LPOP", "nosuch", huge}},
		{"  1) ", []string{"LRANGE", "list", least, most}},
		{"1) ", []string{"XRANGE", "stream", "-", "+", "COUNT", most}},
		{"(empty array)", []string{"ZRANGE", "zset", "-inf", "+inf", "BYSCORE", "LIMIT", most, most}},
		{answered, []string{"GEOSEARCH", "zset", "FROMLONLAT", "1", "2", "BYRADIUS", "1e300", "km", "COUNT", most}},
		{"  1) ", []string{"SORT", "list", "LIMIT", least, most}},
		{"  1) ", []string{"SORT", "list", "BY", strings.Repeat("*", 1000)}},
		{"(error) ERR user_script:1: stack overflow", []string{"EVAL", "local function f() return f() + 1 end return f()", "0"}},
		{"(error) ERR Error compiling script", []string{"EVAL", "return " + strings.Repeat("(", 20000) + "1" + strings.Repeat(")", 20000), "0"}},
		{"(error) ERR user_script:1: Found too many nested data structures", []string{"EVAL", "return cjson.decode(string.rep('[',100000))", "0"}},
		{"(error) ERR user_script:1: Cannot serialise, excessive nesting", []string{"EVAL", "local a={} for i=1,100000 do a={a} end return cjson.encode(a)", "0"}},
		{"(error) ERR Number of keys can't be greater than number of args", []string{"EVAL", "return 1", most}},
		{"(integer) 0", append([]string{"EXISTS"}, make([]string, 1<<20-2)...)},
	} {
		t.Run(clipped(c.args), func(t *testing.T) {
			v, err := testkit.Dial(t, s.Addr, 2).Do(c.args...)
			if err != nil || !strings.HasPrefix(v.String(), c.want) {
				t.Errorf("got %.200s (%v), want %s", v, err, c.want)
			}
			if got := other.MustDo(t, "GET", "mine").Str; got != "intact" {
				t.Errorf("another key is %q", got)
			}
		})
	}
}

// TestHostileFrames opens connections that announce a great deal and send nothing, and sends what
// is no command.
func TestHostileFrames(t *testing.T) {
	s := testkit.Elastickv(t, t.TempDir())
	other := testkit.Dial(t, s.Addr, 2)
	for _, announced := range []string{"*2\r\n$3\r\nGET\r\n$536870912\r\n", "*1048576\r\n"} {
		for range 100 {
			c := testkit.Dial(t, s.Addr, 2)
			if err := c.SendRaw(announced); err != nil {
				t.Fatal(err)
			}
			if err := c.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, c := range []struct{ name, bytes, want string }{
		{"count too large", "*" + strings.Repeat("9", 30) + "\r\n", "ERR Protocol error: invalid multibulk length"},
		{"nested arrays", strings.Repeat("*1\r\n", 1000), "ERR Protocol error: expected '$', got '*'"},
		{"length below zero", "*1\r\n$-1\r\n", "ERR Protocol error: invalid bulk length"},
		{"length too large", "*1\r\n$999999999999\r\n", "ERR Protocol error: invalid bulk length"},
		{"endless line", strings.Repeat("a", 70_000), "ERR Protocol error: too big inline request"},
		{"open quote", "\"open\r\n", "ERR Protocol error: unbalanced quotes in request"},
		{"number for a word", "*2\r\n$3\r\nGET\r\n:1\r\n", "ERR Protocol error: expected '$', got ':'"},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn := testkit.Dial(t, s.Addr, 2)
			if err := conn.SendRaw(c.bytes); err != nil {
				t.Fatal(err)
			}
			v, err := conn.Receive()
			if err != nil || v.Kind != resp.KindError || v.Str != c.want {
				t.Errorf("got %s (%v), want %s", v, err, c.want)
			}
		})
	}
	other.MustDo(t, "PING")
	const bound = 256 << 20 // 100 times 512 MiB were announced
	for line := range strings.Lines(other.MustDo(t, "INFO", "memory").Str) {
		if text, ok := strings.CutPrefix(strings.TrimSpace(line), "used_memory:"); ok {
			if n, err := strconv.Atoi(text); err != nil || n > bound {
				t.Errorf("used_memory is %s, want at most %d", text, bound)
			}
			return
		}
	}
	t.Error("INFO has no used_memory")
}

// clipped names a case after its command.
func clipped(args []string) string {
	s := strings.Join(args[:min(len(args), 8)], " ")
	return s[:min(len(s), 60)]
}

package test

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/elastickv/elastickv/internal/resp"
	"github.com/elastickv/elastickv/internal/testkit"
)

// hostileSettings keep what a server may take low, and let payloads be made by hand. With a memory-limit that what clients hold
// exceeds, the collector of garbage takes half of the time, and scripts are at work until the patience is over.
var hostileSettings = []string{"memory-limit 512mb", "lua-memory-limit 32mb", "enable-debug-command local", "client-output-buffer-limit normal 64mb 0 0", ""}

// hostileResident is the memory that the process may take with hostileSettings: memory-limit, four
// times what scripts may hold, and a query, a reply or a large value (32 MiB) that is there several times as it is
// read, changed, written and synced. A collection of garbage lets all but the first double.
const hostileResident = (512 + 2*(24+4*32+10*32)) << 20

func startHostile(t *testing.T) *testkit.Server {
	t.Helper()
	config := filepath.Join(t.TempDir(), "hostile.conf")
	if err := os.WriteFile(config, []byte(strings.Join(hostileSettings, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	return testkit.Elastickv(t, t.TempDir(), "--config", config)
}

// hostileData makes a collection of every type, with n elements each.
func hostileData(t *testing.T, c *testkit.Client, prefix string, n int) {
	t.Helper()
	for name, add := range map[string][]string{
		"list": {"RPUSH"}, "set": {"SADD"}, "zset": {"ZADD"}, "hash": {"HSET"}, "stream": {"XADD"},
	} {
		args := []string{add[0], prefix + name}
		if name == "stream" {
			args = append(args, "1-1")
		}
		for i := range n {
			args = append(args, strconv.Itoa(i))
		}
		c.MustDo(t, args...)
	}
	for i := range 50 {
		c.MustDo(t, "XADD", prefix+"entries", fmt.Sprintf("%d-1", i+1), "f", "v")
	}
	c.MustDo(t, "XGROUP", "CREATE", prefix+"entries", "g", "0")
	c.MustDo(t, "XREADGROUP", "GROUP", "g", "c", "STREAMS", prefix+"entries", ">")
	c.MustDo(t, "GEOADD", prefix+"geo", "13.36", "38.11", "a", "-179.9", "85.05", "b", "179.9", "-85.05", "c")
}

// payload is a value as DUMP has it, with a checksum that nobody looks at.
func payload(value string) string { return value + "\x0a\x00" + strings.Repeat("\x00", 8) }

// TestHostile sends what wants more memory, depth or time than there is: each is refused or
// answered, and what others have stays as it was.
func TestHostile(t *testing.T) {
	if testing.Short() && testkit.RaceFactor > 1 {
		t.Skip("takes minutes under the race detector: not in short")
	}
	s := startHostile(t)
	other := testkit.Dial(t, s.Addr, 2)
	other.MustDo(t, "DEBUG", "SET-SKIP-CHECKSUM-VALIDATION", "1")
	hostileData(t, other, "", 100)
	hostileData(t, other, "big:", 20_000)
	other.MustDo(t, "SETRANGE", "large", fmt.Sprint(1<<20-1), "x")
	other.MustDo(t, "SETRANGE", "huge", fmt.Sprint(32<<20-1), "x")
	dog := startWatchdog(t, s, hostileResident)
	most, least, many := fmt.Sprint(math.MaxInt64), fmt.Sprint(math.MinInt64), fmt.Sprint(1<<62)
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
		{`1) "0"`, []string{"SCAN", "0", "COUNT", many}},
		{`1) "0"`, []string{"SCAN", "0", "MATCH", strings.Repeat("*?", 1000), "COUNT", many}},
		{`1) "0"`, []string{"HSCAN", "hash", "0", "COUNT", most}},
		{"(error) ERR value is out of range", []string{"SRANDMEMBER", "set", least}},
		{"(error) ERR reply exceeds", []string{"SRANDMEMBER", "set", "-" + many}},
		{"(error) ERR value is out of range", []string{"HRANDFIELD", "hash", least, "WITHVALUES"}},
		{"(error) ERR reply exceeds", []string{"ZRANDMEMBER", "zset", "-" + many}},
		{"(nil array)", []string{"LPOP", "nosuch", many}},
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

		// Patterns.
		{"(empty array)", []string{"KEYS", strings.Repeat("*[^b]", 500) + "zz"}},
		{"(empty array)", []string{"KEYS", strings.Repeat("[a-", 20_000)}},
		{`1) "0"`, []string{"SSCAN", "big:set", "0", "MATCH", strings.Repeat("*?", 500) + "x", "COUNT", most}},
		{`1) "0"`, []string{"ZSCAN", "big:zset", "0", "MATCH", strings.Repeat("\\*", 5000), "COUNT", most}},
		{"(integer) 0", []string{"DEBUG", "STRINGMATCH-LEN", "50000", strings.Repeat("*A", 2000) + "b"}},
		{"(empty array)", []string{"PUBSUB", "CHANNELS", strings.Repeat("*a", 10_000)}},
		{"  1) ", []string{"CONFIG", "GET", strings.Repeat("*", 10_000)}},
		{"(error) ERR Error in ACL SETUSER modifier", []string{"ACL", "SETUSER", "u", "%" + strings.Repeat("*~", 1000)}},
		{"OK", []string{"ACL", "SETUSER", "u", "~" + strings.Repeat("*a", 5000), "&" + strings.Repeat("*a", 5000), "+@all"}},
		{"\"User u has no permissions", []string{"ACL", "DRYRUN", "u", "GET", strings.Repeat("a", 20_000) + "b"}},
		{"OK", []string{"ACL", "DRYRUN", "u", "GET", strings.Repeat("a", 20_000)}},

		// Counts.
		{"(integer) 50", []string{"ZCOUNT", "zset", "-inf", "inf"}},
		{"(empty array)", []string{"ZRANGEBYLEX", "big:zset", "-", "+", "LIMIT", most, least}},
		{"(empty array)", []string{"ZREVRANGEBYSCORE", "big:zset", "+inf", "-inf", "LIMIT", most, "-1"}},
		{"(empty array)", []string{"ZRANGE", "big:zset", most, least, "REV"}},
		{"(empty array)", []string{"LRANGE", "big:list", most, least}},
		{`""`, []string{"GETRANGE", "huge", most, most}},
		{"(error) ERR RANK can't be zero", []string{"LPOS", "list", "5", "RANK", "0"}},
		{"(error) ERR value is out of range", []string{"LPOS", "list", "5", "RANK", least}},
		{"(nil)", []string{"LPOS", "big:list", "5", "RANK", most, "MAXLEN", most}},
		{"(empty array)", []string{"LPOS", "big:list", "x", "RANK", "-" + most, "COUNT", most, "MAXLEN", most}},
		{"(error) ERR value is out of range, must be positive", []string{"LPOP", "list", least}},
		{"(error) ERR value is out of range, must be positive", []string{"SPOP", "set", least}},
		{"(error) ERR COUNT must be > 0", []string{"XAUTOCLAIM", "entries", "g", "c", "0", "0", "COUNT", most}},
		{"1) \"0-0\"", []string{"XAUTOCLAIM", "entries", "g", "c", "0", "0", "COUNT", fmt.Sprint(math.MaxInt64 / 16)}},
		{" 1) 1) ", []string{"XPENDING", "entries", "g", "-", "+", most}},
		{" 1) 1) ", []string{"XREVRANGE", "entries", "+", "-", "COUNT", most}},
		{"1) 1) ", []string{"XREAD", "COUNT", most, "STREAMS", "entries", "0"}},
		{"(error) ERR The ID specified in XADD is equal or smaller", []string{"XADD", "entries", "MAXLEN", most, "0-1", "f", "v"}},
		{"(error) ERR The LIMIT argument must be >= 0", []string{"XTRIM", "entries", "MAXLEN", "~", "1", "LIMIT", least}},
		{"(integer) 0", []string{"XTRIM", "entries", "MAXLEN", "~", most, "LIMIT", most}},
		{"OK", []string{"XSETID", "entries", "18446744073709551615-18446744073709551615", "ENTRIESADDED", most}},
		{"(error) ERR The stream has exhausted the last possible ID", []string{"XADD", "entries", "*", "f", "v"}},
		{"(integer)", []string{"MEMORY", "USAGE", "big:hash", "SAMPLES", most}},
		{"(error)", []string{"MEMORY", "USAGE", "big:hash", "SAMPLES", least}},
		{"(empty array)", []string{"SLOWLOG", "GET", "0"}},
		{answered, []string{"SLOWLOG", "GET", most}},
		{answered, []string{"ACL", "LOG", most}},
		{"(error) ERR ACL GENPASS argument", []string{"ACL", "GENPASS", most}},
		{answered, []string{"LOLWUT", "VERSION", "5", most, most, most}},
		{"(integer) 3", []string{"GEOSEARCHSTORE", "d", "geo", "FROMLONLAT", "0", "0", "BYBOX", "1e300", "1e300", "km", "COUNT", most}},
		{"(error)", []string{"GEOSEARCH", "geo", "FROMLONLAT", "0", "0", "BYRADIUS", "nan", "km"}},
		{"(error)", []string{"GEOSEARCH", "geo", "FROMLONLAT", "1e308", "-1e308", "BYRADIUS", "1", "km"}},
		{"(empty array)", []string{"GEOSEARCH", "geo", "FROMLONLAT", "180", "85.05112878", "BYBOX", "0", "1e300", "km"}},
		{"(error) ERR timeout is out of range", []string{"BLPOP", "nosuch", "1e300"}},
		{"(error) ERR timeout", []string{"BZMPOP", "nan", "1", "nosuch", "MIN"}},
		{"(error) ERR timeout is out of range", []string{"XREAD", "BLOCK", most, "STREAMS", "nosuch", "0"}},
		{"(error) ERR timeout is out of range", []string{"WAIT", "0", most}},
		{"(error) ERR numkeys", []string{"SINTERCARD", least, "set"}},
		{"(error)", []string{"ZUNIONSTORE", "d", most, "zset"}},
		{"(error)", []string{"LMPOP", most, "list", "LEFT"}},
		{"(error) ERR Invalid", []string{"COMMAND", "GETKEYS", "ZUNIONSTORE", "d", most, "a"}},

		// The same large value again and again, and large values: less often under the race detector, which makes
		// loops over bytes many times slower.
		{"(integer) 1048576", append([]string{"BITOP", "XOR", "d"}, slices.Repeat([]string{"large"}, 2000/testkit.RaceFactor)...)},
		{"(integer) 33554432", append([]string{"BITOP", "OR", "d"}, slices.Repeat([]string{"huge"}, 1+8/testkit.RaceFactor)...)},
		{"     1) (nil)", append([]string{"MGET"}, slices.Repeat([]string{"nosuch"}, 100_000)...)},
		{"(error) ERR Insufficient memory", []string{"LCS", "large", "large"}},
		{"(integer) 0", append([]string{"SINTERSTORE", "d", "nosuch"}, slices.Repeat([]string{"big:set"}, 20_000/testkit.RaceFactor)...)},
		{"(integer) 20000", append([]string{"ZUNIONSTORE", "d", fmt.Sprint(20 / testkit.RaceFactor)}, slices.Repeat([]string{"big:set"}, 20/testkit.RaceFactor)...)},
		{"(integer) 0", append([]string{"PFCOUNT"}, slices.Repeat([]string{"nosuch"}, 100_000)...)},
		{"(error) ERR value is not an integer or out of range", append([]string{"BITFIELD", "k"}, slices.Repeat([]string{"SET", "u8", "0", "x"}, 10_000/testkit.RaceFactor)...)},
		{"    1) \"0\"", append([]string{"SORT", "list", "BY", "nosort", "LIMIT", "0", "1"}, slices.Repeat([]string{"GET", "#"}, 50_000)...)},

		// Payloads that claim much.
		{"(error) ERR Bad data format", []string{"RESTORE", "r", "0", payload("\x00\x81\x7f\xff\xff\xff\xff\xff\xff\xffx")}},
		{"(error) ERR Bad data format", []string{"RESTORE", "r", "0", payload("\x00\xc3\x01\x80\x1f\xff\xff\xffx")}},
		{"(error) ERR Bad data format", []string{"RESTORE", "r", "0", payload("\x01\x81\x00\x00\x01\x00\x00\x00\x00\x00")}},
		{"(error) ERR Bad data format", []string{"RESTORE", "r", "0", payload("\x02\x81\x7f\xff\xff\xff\xff\xff\xff\xff\x01a")}},
		{"(error) ERR Bad data format", []string{"RESTORE", "r", "0", payload("\x04\x80\x7f\xff\xff\xff\x01a\x01b")}},
		{"(error) ERR Bad data format", []string{"RESTORE", "r", "0", payload("\x05\x80\xff\xff\xff\xff\x01a")}},
		{"(error) ERR Bad data format", []string{"RESTORE", "r", "0", payload("\x0b\x08\x08\x00\x00\x00\xff\xff\xff\xff")}},
		{"(error) ERR Bad data format", []string{"RESTORE", "r", "0", payload("\x12\x80\x7f\xff\xff\xff\x01")}},
		{"(error) ERR Bad data format", []string{"RESTORE", "r", "0", payload("\x13\x80\x7f\xff\xff\xff\x10")}},
		{"(error) ERR", []string{"FUNCTION", "RESTORE", payload("\xf5\x80\x7f\xff\xff\xffx")}},

		// Lua.
		{"(error)", []string{"EVAL", "return ('x'):rep(1e9)", "0"}},
		{"(error)", []string{"EVAL", "local s = 'x' while true do s = s .. s end", "0"}},
		{"(error)", []string{"EVAL", "return ('x'):rep(1e6):gsub('x', ('y'):rep(1e5))", "0"}},
		{"(error)", []string{"EVAL", "local t, s = {}, ('x'):rep(1e6) for i = 1, 1e5 do t[i] = s end return table.concat(t)", "0"}},
		{"(error)", []string{"EVAL", "local t = {} for i = 1, 100 do t[i] = redis.call('get', KEYS[1]) end return t", "1", "large"}},
		{"(error)", []string{"EVAL", "local s, t = redis.call('get', KEYS[1]), {} for i = 1, 1000 do t[i] = s end return t", "1", "large"}},
		{"(error)", []string{"EVAL", "local t = {} for i = 1, 40 do t = {t, t} end return t", "0"}},
		{
			fmt.Sprintf("(integer) %d", 1000/testkit.RaceFactor<<20),
			[]string{"EVAL", fmt.Sprintf("local n = 0 for i = 1, %d do n = n + #redis.call('get', KEYS[1]) end return n", 1000/testkit.RaceFactor), "1", "large"},
		},
		{"(error)", []string{"EVAL", "return string.format('%999999999d', 1)", "0"}},
		{"(error) ERR user_script:1: C stack overflow", []string{"EVAL", "return setmetatable({}, {__index = function(t, k) return t[k + 1] end})[1]", "0"}},
		{"(error)", []string{"EVAL", "return cmsgpack.unpack(('\\145'):rep(1e6))", "0"}},
		{"(error)", []string{"EVAL", "return cmsgpack.unpack('\\221\\255\\255\\255\\255')", "0"}},
		{"(error)", []string{"EVAL", "local function f(...) return 1 + f(1, ...) end return f()", "0"}},
		{"(error) ERR Error compiling script", []string{"EVAL", "return " + strings.Repeat("{", 20_000), "0"}},
		{"(error) ERR Error compiling script", []string{"EVAL", "local a = 1 " + strings.Repeat("do ", 20_000), "0"}},
		{"(error) ERR Error registering functions", []string{"FUNCTION", "LOAD", "#!lua name=l\nwhile true do end"}},
		{"(error) ERR Error registering functions", []string{"FUNCTION", "LOAD", "#!lua name=l\nfor i = 1, 1e9 do redis.register_function('f' .. i, function() end) end"}},
		{"(error) ERR", []string{"FUNCTION", "LOAD", "#!lua name=" + strings.Repeat("n", 1<<20) + "\n"}},

		// Names and what clients say of themselves.
		{"(error) ERR Client names cannot contain", []string{"CLIENT", "SETNAME", "\xff\n"}},
		{"(error) ERR lib-name cannot contain", []string{"CLIENT", "SETINFO", "LIB-NAME", "a b"}},
		{"OK", []string{"CLIENT", "SETNAME", strings.Repeat("n", 1<<20)}},
		{"(error) ERR Client names cannot contain", []string{"HELLO", "3", "SETNAME", "\x00"}},
		{"(error) WRONGPASS", []string{"HELLO", "3", "AUTH", strings.Repeat("u", 1<<20), strings.Repeat("p", 1<<20)}},
		{"(error) NOPROTO", []string{"HELLO", most}},
		{"(error) ERR Protocol version is not an integer", []string{"HELLO", most + "0"}},
		{"(error) WRONGPASS", []string{"AUTH", "\x00", strings.Repeat("\xff", 1<<20)}},
		{"(error) ERR unknown command", []string{strings.Repeat("x", 1<<20), strings.Repeat("y", 1<<20)}},
		{"(error) ERR unknown subcommand", []string{"CLIENT", strings.Repeat("y", 1<<20)}},
	} {
		t.Run(clipped(c.args), func(t *testing.T) {
			v, err := testkit.Dial(t, s.Addr, 2).Do(c.args...)
			if err != nil || !strings.HasPrefix(v.String(), c.want) {
				t.Errorf("got %.200s (%v), want %s", v, err, c.want)
			}
			if err := dog.failed(); err != nil {
				t.Error(err)
			}
		})
	}
	dog.end(t)
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

package test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"time"
)

// liveClient is one connection of TestLiveFuzz, from its beginning to its end.
type liveClient struct {
	f        *liveFuzz
	rnd      *rand.Rand
	name     string
	conn     net.Conn
	heard    *hearer
	inline   bool     // speaks in lines
	stranger bool     // has not logged in
	last     []string // what it has sent, the newest last
}

// How long a client waits for the server: to take bytes, and to answer one who is owed an answer.
const (
	liveWriteWait = 200 * time.Millisecond
	liveReplyWait = 60 * time.Second
)

// live connects, sends whatever comes to mind, and goes in one of several ways. An error is a fault of
// the server.
func (c *liveClient) live() error {
	if err := c.connect(); err != nil {
		return err
	}
	if !c.stranger && c.rnd.IntN(4) == 0 {
		return c.liveWell()
	}
	reads := c.rnd.IntN(8) != 0
	if reads {
		c.heard.listen()
	}
	for range 1 + c.rnd.IntN(20) {
		b := c.utterance()
		if c.rnd.IntN(5) == 0 {
			b = c.mutated(b)
		}
		if !c.send(b) {
			break
		}
	}
	err := c.heard.fault()
	switch c.rnd.IntN(6) {
	case 0:
		c.f.leave(c.conn)
		return err
	case 1:
		if t, ok := c.conn.(*net.TCPConn); ok {
			_ = t.SetLinger(0) // the server learns of it by a reset
		}
	case 2:
		c.send(c.halved(c.utterance()))
	}
	c.conn.Close()
	return err
}

// liveWell sends commands that are whole, reads all replies and wants the last one.
func (c *liveClient) liveWell() error {
	defer c.conn.Close()
	c.heard.listen()
	for range 1 + c.rnd.IntN(20) {
		words, _ := c.f.data.command(c.rnd)
		if !c.send(c.frame(words)) {
			return c.heard.fault() // it was in the way of others: its replies had no room
		}
	}
	end := fmt.Sprintf("the end of %s", c.name)
	c.heard.want <- end
	if !c.send(c.frame([]string{"ECHO", end})) {
		return c.heard.fault()
	}
	return c.heard.await()
}

func (c *liveClient) connect() (err error) {
	secure := c.rnd.IntN(8) == 0
	addr := c.f.s.Addr
	if secure {
		addr = c.f.tlsAddr
	}
	if c.conn, err = net.DialTimeout("tcp", addr, liveReplyWait); err != nil {
		return err
	}
	if secure {
		c.conn = tls.Client(c.conn, c.f.tls)
	}
	c.heard = &hearer{conn: c.conn, heard: make(chan struct{}), want: make(chan string, 1), found: make(chan bool, 1), bad: make(chan string, 1)}
	if c.stranger = c.rnd.IntN(20) == 0; c.stranger {
		return nil
	}
	login := []string{"AUTH", "fuzz", "fuzz"}
	if c.rnd.IntN(2) == 0 {
		login = []string{"HELLO", "3", "AUTH", "fuzz", "fuzz"}
	}
	c.send(c.frame(login))
	c.inline = c.rnd.IntN(8) == 0
	return nil
}

// send reports whether the server has taken all of b.
func (c *liveClient) send(b []byte) bool {
	const kept, shown = 12, 300
	c.last = append(c.last[max(0, len(c.last)-kept+1):], quotedBytes(string(b[:min(len(b), shown)]))+map[bool]string{true: "…"}[len(b) > shown])
	_ = c.conn.SetWriteDeadline(time.Now().Add(liveWriteWait))
	_, err := c.conn.Write(b)
	return err == nil
}

// sent is what to print of a client that has found something.
func (c *liveClient) sent() string { return "  " + strings.Join(c.last, "\n  ") }

// frame encodes a command.
func (c *liveClient) frame(words []string) []byte {
	var b bytes.Buffer
	if c.inline {
		b.WriteString(quoted(words))
		b.WriteString("\r\n")
		return b.Bytes()
	}
	fmt.Fprintf(&b, "*%d\r\n", len(words))
	for _, w := range words {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(w), w)
	}
	return b.Bytes()
}

// frames encodes commands given as lines of words without blanks within.
func (c *liveClient) frames(lines ...string) []byte {
	var b []byte
	for _, line := range lines {
		b = append(b, c.frame(strings.Fields(line))...)
	}
	return b
}

// utterance is the next thing that a client says.
func (c *liveClient) utterance() []byte {
	switch c.rnd.IntN(16) {
	case 0:
		return c.pipeline(c.rnd.IntN(3000))
	case 1:
		return append(c.frames("MULTI"), c.pipeline(c.rnd.IntN(100))...) // often without an EXEC
	case 2:
		return append(append(c.frames("WATCH s1 h1 z1", "MULTI"), c.pipeline(c.rnd.IntN(20))...), c.frames("EXEC")...)
	case 3:
		return c.frames(c.pick("CLIENT REPLY OFF", "CLIENT REPLY SKIP", "CLIENT REPLY ON", "RESET", "QUIT", "CLIENT NO-EVICT on", "CLIENT NO-TOUCH on"))
	case 4:
		return c.frames(c.pick(liveWaits...))
	case 5:
		return c.frames(c.pick("CLIENT TRACKING ON", "CLIENT TRACKING ON BCAST", "CLIENT TRACKING ON BCAST PREFIX s PREFIX h NOLOOP", "CLIENT TRACKING ON OPTIN",
			"CLIENT CACHING YES", "CLIENT TRACKING OFF", "CLIENT TRACKING ON REDIRECT "+strconv.Itoa(c.rnd.IntN(1000))))
	case 6:
		return c.script()
	case 7:
		return c.nonsense()
	case 8:
		return c.many()
	}
	return c.pipeline(1 + c.rnd.IntN(10))
}

// liveWaits are commands that wait, or that make a connection listen, without end.
var liveWaits = []string{
	"BLPOP l1 l2 nosuch 0", "BRPOP nosuch 0.01", "BLMOVE nosuch l1 LEFT LEFT 0", "BLMPOP 0 2 l1 nosuch LEFT", "BZPOPMIN z1 nosuch 0", "BZMPOP 0 1 nosuch MAX",
	"XREAD BLOCK 0 STREAMS x1 $", "XREADGROUP GROUP g1 c1 BLOCK 0 STREAMS x1 >", "WAIT 3 1", "WAITAOF 1 0 1", "MONITOR",
	"SUBSCRIBE a b c", "PSUBSCRIBE * __key* ?*[a-z]*", "SSUBSCRIBE s1", "UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE", "SUBSCRIBE __keyevent@0__:set",
}

func (c *liveClient) pick(of ...string) string { return of[c.rnd.IntN(len(of))] }

// pipeline is so many random commands.
func (c *liveClient) pipeline(n int) []byte {
	var b []byte
	for range n {
		words, _ := c.f.all.command(c.rnd)
		if len(words) > 1 && c.rnd.IntN(4) == 0 {
			words[1+c.rnd.IntN(len(words)-1)] = c.extreme()
		}
		b = append(b, c.frame(words)...)
	}
	return b
}

// extreme is an argument that nobody expects.
func (c *liveClient) extreme() string {
	switch c.rnd.IntN(20) {
	case 0:
		return strings.Repeat("x", c.rnd.IntN(1<<16))
	case 1:
		return strings.Repeat("*?", c.rnd.IntN(1000)) + "["
	case 2:
		return strings.Repeat("\x00", c.rnd.IntN(100))
	case 3:
		b := make([]byte, c.rnd.IntN(64))
		for i := range b {
			b[i] = byte(c.rnd.Uint32())
		}
		return string(b)
	}
	return c.pick("9223372036854775807", "-9223372036854775808", "9223372036854775808", "18446744073709551615", "-18446744073709551616", "4294967296",
		"-2147483649", "1e308", "1e400", "-inf", "nan", "0x7fffffffffffffff", "1"+strings.Repeat("0", 400), "", "*", "\r\n", "$-1\r\n", "#9223372036854775807",
		"18446744073709551615-18446744073709551615", "1000000", "-1000000")
}

// many is a command with very many arguments.
func (c *liveClient) many() []byte {
	words := strings.Fields(c.pick("MGET", "DEL", "EXISTS", "PFCOUNT", "SUBSCRIBE", "PSUBSCRIBE", "WATCH", "SUNION", "ZUNIONSTORE z1", "SADD t1", "HSET h1", "XADD x1 *",
		"RPUSH l1", "PFADD p1", "BITOP OR b1", "CLIENT TRACKING ON BCAST", "COMMAND INFO", "XREAD STREAMS", "BLPOP", "ACL CAT", "SORT l1", "OBJECT HELP", "BITFIELD b1"))
	tail := strings.Fields(c.pick("s1", "GET u8 #1", "PREFIX p GET *", "get", "", "1 2"))
	for range c.rnd.IntN(5000) {
		if len(tail) == 0 || c.rnd.IntN(3) == 0 {
			words = append(words, strconv.Itoa(c.rnd.IntN(1000)))
			continue
		}
		words = append(words, tail...)
	}
	return c.frame(words)
}

// liveScripts are what scripts do, where the first argument is a key and CALL a random command.
var liveScripts = []string{
	"return CALL", "for i = 1, 1000 do CALL end", "local t = {} for i = 1, 1e4 do t[i] = CALL end return t",
	"local function f() return f() + 1 end return f()", "return ('x'):rep(1e9)", "local s = 'x' while true do s = s .. s end", "local t = {} for i = 1, 30 do t = {t, t} end return t",
	"return {CALL, CALL, {CALL}}", "redis.setresp(3) return CALL", "error({err = 'x'})", "return redis.error_reply(ARGV[1] or '')", "return cjson.encode(CALL)",
	"return cmsgpack.pack({CALL})", "return cjson.decode(ARGV[1] or '[')", "return cmsgpack.unpack(ARGV[1] or '')",
	"redis.call('select', 3) return CALL", "return pcall(function() return CALL end)", "return struct.unpack(ARGV[1] or 's', 'abc')", "return loadstring(ARGV[1] or '')()",
	"redis.call('set', KEYS[1], 'x') error('after a write')", "for i = 1, 2e4 do redis.call('rpush', KEYS[1], i) end redis.call('del', KEYS[1])", "return #CALL", "((((", "return", "",
}

// liveEndless are scripts that have to be killed.
var liveEndless = []string{"while true do end", "while true do redis.pcall('ping') end", "return ('x'):rep(1000):match(('.-'):rep(50) .. 'y')"}

// script is an EVAL, a function, or a library that may be no library.
func (c *liveClient) script() []byte {
	words, _ := c.f.all.command(c.rnd)
	for i, w := range words {
		words[i] = luaString(w)
	}
	if c.rnd.IntN(20) == 0 {
		return c.frame([]string{c.pick("EVAL", "EVAL_RO"), c.pick(liveEndless...), "0"})
	}
	body := strings.ReplaceAll(c.pick(liveScripts...), "CALL", "redis."+c.pick("pcall", "call")+"("+strings.Join(words, ", ")+")")
	key, arg := c.pick("s1", "l1", "h1", "fuzz:k"), c.extreme()
	switch c.rnd.IntN(6) {
	case 0:
		name := "lib" + strconv.Itoa(c.rnd.IntN(5))
		function := "function(KEYS, ARGV) " + body + " end"
		return append(c.frame([]string{"FUNCTION", "LOAD", "REPLACE", "#!lua name=" + name + "\nredis.register_function('" + name + "', " + function + ")"}),
			c.frame([]string{"FCALL", name, "1", key, arg})...)
	case 1:
		return c.frame([]string{"EVAL_RO", body, "1", key, arg})
	case 2:
		return append(c.frame([]string{"SCRIPT", "LOAD", body}), c.frame([]string{"SCRIPT", c.pick("FLUSH", "KILL", "EXISTS")})...)
	case 3:
		return c.frames(c.pick("FUNCTION FLUSH", "FUNCTION LIST WITHCODE", "FUNCTION DUMP", "FUNCTION STATS", "FUNCTION KILL", "FUNCTION DELETE lib1"))
	}
	return c.frame([]string{"EVAL", body, "1", key, arg})
}

// luaString quotes s for Lua.
func luaString(s string) string {
	var b strings.Builder
	b.WriteByte('\'')
	for i := range len(s) {
		fmt.Fprintf(&b, "\\%03d", s[i])
	}
	b.WriteByte('\'')
	return b.String()
}

// nonsense is no command at all.
func (c *liveClient) nonsense() []byte {
	switch c.rnd.IntN(6) {
	case 0:
		return bytes.Repeat([]byte("*1\r\n"), c.rnd.IntN(2000))
	case 1:
		return []byte(c.pick("*2147483648\r\n", "*-9223372036854775808\r\n", "*1\r\n$9223372036854775807\r\n", "*1\r\n$-1\r\n", "*1048576\r\n", "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$4194304\r\nabc"))
	case 2:
		return []byte(c.pick(">3\r\n", "%1\r\n", "~1\r\n", "|1\r\n", "_\r\n", "#t\r\n", ",1.5\r\n", "(1\r\n", "!3\r\nabc\r\n", "=7\r\ntxt:abc\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "\x16\x03\x01\x02\x00\x01"))
	case 3:
		return []byte(strings.Repeat("\"", c.rnd.IntN(5)) + c.extreme() + "\r\n")
	case 4:
		return bytes.Repeat([]byte{byte(c.rnd.Uint32())}, c.rnd.IntN(100_000))
	}
	b := make([]byte, c.rnd.IntN(2000))
	for i := range b {
		b[i] = byte(c.rnd.Uint32())
	}
	return b
}

// halved is the beginning of b.
func (c *liveClient) halved(b []byte) []byte { return b[:c.rnd.IntN(len(b)+1)] }

// mutated is b with something wrong.
func (c *liveClient) mutated(b []byte) []byte {
	if len(b) == 0 {
		return b
	}
	for range 1 + c.rnd.IntN(3) {
		at := c.rnd.IntN(len(b))
		switch c.rnd.IntN(8) {
		case 0:
			b[at] ^= 1 << c.rnd.IntN(8)
		case 1:
			b[at] = byte(c.rnd.Uint32())
		case 2:
			b = append(b[:at], b[at+1:]...)
		case 3:
			b = bytes.Replace(b, []byte("\r\n"), []byte(c.pick("", "\n", "\r", "\r\r\n", "\x00\r\n")), 1)
		case 4:
			b = bytes.Replace(b, []byte("$"), []byte(c.pick("$-1\r\n$", "$2147483648\r\n$", "$9223372036854775808\r\n$", "$0\r\n$", "*3\r\n$", ":1\r\n$", "$ ", "$+")), 1)
		case 5:
			b = bytes.Replace(b, []byte("*"), []byte(c.pick("*-1\r\n*", "*0\r\n*", "*2147483647\r\n*", "*9223372036854775807\r\n*", "*1\r\n*", "* ", "**")), 1)
		case 6:
			b = append(b[:at:at], append([]byte(c.extreme()), b[at:]...)...)
		case 7:
			b = b[:at]
		}
		if len(b) == 0 {
			return b
		}
	}
	return b
}

// hearer reads what the server says to a client, if that reads at all.
type hearer struct {
	conn  net.Conn
	heard chan struct{} // closed when there is no more
	tail  []byte        // what came last; of the goroutine that reads
	want  chan string   // an answer, before it is asked for
	found chan bool     // it has come
	bad   chan string
}

// hearerKept is how much is kept of what was heard last.
const hearerKept = 4 << 10

// listen has everything read from now on.
func (h *hearer) listen() {
	go h.read()
}

func (h *hearer) read() {
	defer close(h.heard)
	buf, want := make([]byte, 64<<10), ""
	for {
		n, err := h.conn.Read(buf)
		h.tail = append(h.tail[max(0, len(h.tail)-hearerKept):], buf[:n]...)
		if at := bytes.Index(h.tail, []byte("internal error")); at >= 0 {
			select {
			case h.bad <- quotedBytes(string(h.tail[max(0, at-100):])):
			default:
			}
		}
		select {
		case want = <-h.want:
		default:
		}
		// A script may hold up everybody.
		if want != "" && (bytes.Contains(h.tail, []byte(want)) || bytes.Contains(h.tail, []byte("-BUSY "))) {
			h.found <- true
			want = ""
		}
		if err != nil {
			return
		}
	}
}

// fault returns an error if the server has told of a bug of its own.
func (h *hearer) fault() error {
	select {
	case bad := <-h.bad:
		return fmt.Errorf("the server has answered %s", bad)
	default:
		return nil
	}
}

// await waits for the answer that is wanted.
func (h *hearer) await() error {
	timeout := time.NewTimer(liveReplyWait)
	defer timeout.Stop()
	select {
	case <-h.found:
		return h.fault()
	case <-h.heard:
		return h.fault() // it was closed, for its replies had no room
	case <-timeout.C:
		return fmt.Errorf("no answer within %v", liveReplyWait)
	}
}

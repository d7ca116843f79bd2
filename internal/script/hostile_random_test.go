package script_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/elastickv/elastickv/internal/resp"
	"github.com/elastickv/elastickv/internal/testkit"
	"github.com/elastickv/elastickv/store"
)

var (
	hostileSeed   = flag.Uint64("script.seed", 1, "the seed of the random hostile programs")
	hostileChecks = flag.Int("script.checks", 40, "how many random hostile programs to run; a quarter of them with -short")
)

// hostileFactor is how many times the memory limit the process may hold while a program runs: what the
// account lets pass until it counts again, what grows being there twice, and the reply of a command.
const hostileFactor = 4

// TestRandomHostile runs random programs that never end by themselves, and hold more and more in
// some way. Each ends in an error, or is killed after the server has answered others for some time;
// meanwhile the heap stays within hostileFactor times the limit. -script.seed and -script.checks
// choose the programs.
func TestRandomHostile(t *testing.T) {
	const limit = 16 << 20
	addr := testkit.InProcess(t, store.NewMVCCStore().(store.Engine), map[string]string{
		"lua-memory-limit": "16mb", "busy-reply-threshold": "20", "proto-max-bulk-len": "8mb",
	})
	other := testkit.Dial(t, addr, 2)
	checks := *hostileChecks
	if testing.Short() {
		checks = (checks + 3) / 4
	}
	memory, killed := 0, 0
	for i := range checks {
		g := &hostileGenerator{rand.New(rand.NewPCG(*hostileSeed, uint64(i)))}
		source := g.program()
		c := testkit.Dial(t, addr, 2)
		var answer resp.Value
		peak := testkit.HeapPeak(func() { answer = runHostile(t, c, other, source) })
		switch {
		case answer.Kind != resp.KindError:
			t.Errorf("seed %d, program %d has ended with %v:\n%s", *hostileSeed, i, answer, source)
		case strings.Contains(answer.Str, "not enough memory"):
			memory++
		case strings.Contains(answer.Str, "killed by user"):
			killed++
		}
		if peak > hostileFactor*limit {
			t.Errorf("seed %d, program %d has let the heap grow by %d KiB:\n%s", *hostileSeed, i, peak>>10, source)
		}
		other.MustDo(t, "SET", "after", fmt.Sprint(i))
	}
	t.Logf("%d programs: %d ran out of memory, %d were killed", checks, memory, killed)
}

// A program is killed when the server has said busyMost times that it is busy, or after busyTime
// where that takes long.
const (
	busyMost = 3000
	busyTime = 5 * time.Second
)

// runHostile runs a program while other asks, and kills it after some time.
func runHostile(t *testing.T, c, other *testkit.Client, source string) (answer resp.Value) {
	done := make(chan error, 1)
	go func() {
		var err error
		answer, err = c.Do("EVAL", source, "0")
		done <- err
	}()
	for busy, began := 0, time.Now(); ; {
		select {
		case err := <-done:
			if err != nil {
				t.Fatalf("%v:\n%s", err, source)
			}
			return answer
		default:
		}
		v, err := other.Do("PING")
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(v.Str, "BUSY") {
			busy++
		}
		if busy > busyMost || time.Since(began) > busyTime {
			other.Do("SCRIPT", "KILL") // which may come too late
		}
	}
}

// hostileGenerator writes programs: a loop, in it one way to make values, and one to hold them.
type hostileGenerator struct{ rand *rand.Rand }

func (g *hostileGenerator) pick(of []string) string { return of[g.rand.IntN(len(of))] }

// Values, of n, which counts the rounds, and s, a string.
var hostileValues = []string{
	"s .. n", "s:rep(3) .. n", "s:upper() .. n", "s:reverse()", "s:sub(2) .. n", "('%50d'):format(n)", "('%q'):format(s .. n)",
	"(s:gsub('x', 'yy'))", "(s:gsub('.', {x = 'zz'}))", "(s:gsub('x*', function(m) return m .. n end))", "tostring(n)", "n",
	"{n, n, n}", "{a = n, b = {}}", "{[n] = n, [n + 0.5] = s}", "{unpack({1, 2, 3}, 1, 100)}", "setmetatable({}, {__index = {n}})",
	"function() return n end", "function(...) return n, s, ... end", "coroutine.create(function() return n end)",
	"(function() local co = coroutine.wrap(function(a) coroutine.yield(a, n) return a end) co(s) return co end)()",
	"(function() local co = coroutine.wrap(function(a) local function f(d) if d > 0 then f(d - 1) else coroutine.yield() end return a end f(100) end) co(s) return co end)()",
	"select(2, pcall(error, {n}))", "select(2, pcall(error, s .. n))", "select(2, pcall(string.rep))", "select(2, pcall(function() return n.x.y end))",
	"select(2, pcall(redis.call, s .. n))", "redis.pcall('nosuch' .. n)", "loadstring('return ' .. n)", "loadstring((' '):rep(2000) .. 'return ' .. n)",
	"loadstring('local a = ' .. n .. ' return function() a = a + 1 return a end')()", "select(2, loadstring(s .. n .. ' ' .. s))",
	"loadstring('return {' .. (n .. ','):rep(200) .. '}')()", "loadstring('return ' .. ('a or '):rep(300) .. 'b')",
	"cjson.encode({s, n, {a = n}})", "cjson.decode('[1,{\"a\":' .. n .. '},\"' .. s .. '\"]')", "cmsgpack.pack(s, n, {n})",
	"cmsgpack.unpack(cmsgpack.pack({n, 2, {a = s}}))", "struct.pack('>i4sd', n, s, n)", "{struct.unpack('c0', s)}", "{struct.unpack('bbc2', s)}",
	"s:gmatch('.')", "redis.call('echo', s .. n)", "redis.call('time')", "redis.call('command', 'count')", "redis.sha1hex(s .. n)",
	"redis.error_reply(s .. n)", "redis.status_reply(s .. n)", "table.concat({s, n, s}, ',')", "{s:byte(1, 20)}", "{s:find('(x)(x*)')}",
	"s:match('[^y]*x') .. n", "bit.tohex(n) .. s", "math.sin(n)",
}

// Ways to hold a value v. t is a table, h is whatever was held last.
var hostileHolds = []string{
	"t[#t + 1] = v", "t[n] = v", "t['k' .. n] = v", "t[-n] = v", "t[n * 1e6] = v", "t[{v}] = n", "table.insert(t, v)", "table.insert(t, 1 + #t, {v, v})",
	"h = {v, h}", "h = {h = h, v = v}", "local old = h h = function() return v, old end", "h = setmetatable({v}, {__index = h})",
	"local old = h h = coroutine.wrap(function(a, b) coroutine.yield() return a, b end) h(v, old)", "t[v or 1] = {v}",
	"t[n] = {pcall(error, {v})}", "t[n] = {v, v, v, v}", "s = s .. 'x' t[#t + 1] = s", "t[n] = cjson.encode({tostring(v)})",
	"if n % 7 == 0 then t[#t + 1] = v end", "", "h = v",
}

// Places for what is done in each round.
var hostilePlaces = []string{
	"%s", "do %s end", "pcall(function() %s end)", "xpcall(function() %s end, function(e) return e end)", "coroutine.wrap(function() %s end)()",
	"('x'):gsub('x', function() %s end)", "table.foreach({1}, function() %s end)", "table.sort({2, 1}, function() %s end)",
	"local _ = setmetatable({}, {__index = function() %s end}).x", "local _ = setmetatable({}, {__concat = function() %s end}) .. ''",
	"pcall(pcall, function() %s error({}) end)", "for _ in (function() return function() %s end end)() do end",
}

var hostileLoops = []string{
	"while true do %s end", "repeat %s until false", "for i = 1, math.huge do %s end", "local function f() %s return f() end f()",
	"local function f() for i = 1, 1e9 do %s end end while true do pcall(f) end", "local function f(d) while true do %s if d > 0 then f(d - 1) end end end f(30)",
	"coroutine.wrap(function() while true do %s end end)() error('ended')",
}

func (g *hostileGenerator) program() string {
	body := fmt.Sprintf("n = n + 1 local v = %s %s", g.pick(hostileValues), g.pick(hostileHolds))
	for range g.rand.IntN(3) {
		body = fmt.Sprintf(g.pick(hostilePlaces), body)
	}
	size := 1 << g.rand.IntN(12)
	return fmt.Sprintf("local t, h, n, s = {}, nil, 0, ('x'):rep(%d) ", size) + fmt.Sprintf(g.pick(hostileLoops), body)
}

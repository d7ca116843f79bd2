package script_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/elastickv/elastickv/internal/resp"
	"github.com/elastickv/elastickv/internal/testkit"
	"github.com/elastickv/elastickv/store"
)

// bombs are programs that ask for more than there is: each ends by itself, in an error or not,
// and within the memory that a program may have.
var bombs = map[string]string{
	"recursion":              "local function f() return 1 + f() end return f()",
	"recursion in pcall":     "local function f() return pcall(f) end return tostring(f())",
	"recursion in gsub":      "local function f() return ('x'):gsub('x', f) end return f()",
	"recursion in sort":      "local function f() table.sort({1, 2, 3}, f) end f()",
	"recursion in coroutine": "local function f() return coroutine.wrap(f)() end return f()",
	"recursion in __index":   "local t = {} setmetatable(t, {__index = function(t, k) return t[k] end}) return t.x",
	"recursion in tostring":  "local t t = setmetatable({}, {__tostring = function() return tostring(t) end}) return tostring(t)",
	"nested source":          "return loadstring('return ' .. ('('):rep(100000) .. '1')",
	"long expression":        "return loadstring('return ' .. ('1 .. '):rep(100000) .. '1')",
	"table":                  "local t = {} for i = 1, 1e9 do t[i] = i end",
	"table of tables":        "local t = {} for i = 1, 1e9 do t[i] = {i} end",
	"chain of tables":        "local t = {} for i = 1, 1e9 do t = {t} end",
	"hash":                   "local t = {} for i = 1, 1e9 do t['k' .. i] = i end",
	"closures":               "local t = {} for i = 1, 1e9 do t[i] = function() return i end end",
	"coroutines":             "local t = {} for i = 1, 1e9 do t[i] = coroutine.create(function() end) end",
	"string.rep":             "return ('x'):rep(2^31)",
	"string.rep of much":     "local s = ('x'):rep(1e6) return s:rep(1e6)",
	"concatenation":          "local s = 'x' while true do s = s .. s end",
	"concatenations kept":    "local t, s = {}, ('x'):rep(1000) for i = 1, 1e9 do t[i] = s .. i end",
	"table.concat":           "local t = {} for i = 1, 1e5 do t[i] = ('x'):rep(1e4) end return table.concat(t)",
	"table.concat of one":    "local s, t = ('x'):rep(1e5), {} for i = 1, 1e5 do t[i] = s end return table.concat(t)",
	"gsub":                   "return (('x'):rep(1e5):gsub('x', ('y'):rep(1e5)))",
	"string.format":          "return ('%99999d'):format(1)",
	"upper":                  "local t, s = {}, ('x'):rep(1e6) for i = 1, 1e6 do t[i] = s:upper() end",
	"varargs":                "local t = {} for i = 1, 1e7 do t[i] = i end return unpack(t)",
	"cjson.encode of itself": "local t = {} t[1] = t return cjson.encode(t)",
	"cjson.encode, wide":     "local t = {} for i = 1, 30 do t = {t, t} end return cjson.encode(t)",
	"cjson.encode, sparse":   "cjson.encode_sparse_array(false, 0) return cjson.encode({[2^31 - 1] = 1})",
	"cjson.encode, deep":     "cjson.encode_max_depth(2^31 - 1) local t = {} for i = 1, 1e5 do t = {t} end return cjson.encode(t)",
	"cjson.decode, deep":     "cjson.decode_max_depth(2^31 - 1) return cjson.decode(('['):rep(1e6))",
	"cjson.decode, many":     "return #cjson.decode('[' .. ('[],'):rep(5e6) .. '1]')",
	"cjson.decode, keys":     "local t = {} for i = 1, 1e6 do t[i] = '\"' .. i .. '\":{}' end return cjson.decode('{' .. table.concat(t, ',') .. '}') ~= nil",
	"cmsgpack.pack, wide":    "local t = {} for i = 1, 100 do t[i] = t end return cmsgpack.pack(t)",
	"cmsgpack.unpack, deep":  "return cmsgpack.unpack(('\\145'):rep(1e6))",
	"cmsgpack.unpack, many":  "return #cmsgpack.unpack('\\221\\0\\255\\255\\255' .. ('\\144'):rep(2^24))",
	"cmsgpack.unpack, claim": "return cmsgpack.unpack('\\221\\255\\255\\255\\255')",
	"struct.pack":            "local s, t = ('x'):rep(1e6), {} for i = 1, 5000 do t[i] = s end return #struct.pack(('s'):rep(5000), unpack(t))",
	"arguments":              "local s, t = ('x'):rep(1e6), {} for i = 1, 5000 do t[i] = s end return redis.call('del', unpack(t))",
	"reply, deep":            "local t = {} for i = 1, 1e5 do t = {t} end return t",
	"reply of itself":        "local t = {} t[1] = t return t",
	"reply, wide":            "local t = {} for i = 1, 40 do t = {t, t} end return t",
	"reply, large":           "local s, t = ('x'):rep(1e6), {} for i = 1, 1000 do t[i] = s end return t",
	"replies kept":           "redis.call('set', 'k', ('x'):rep(1e6)) local t = {} for i = 1, 1e6 do t[i] = redis.call('get', 'k') end",
	"error of itself":        "local e = {} e.err = e error(e)",
	"error in tostring":      "error(setmetatable({}, {__tostring = error}))",
	"sha1hex":                "return redis.sha1hex(('x'):rep(1e8))",
	"memory in pcall":        "while true do pcall(string.rep, 'x', 1e9) end",
}

// endless are programs that never end by themselves.
var endless = map[string]string{
	"loop":                "while true do end",
	"loop in pcall":       "while true do pcall(function() while true do end end) end",
	"loop in xpcall":      "while true do xpcall(function() while true do end end, function() while true do end end) end",
	"loop in coroutine":   "coroutine.wrap(function() while true do end end)()",
	"calls":               "while true do redis.call('ping') end",
	"failing calls":       "while true do redis.pcall('nosuch') end",
	"goto of tail calls":  "local function f() return f() end f()",
	"pattern":             "return ('x'):rep(1000):match(('.-'):rep(50) .. 'y')",
	"pattern in gsub":     "return ('x'):rep(1000):gsub(('x*'):rep(50) .. 'y', '')",
	"comparison":          "while true do table.sort({3, 2, 1, 5, 4}, function(a, b) return a < b end) end",
	"growing arguments":   "local function f(n, ...) return f(n + 1, n, ...) end return f(1)",
	"garbage":             "while true do local t = {{}, {}, ('x'):rep(1000)} end",
	"load":                "while true do loadstring('return 1')() end",
	"cjson":               "while true do cjson.decode(cjson.encode({1, 2, 3})) end",
	"string.rep of empty": "while true do (''):rep(1e9) end",
	"gsub of empty":       "while true do local s = ('x'):rep(1e5):gsub('', '') end",
	"cjson of spaces":     "local s = (' '):rep(1e7) while true do pcall(cjson.decode, s) end",
	"struct without end":  "local s = ('x'):rep(1e7) while true do pcall(struct.unpack, 's', s) end",
	"struct of zeros":     "local s = 'c' .. ('0'):rep(1e7) while true do pcall(struct.size, s) end",
	"reply of empty maps": "local e, t = {}, {} for i = 1, 1e5 do e['k' .. i] = 1 end for k in pairs(e) do e[k] = nil end for i = 1, 3e5 do t[i] = {map = e} end return t",
	"next":                "local t = {} for i = 1, 1000 do t[i] = i end while true do for k in pairs(t) do end end",
}

// TestBombs lets each program go off, as a script and as a function. The server lives, and answers
// others.
func TestBombs(t *testing.T) {
	testkit.Single(t)
	addr := testkit.InProcess(t, store.NewMVCCStore().(store.Engine), map[string]string{
		"lua-memory-limit": "16mb", "busy-reply-threshold": "0", "proto-max-bulk-len": "8mb",
	})
	for name, source := range bombs {
		t.Run(name, func(t *testing.T) {
			c := testkit.Dial(t, addr, 2)
			if _, err := c.Do("EVAL", source, "0"); err != nil && !tooDeep(err) {
				t.Fatalf("as a script: %v", err)
			}
			c = testkit.Dial(t, addr, 2)
			loadFunction(t, c, source, "")
			if _, err := c.Do("FCALL", "hostile", "0"); err != nil && !tooDeep(err) {
				t.Fatalf("as a function: %v", err)
			}
			testkit.Dial(t, addr, 2).MustDo(t, "SET", "after", name)
		})
	}
}

// tooDeep reports whether a reply has more aggregates within one another than the test reads.
func tooDeep(err error) bool { return strings.Contains(err.Error(), "aggregates within one another") }

func loadFunction(t *testing.T, c *testkit.Client, body, flags string) {
	t.Helper()
	c.MustDo(t, "FUNCTION", "LOAD", "REPLACE", "#!lua name=hostile\nredis.register_function{function_name='hostile', callback=function() "+
		body+" end, flags={"+flags+"}}")
}

// TestEndless lets each program run until it is killed: inside the sequencer, where others are
// told so, and as one that only reads beside it, where they are served.
func TestEndless(t *testing.T) {
	addr := testkit.InProcess(t, store.NewMVCCStore().(store.Engine), map[string]string{"busy-reply-threshold": "20"})
	other := testkit.Dial(t, addr, 2)
	for name, source := range endless {
		t.Run(name, func(t *testing.T) {
			c := testkit.Dial(t, addr, 2)
			loadFunction(t, c, source, "'no-writes'")
			for _, how := range []struct {
				call []string
				kill string
				busy bool
			}{
				{[]string{"EVAL", source, "0"}, "SCRIPT", true},
				{[]string{"EVAL_RO", source, "0"}, "SCRIPT", false},
				{[]string{"FCALL", "hostile", "0"}, "FUNCTION", false},
			} {
				var answer resp.Value
				var err error
				var done sync.WaitGroup
				done.Go(func() { answer, err = c.Do(how.call...) })
				if how.busy {
					until(t, other, "BUSY", "PING")
					until(t, other, "BUSY", "SET", "k", "v")
				} else {
					other.MustDo(t, "SET", "k", "v")
				}
				until(t, other, "OK", how.kill, "KILL")
				done.Wait()
				if err != nil || !strings.Contains(answer.Str, "killed by user") {
					t.Fatalf("%s: %v, %v", how.call[0], answer, err)
				}
				until(t, other, "OK", "SET", "k", "v")
			}
		})
	}
}

// until sends a command until the answer begins with want.
func until(t *testing.T, c *testkit.Client, want string, args ...string) {
	t.Helper()
	var last resp.Value
	for range 100_000 {
		v, err := c.Do(args...)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(v.Str, want) {
			return
		}
		last = v
	}
	t.Fatalf("%q never answered %s, but at last %s", args, want, last)
}

// slowSource returns a program that takes seconds to compile: each name is looked for among thousands of
// variables.
func slowSource() string {
	var b strings.Builder
	const depth, locals = 100, 190
	for i := range depth {
		fmt.Fprintf(&b, "local function f%d() ", i)
		for j := range locals {
			fmt.Fprintf(&b, "local v%d_%d ", i, j)
		}
	}
	b.WriteString(strings.Repeat("x=x ", 300_000))
	b.WriteString(strings.Repeat(" end", depth))
	return b.String()
}

// TestKillCompiler kills scripts that are still being compiled.
func TestKillCompiler(t *testing.T) {
	addr := testkit.InProcess(t, store.NewMVCCStore().(store.Engine), map[string]string{"busy-reply-threshold": "1"})
	other := testkit.Dial(t, addr, 2)
	source := slowSource()
	for _, call := range [][]string{{"EVAL", source, "0"}, {"EVAL_RO", source, "0"}, {"SCRIPT", "LOAD", source}} {
		t.Run(call[0], func(t *testing.T) {
			c := testkit.Dial(t, addr, 2)
			var answer resp.Value
			var err error
			var done sync.WaitGroup
			done.Go(func() { answer, err = c.Do(call...) })
			if call[0] == "EVAL" {
				until(t, other, "BUSY", "PING")
			}
			until(t, other, "OK", "SCRIPT", "KILL")
			done.Wait()
			if err != nil || !strings.Contains(answer.Str, "killed by user") {
				t.Fatalf("%v, %v", answer, err)
			}
			until(t, other, "PONG", "PING")
		})
	}
}

package lua_test

import (
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/elastickv/elastickv/internal/lua"
	"github.com/elastickv/elastickv/internal/testkit"
)

// run runs a program in a new State.
func run(t *testing.T, o lua.Options, program string) ([]lua.Value, error) {
	t.Helper()
	s := lua.New(o)
	s.OpenLibs()
	fn, err := s.Load("@test", []byte(program))
	if err != nil {
		t.Fatal(err)
	}
	return s.Call(fn)
}

// heapFactor is how many times the limit the heap may grow while a program runs: half as much again
// until it is counted, old and new together while something grows, and the counting itself.
const heapFactor = 4

// TestMemoryLimit runs programs that want more memory than there is, in each way that
// there is to hold some, and looks at what the heap really holds.
func TestMemoryLimit(t *testing.T) {
	const limit = 16 << 20
	programs := map[string]string{
		"rep":          `return string.rep('x', 1e9)`,
		"rep again":    `local s = 'x' for i = 1, 40 do s = s:rep(2) end return s`,
		"concat":       `local s = 'x' while true do s = s .. s end`,
		"concat parts": `local t = {} for i = 1, 1e9 do t[i] = 'part ' .. i end`,
		"array":        `local t = {} for i = 1, 1e9 do t[i] = i end`,
		"hash":         `local t = {} for i = 1, 1e9 do t['k' .. i] = true end`,
		"tables":       `local t while true do t = {t} end`,
		"closures":     `local f while true do local g = f; f = function() return g end end`,
		"coroutines":   `local t = {} while true do t[#t + 1] = coroutine.create(function() end) end`,
		"suspended":    `local t = {} while true do local co = coroutine.wrap(function(s) coroutine.yield() return s end) co(string.rep('x', 1000)) t[#t + 1] = co end`,
		"iterators":    `local t = {} while true do t[#t + 1] = string.rep('x', 1e6):gmatch('x') end`,
		"parts":        `local t = {} while true do t[#t + 1] = string.rep('x', 1e6):sub(2) end`,
		"gsub":         `return (string.rep('x', 1e6):gsub('x', string.rep('y', 1e4)))`,
		"nested gsub":  `local function f() return (string.rep('x', 1e6):gsub('.', f)) end return f()`,
		"table.concat": `local s, t = string.rep('x', 1e6), {} for i = 1, 100 do t[i] = s end return table.concat(t)`,
		"format":       `local s, f = string.rep('x', 1e6), string.rep('%s', 100) return string.format(f, unpack((function() local t = {} for i = 1, 100 do t[i] = s end return t end)()))`,
		"stack":        `local function f(...) return 1 + f(1, ...) end return f(unpack({}, 1, 7000))`,
		"deep stack":   `local t = {} for i = 1, 1000 do t[i] = coroutine.wrap(function() local function f(n) if n == 0 then coroutine.yield() else f(n - 1) end return 1 end f(10000) end) t[i]() end`,
		"caught":       `while true do pcall(function() local t = {} for i = 1, 1e9 do t[i] = i end end) end`,
		"handled":      `xpcall(function() return string.rep('x', 1e9) end, function() while true do end end)`,
		"in coroutine": `while true do coroutine.resume(coroutine.create(function() return string.rep('x', 1e9) end)) end`,
		"load":         `local s = 'x = 1 ' while true do s = s .. s; loadstring(s) end`,
		"load parts":   `return load(function() return string.rep(' ', 1e6) end)`,
		"upper":        `local t = {} while true do t[#t + 1] = string.rep('x', 1e5):upper() end`,
		"insert":       `local t = {} while true do table.insert(t, 1) end`,
		"errors":       `local f = loadstring('return function(t) return t.' .. ('x'):rep(500) .. '.y end')() local t = {} while true do t[#t + 1] = select(2, pcall(f, {})) end`,
		"error texts":  `local t = {} while true do t[#t + 1] = select(2, pcall(error, ('x'):rep(300))) end`,
		"bad argument": `local t = {} while true do t[#t + 1] = select(2, pcall(string.format, '%d', {})) end`,
		"syntax":       `local t, s = {}, ('x'):rep(500) .. ' ' .. ('y'):rep(500) while true do t[#t + 1] = select(2, loadstring(s)) end`,
		"chunk names":  `local t = {} while true do t[#t + 1] = loadstring((' '):rep(1e4) .. 'return ' .. #t) end`,
		"functions":    `local t, s = {}, ('x = y '):rep(1e3) while true do t[#t + 1] = loadstring(s) end`,
		"prototypes":   `return loadstring('return {' .. ('function()end,'):rep(3e5) .. '}')`,
		"constants":    `local t = {} for i = 1, 2e5 do t[i] = i end return loadstring('return {' .. table.concat(t, ',') .. '}')`,
		"texts":        `local t = {} for i = 1, 1e5 do t[i] = "'" .. i .. "'" end return loadstring('return {' .. table.concat(t, ',') .. '}')`,
		"instructions": `return loadstring(('a=b '):rep(1e6))`,
		"locals":       `return loadstring('local ' .. ('x'):rep(400) .. (' local ' .. ('x'):rep(400)):rep(190) .. (' do local ' .. ('x'):rep(400) .. ' end'):rep(3e4))`,
		"upvalues":     `return loadstring('local ' .. ('x'):rep(400) .. (' do local function f() return ' .. ('x'):rep(400) .. ' end end'):rep(2e4))`,
		"empty tables": `return loadstring('return {' .. ('{},'):rep(1e6) .. '}')`,
		"frames":       `local t = {} while true do local co = coroutine.wrap(function() local function f(n) if n == 0 then coroutine.yield() else f(n - 1) end end f(3000) end) t[#t + 1] = co co() end`,
		"yielded":      `local t, many = {}, {} for i = 1, 7000 do many[i] = i end while true do local co = coroutine.wrap(function() coroutine.yield(unpack(many)) end) t[#t + 1] = co co() end`,
		"pattern":      `return ('a'):rep(1e5):find(('a?'):rep(9e4))`,
		"results":      `local many = {} for i = 1, 7000 do many[i] = i end local function f(...) return pcall(f, 1, ...) end return f(unpack(many))`,
		"short joins":  `local t, s = {}, {} for i = 1, 40 do s[i] = 'x' end while true do t[#t + 1] = table.concat(s) end`,
	}
	for name, program := range programs {
		t.Run(name, func(t *testing.T) {
			var err error
			peak := testkit.HeapPeak(func() { _, err = run(t, lua.Options{MemoryLimit: limit}, program) })
			t.Logf("%s: %d KiB", name, peak>>10)
			if !errors.Is(err, lua.ErrMemory) {
				t.Errorf("got %v, want %v", err, lua.ErrMemory)
			}
			if peak > heapFactor*limit {
				t.Errorf("the heap has grown by %d KiB, with a limit of %d", peak>>10, limit>>10)
			}
		})
	}
}

// TestMemoryGarbage allocates far more than the limit, but never holds much.
func TestMemoryGarbage(t *testing.T) {
	programs := map[string]string{
		"strings":    `for i = 1, 5e3 do local s = string.rep('x', 1e5) .. i end`,
		"tables":     `for i = 1, 3e4 do local t = {} for j = 1, 100 do t[j] = j end end`,
		"closures":   `local f for i = 1, 1e6 do f = function() return i end end`,
		"coroutines": `for i = 1, 3e4 do coroutine.wrap(function() coroutine.yield(string.rep('x', 1000)) end)() end`,
		"deep":       `local function f(n, s) if n > 0 then return f(n - 1, s) .. '' end return s end for i = 1, 200 do f(i * 10, string.rep('x', 1e6)) end`,
		"parts":      `local t = {} for i = 1, 60 do t[i] = string.rep(tostring(i), 3e6):sub(5, 10) end`,
		"ring":       `local t = {} for i = 1, 2e3 do t[i % 5] = string.rep(tostring(i), 1e5) end`,
		"cycles":     `for i = 1, 3e5 do local a, b = {}, {} a.b, b.a = b, a end`,
		"sort":       `for i = 1, 300 do local t = {} for j = 1, 1000 do t[j] = 'k' .. (j * 7 % 1000) end table.sort(t) end`,
	}
	for name, program := range programs {
		t.Run(name, func(t *testing.T) {
			if _, err := run(t, lua.Options{MemoryLimit: 16 << 20}, program); err != nil {
				t.Fatal(err)
			}
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			if m.HeapAlloc > 500<<20 {
				t.Errorf("the heap has grown to %d MiB", m.HeapAlloc>>20)
			}
		})
	}
}

// TestMemoryAfterFailure looks that a State is good for the next program.
func TestMemoryAfterFailure(t *testing.T) {
	s := lua.New(lua.Options{MemoryLimit: 8 << 20})
	s.OpenLibs()
	for range 20 {
		fn, err := s.Load("@test", []byte(`local t = {} for i = 1, 1e9 do t[i] = 'x' .. i end`))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Call(fn); !errors.Is(err, lua.ErrMemory) {
			t.Fatal(err)
		}
		fn, err = s.Load("@test", []byte(`local t = {} for i = 1, 1000 do t[i] = 'x' .. i end return #t`))
		if err != nil {
			t.Fatal(err)
		}
		if vs, err := s.Call(fn); err != nil || !lua.RawEqual(vs[0], lua.Number(1000)) {
			t.Fatal(vs, err)
		}
	}
}

// endless are programs that do not end, and try to survive.
var endless = map[string]string{
	"while":         `while true do end`,
	"repeat":        `repeat until false`,
	"for":           `for i = 1, math.huge do end`,
	"generic for":   `for x in function() return 1 end do end`,
	"goto by pcall": `while true do pcall(function() while true do end end) end`,
	"error":         `while true do pcall(error, 'x') end`,
	"xpcall":        `while true do xpcall(function() while true do end end, function() while true do end end) end`,
	"tail calls":    `local function f() return f() end return f()`,
	"recursion":     `local function f() pcall(f) f() end while true do pcall(f) end`,
	"coroutine":     `while true do coroutine.resume(coroutine.create(function() while true do end end)) end`,
	"yields":        `local co = coroutine.wrap(function() while true do coroutine.yield() end end) while true do co() end`,
	"metamethods":   `local t = setmetatable({}, {__index = function() return 1 end}) while true do local x = t.x end`,
	"find":          `return string.rep('a', 40):find(string.rep('a?', 40) .. string.rep('a', 40))`,
	"match":         `return string.rep('a', 1e5):match(string.rep('a*', 30) .. 'b')`,
	"match minimal": `return string.rep('a', 1e5):match(string.rep('a-', 30) .. 'b')`,
	"gsub":          `return string.rep('a', 1e6):gsub('a-b', '')`,
	"gmatch":        `for x in string.rep('a', 1e6):gmatch('.-b') do end`,
	"balance":       `return string.rep('(', 1e6):find('%b()')`,
	"sort":          `local t = {} for i = 1, 100 do t[i] = i end while true do table.sort(t) end`,
	"insert":        `table.insert({}, -2^31, 1) while true do end`,
	"foreach":       `table.foreach({1, 2, 3}, function() while true do end end)`,
	"rep":           `while true do local s = string.rep('x', 1e5) end`,
	"loadstring":    `while true do loadstring('return 1')() end`,
	"concat":        `local t = {} for i = 1, 1e5 do t[i] = i end while true do table.concat(t) end`,
	"remove":        `local t = {} for i = 1, 1e5 do t[i] = i end while true do table.insert(t, 1, 1) table.remove(t, 1) end`,
	"load":          `return load(function() return ' ' end)`,
	"compile":       `local s = string.rep('x = 1 ', 1e5) while true do loadstring(s) end`,
	"long keys":     `local t, s = {}, string.rep('x', 1e7) while true do t[s] = 1 end`,
	"long equal":    `local a, b = string.rep('x', 1e7), string.rep('x', 1e7) while true do local c = a == b end`,
	"long less":     `local a, b = string.rep('x', 1e7), string.rep('x', 1e7) while true do local c = a < b end`,
	"long numbers":  `local a = string.rep(' ', 1e7) while true do tonumber(a) pcall(math.floor, a) end`,
	"long parts":    `local a = string.rep(' ', 1e7) while true do local b = a:sub(2) end`,
	"first key":     `local t = {} for i = 1, 1e5 do t['k' .. i] = i end for k in pairs(t) do t[k] = nil end while true do next(t) end`,
	"one chain":     `local t = {} for i = 1, 1e4 do t[2^52 + i * (2^32 - 1) + 1e6] = i end while true do local x = t[2^52 + 2e4 * (2^32 - 1) + 1e6] end`,
	"long set":      `local s, p = ('a'):rep(1e5), '[' .. ('b'):rep(1e4) .. ']*c' while true do s:find(p) end`,
	"long border":   `local t = {} for i = 1, 2^17 do t[i] = 1 end for k = 0, 14 do t[(2^17 + 1) * 2^k] = 1 end while true do local n = #t end`,
	"raw equal":     `local a, b = string.rep('x', 1e7), string.rep('x', 1e7) while true do rawequal(a, b) end`,
	"long unequal":  `local s, e = string.rep('x', 1e7), string.rep('x', 40) local a, b = s .. 'y' .. e, s .. 'z' .. e while true do local c = a == b end`,
	"bad arguments": `local f = loadstring('local t = ... ' .. ('t = t '):rep(5e4) .. 'string.rep()') while true do pcall(f) end`,
	"short finds":   `local s, p = ('a'):rep(900), '[' .. ('b'):rep(1000) .. ']c' while true do s:find(p) end`,
	"garbage":       `local t = {} for i = 1, 1e5 do t[i] = {} end while true do collectgarbage() end`,
}

// TestInterrupt ends programs that would not end themselves.
func TestInterrupt(t *testing.T) {
	for name, program := range endless {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stop := errors.New("stop")
			calls, last, longest := 0, time.Now(), time.Duration(0)
			_, err := run(t, lua.Options{Interrupt: func() error {
				calls++
				longest, last = max(longest, time.Since(last)), time.Now()
				if calls > 20 {
					return stop
				}
				return nil
			}}, program)
			if !errors.Is(err, stop) {
				t.Fatalf("got %v, want %v", err, stop)
			}
			if calls != 21 {
				t.Errorf("asked %d times, want 21: the error has been caught", calls)
			}
			if longest > 10*time.Second {
				t.Errorf("asked only after %v", longest)
			}
		})
	}
}

// TestDeepRecursion looks that no depth of calls is more than an error.
func TestDeepRecursion(t *testing.T) {
	cases := map[string]struct{ program, want string }{
		"lua":         {`local function f() return f() + 1 end return f()`, "stack overflow"},
		"arguments":   {`local function f(...) return 1 + f(...) end return f(unpack({}, 1, 200))`, "stack overflow"},
		"pcall":       {`local function f() local ok, e = pcall(f) error(e, 0) end f()`, "C stack overflow"},
		"index":       {`local t = setmetatable({}, {__index = function(t, k) return t[k] end}) return t.x`, "C stack overflow"},
		"call":        {`local t = {} setmetatable(t, {__call = t}) return t()`, "attempt to call"},
		"tostring":    {`local t = setmetatable({}, {__tostring = tostring}) return tostring(t)`, "C stack overflow"},
		"gsub":        {`local function f() return (('x'):gsub('x', f)) end return f()`, "C stack overflow"},
		"sort":        {`local function f() table.sort({1, 2}, f) end f()`, "C stack overflow"},
		"coroutine":   {`local function f() local ok, e = coroutine.resume(coroutine.create(f)) error(e, 0) end f()`, "C stack overflow"},
		"wrap":        {`local function f() coroutine.wrap(f)() end f()`, "C stack overflow"},
		"handler":     {`local function f() error('x') end local ok, e = xpcall(f, f) error(e, 0)`, "error in error handling"},
		"parser":      {`error((select(2, loadstring('return ' .. string.rep('(', 1e5)))), 0)`, "too many syntax levels"},
		"blocks":      {`error((select(2, loadstring(string.rep('do ', 1e5)))), 0)`, "too many syntax levels"},
		"functions":   {`error((select(2, loadstring(string.rep('return function() ', 1e5)))), 0)`, "too many syntax levels"},
		"assignments": {`error((select(2, loadstring(string.rep('a,', 1e5) .. 'a = 1'))), 0)`, "variables in assignment"},
		"pattern":     {`return string.rep('a', 3e5):find(string.rep('a?', 3e5))`, "pattern too complex"},
		"chain":       {`local t = {} for i = 1, 1e5 do t = setmetatable({}, {__index = t}) end return t.x`, "loop in gettable"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := run(t, lua.Options{}, c.program)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want %s", err, c.want)
			}
		})
	}
}

// TestMemoryOutside builds tables for a program that will not have the memory to run.
func TestMemoryOutside(t *testing.T) {
	s := lua.New(lua.Options{MemoryLimit: 1000})
	s.OpenLibs()
	s.Globals().SetField("t", lua.TableValue(s.NewTable(1000, 1000)))
	if _, err := s.Load("@test", []byte(`return {}`)); !errors.Is(err, lua.ErrMemory) {
		t.Fatalf("got %v, want %v", err, lua.ErrMemory)
	}
}

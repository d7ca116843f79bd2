package lua_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/elastickv/elastickv/internal/lua"
)

func Example() {
	s := lua.New(lua.Options{MemoryLimit: 64 << 20})
	s.OpenLibs()
	greet := s.NewFunction(func(c *lua.Call) {
		c.Return(lua.String("hello " + c.CheckString(1)))
	})
	s.Globals().SetField("greet", lua.FunctionValue(greet))
	fn, err := s.Load("@example", []byte(`return greet(...):upper(), #{1, 2, 3}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	results, err := s.Call(fn, lua.String("world"))
	text, _ := results[0].AsString()
	n, _ := results[1].AsNumber()
	fmt.Println(text, n, err)

	_, err = s.Load("@example", []byte("return\n)"))
	fmt.Println(err)
	// Output:
	// HELLO WORLD 3 <nil>
	// example:2: unexpected symbol near ')'
}

// world is a State with a few Go functions for programs.
func world(t *testing.T) *lua.State {
	t.Helper()
	s := lua.New(lua.Options{})
	s.OpenLibs()
	s.Register(s.Globals(), []lua.Entry{
		{Name: "raise", Fn: func(c *lua.Call) { c.Raise(c.Arg(1)) }},
		{Name: "failing", Fn: func(c *lua.Call) { c.Errorf("failed %d times", c.CheckInt(1)) }},
		{Name: "abort", Fn: func(c *lua.Call) { c.Abort(errEnough) }},
		{Name: "crash", Fn: func(c *lua.Call) { panic("crash") }},
		{Name: "call", Fn: func(c *lua.Call) { c.Return(c.Call(c.Arg(1), c.Args()[1:]...)...) }},
		{Name: "protected", Fn: func(c *lua.Call) {
			_, err := c.State().Call(c.CheckFunction(1))
			c.Return(lua.String(fmt.Sprint(err)))
		}},
		{Name: "where", Fn: func(c *lua.Call) {
			chunk, line, ok := c.Position(c.CheckInt(1))
			c.Return(lua.String(fmt.Sprintf("%s %d %v %s", chunk, line, ok, c.Where(c.CheckInt(1)))))
		}},
	})
	return s
}

func do(t *testing.T, s *lua.State, program string) (string, error) {
	t.Helper()
	fn, err := s.Load("@test", []byte(program))
	if err != nil {
		t.Fatal(err)
	}
	results, err := s.Call(fn)
	parts := make([]string, len(results))
	for i, v := range results {
		parts[i], _ = lua.ToString(v)
		if v.Kind() == lua.KindBool {
			parts[i] = fmt.Sprint(v.Truthy())
		}
	}
	return strings.Join(parts, ", "), err
}

func TestGoFunctions(t *testing.T) {
	s := world(t)
	cases := []struct{ program, want string }{
		{"return pcall(raise, 'x')", "false, x"},
		{"return pcall(function() failing(3) end)", "false, test:1: failed 3 times"},
		{"return pcall(function() failing({}) end)", "false, test:1: bad argument #1 to 'failing' (number expected, got table)"},
		{"return pcall(failing)", "false, bad argument #1 to '?' (number expected, got no value)"},
		{"return call(function(a, b) return b, a end, 1, 2)", "2, 1"},
		{"return pcall(call, function() error('x') end)", "false, test:1: x"},
		{"return protected(function() error('x') end), protected(function() end)", "test:1: x, <nil>"},
		{"return where(0), (where(1)), where(9)", "=[C] -1 true , @test 1 true test:1: ,  0 false "},
		{"return protected(function() call(call, error, 'x') end)", "x"},
		{"return coroutine.wrap(function() return call(function() return where(1) end) end)()", "@test 1 true test:1: "},
		{"local function f() return (where(2)) end local function g() return f() end return (g())", "=(tail call) -1 true "},
	}
	for _, c := range cases {
		if got, err := do(t, s, c.program); got != c.want || err != nil {
			t.Errorf("%s\ngot  %s, %v\nwant %s", c.program, got, err, c.want)
		}
	}
}

// TestErrorPosition looks that an error tells where the program was, whoever raised it.
func TestErrorPosition(t *testing.T) {
	s := world(t)
	cases := map[string]struct {
		chunk string
		line  int
	}{
		"local x\n\nx()":  {"@test", 3},
		"\nerror('x', 0)": {"@test", 2},
		"\nerror({})":     {"@test", 2},
		"\nlocal function f()\nraise(1)\nend\nf()": {"@test", 3},
		"call(raise, 1)": {"=[C]", -1},
		"\n\nlocal ok, e = pcall(error, 'x') error(e)": {"@test", 3},
	}
	for program, want := range cases {
		_, err := do(t, s, program)
		var e *lua.Error
		if !errors.As(err, &e) || e.Chunk != want.chunk || e.Line != want.line {
			t.Errorf("%q: got %+v, want %v", program, e, want)
		}
	}
}

// TestAbort looks that nothing in a program holds an abort, and that the State works on.
func TestAbort(t *testing.T) {
	s := world(t)
	for _, program := range []string{
		"abort()", "pcall(abort)", "pcall(pcall, abort)", "xpcall(abort, function() end)",
		"coroutine.wrap(abort and function() abort() end)()",
		"coroutine.resume(coroutine.create(function() pcall(abort) end))",
		"call(call, abort)", "load(abort)", "('x'):gsub('x', abort)",
		"setmetatable({}, {__index = abort}).x()", "table.sort({1, 2}, abort)",
		"for x in abort do end",
	} {
		if _, err := do(t, s, program); !errors.Is(err, errEnough) {
			t.Errorf("%s: got %v, want %v", program, err, errEnough)
		}
		if got, err := do(t, s, "return 1 + 1, coroutine.running()"); got != "2, " || err != nil {
			t.Fatalf("after %s: got %s, %v", program, got, err)
		}
	}
}

// TestCrash looks that a bug in a Go function is not hidden, and leaves the State whole.
func TestCrash(t *testing.T) {
	s := world(t)
	for _, program := range []string{"crash()", "pcall(crash)", "coroutine.wrap(function() pcall(crash) end)()"} {
		func() {
			defer func() {
				if r := recover(); r != "crash" {
					t.Errorf("%s: recovered %v", program, r)
				}
			}()
			do(t, s, program)
		}()
		if got, err := do(t, s, "return pcall(raise, 'x')"); got != "false, x" || err != nil {
			t.Fatalf("after %s: got %s, %v", program, got, err)
		}
	}
}

// TestValues looks that values are what they were made of, and equal to what they should be.
func TestValues(t *testing.T) {
	s := lua.New(lua.Options{})
	table, fn := s.NewTable(0, 0), s.NewFunction(func(*lua.Call) {})
	long := strings.Repeat("long ", 100)
	values := []lua.Value{
		lua.Nil, lua.True, lua.False, lua.Number(0), lua.Number(1), lua.Number(5e-324), lua.Number(-2.5), lua.String(""),
		lua.String("a"), lua.String("b"), lua.String("a\x00"), lua.String(long), lua.String(long[:len(long)-1]),
		lua.TableValue(table), lua.TableValue(s.NewTable(0, 0)), lua.FunctionValue(fn),
	}
	for i, a := range values {
		for j, b := range values {
			if lua.RawEqual(a, b) != (i == j) {
				t.Errorf("values %d and %d: equal is %v", i, j, i != j)
			}
		}
		keys := s.NewTable(0, 0)
		if !a.IsNil() {
			keys.Set(a, lua.True)
			if !keys.Get(a).Truthy() {
				t.Errorf("value %d is no good key", i)
			}
		}
	}
	if !lua.RawEqual(lua.String(long), lua.String(strings.Clone(long))) || lua.TableValue(table).AsTable() != table {
		t.Error("copies differ")
	}
}

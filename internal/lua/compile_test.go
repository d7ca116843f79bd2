package lua_test

import (
	"errors"
	"runtime"
	"strings"
	"testing"

	"github.com/elastickv/elastickv/internal/lua"
)

// long are sources that repeat a part as often as wanted.
var long = map[string]func(n int) string{
	"or":            func(n int) string { return "return " + strings.Repeat("a or ", n) + "a" },
	"and":           func(n int) string { return "return " + strings.Repeat("a and ", n) + "a" },
	"and, or":       func(n int) string { return "return " + strings.Repeat("a and b or ", n) + "a" },
	"or in if":      func(n int) string { return "if " + strings.Repeat("a == 1 or ", n) + "a then end" },
	"not":           func(n int) string { return "return " + strings.Repeat("not a or not b and ", n) + "a" },
	"elseif":        func(n int) string { return "if a then " + strings.Repeat("elseif a then a() ", n) + "end" },
	"break":         func(n int) string { return "while a do " + strings.Repeat("if a then break end ", n) + "end" },
	"if else":       func(n int) string { return strings.Repeat("if a then if b then c() end else d() end ", n) },
	"values":        func(n int) string { return "return {" + strings.Repeat("1,{},'x',", n) + "}" },
	"functions":     func(n int) string { return strings.Repeat("f(function(a) return a end) ", n) },
	"calls":         func(n int) string { return strings.Repeat("a.b.c(1, 'x') ", n) },
	"concatenation": func(n int) string { return strings.Repeat("a = b .. c .. 1 ", n) },
	"names": func(n int) string {
		return strings.Repeat("local a do local b = a end ", min(n, 190)) + strings.Repeat("a = a ", n)
	},
}

// TestCompileCost compiles sources of which one is twice as long as the other, and looks that it takes
// about twice as much.
func TestCompileCost(t *testing.T) {
	for name, source := range long {
		t.Run(name, func(t *testing.T) {
			const n = 5000
			one, two := compileCost(t, source(n)), compileCost(t, source(2*n))
			if two > 3*one {
				t.Errorf("%d bytes for %d parts, and %d for twice as many", one, n, two)
			}
		})
	}
}

// compileCost returns how many bytes are allocated to compile a source.
func compileCost(t *testing.T, source string) uint64 {
	t.Helper()
	s := lua.New(lua.Options{})
	src := []byte(source)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := s.Load("@test", src); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestCompileInterrupt ends the compiler in the middle of a source.
func TestCompileInterrupt(t *testing.T) {
	stop := errors.New("stop")
	for name, source := range long {
		t.Run(name, func(t *testing.T) {
			calls := 0
			s := lua.New(lua.Options{Interrupt: func() error {
				if calls++; calls == 2 {
					return stop
				}
				return nil
			}})
			if _, err := s.Load("@test", []byte(source(20000))); !errors.Is(err, stop) {
				t.Fatalf("got %v, want %v", err, stop)
			}
			if _, err := s.Load("@test", []byte("return 1")); err != nil {
				t.Fatal(err)
			}
		})
	}
}

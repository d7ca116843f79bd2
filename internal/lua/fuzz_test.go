package lua_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/elastickv/elastickv/internal/lua"
)

var errEnough = errors.New("enough")

// bounded returns a State in which nothing takes long or much.
func bounded() *lua.State {
	calls := 0
	s := newState(lua.Options{MemoryLimit: 8 << 20, Interrupt: func() error {
		calls++
		if calls > 50 {
			return errEnough
		}
		return nil
	}})
	return s
}

// FuzzPrograms compiles anything and runs what compiles: it may fail, but only with an
// error.
func FuzzPrograms(f *testing.F) {
	for _, name := range []string{"expressions", "syntax"} {
		text, err := os.ReadFile("testdata/programs/" + name + ".txt")
		if err != nil {
			f.Fatal(err)
		}
		for block := range strings.SplitSeq(string(text), "\n\n") {
			kind, rest, _ := strings.Cut(block, "\n")
			input, _, _ := strings.Cut(rest, "\n----")
			if kind == "lua" {
				f.Add(input)
				continue
			}
			for line := range strings.Lines(input) {
				f.Add(line)
			}
		}
	}
	f.Fuzz(func(t *testing.T, program string) {
		s := bounded()
		fn, err := s.Load("@fuzz", []byte(program))
		if err != nil {
			return
		}
		s.Call(fn)
	})
}

// FuzzPatterns matches anything against anything.
func FuzzPatterns(f *testing.F) {
	for _, p := range []string{"^a.-b$", "%b()", "%f[%w]%w+", "(a*(.)%w(%s*))", "[^%]a-z]", "[]]", "%", "(()", "a?a?a?aaa", "[%", "%f[", "(a)%1", "%z*", "[a-]", "x-$"} {
		f.Add("hello (world) aaa 123]", p, "%0<%1>")
	}
	const program = `
		local s, p, r = ...
		local a = {string.find(s, p)}
		local b = {string.match(s, p)}
		for x in string.gmatch(s, p) do end
		local c = string.gsub(s, p, r, 10)
		return #a + #b + #c`
	f.Fuzz(func(t *testing.T, subject, pattern, replacement string) {
		s := bounded()
		fn, err := s.Load("@fuzz", []byte(program))
		if err != nil {
			t.Fatal(err)
		}
		s.Call(fn, lua.String(subject), lua.String(pattern), lua.String(replacement))
	})
}

// FuzzFormat formats anything.
func FuzzFormat(f *testing.F) {
	f.Add("%5.2f %d %s %q %x", 1.5, "text")
	f.Add("%-+ #05.3x|%c|%g|%i", -1e300, "\x00")
	f.Fuzz(func(t *testing.T, format string, n float64, text string) {
		s := bounded()
		fn, err := s.Load("@fuzz", []byte(`local f, n, s = ... return pcall(string.format, f, n, s, n, n, s)`))
		if err != nil {
			t.Fatal(err)
		}
		s.Call(fn, lua.String(format), lua.Number(n), lua.String(text))
	})
}

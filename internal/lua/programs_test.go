package lua_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/elastickv/elastickv/internal/lua"
	"github.com/elastickv/elastickv/internal/resp"
	"github.com/elastickv/elastickv/internal/testkit"
)

// TestPrograms runs the programs of testdata/programs. Their answers come from a real
// redis-server: with -rewrite it is asked, and its answers go into the files.
//
//	lua      the block is one program
//	each     each line is a program
//
// Both go through testdata/wrapper.lua, here and there, which shows results and errors as
// text.
func TestPrograms(t *testing.T) {
	run := runOurs(t)
	if flag.Lookup("rewrite").Value.String() == "true" {
		run = runRedis(t)
	}
	paths, err := filepath.Glob("testdata/programs/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no programs (%v)", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string { return answer(t, d, run) })
		})
	}
}

// TestProgramsAgainstRedis holds the files to a real redis-server.
func TestProgramsAgainstRedis(t *testing.T) {
	if flag.Lookup("rewrite").Value.String() == "true" {
		t.Skip("the files are being rewritten")
	}
	run := runRedis(t)
	paths, _ := filepath.Glob("testdata/programs/*.txt")
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string { return answer(t, d, run) })
		})
	}
}

// answer returns what a block's programs do.
func answer(t *testing.T, d *datadriven.TestData, run func(program string) string) string {
	switch d.Cmd {
	case "lua":
		return run(d.Input) + "\n"
	case "each":
		var b strings.Builder
		for line := range strings.Lines(d.Input) {
			b.WriteString(run(strings.TrimSuffix(line, "\n")))
			b.WriteByte('\n')
		}
		return b.String()
	default:
		d.Fatalf(t, "unknown directive %q", d.Cmd)
		return ""
	}
}

func wrapper(t testing.TB) string {
	t.Helper()
	src, err := os.ReadFile("testdata/wrapper.lua")
	if err != nil {
		t.Fatal(err)
	}
	return string(src)
}

// runOurs returns a function that runs a program in a State of its own, whose globals are
// protected as Redis does it.
func runOurs(t testing.TB) func(program string) string {
	src := []byte(wrapper(t))
	return func(program string) string {
		t.Helper()
		s := newState(lua.Options{MemoryLimit: 1 << 30})
		argv := s.NewTable(1, 0)
		argv.Append(lua.String(program))
		s.Globals().SetField("KEYS", lua.TableValue(s.NewTable(0, 0)))
		s.Globals().SetField("ARGV", lua.TableValue(argv))
		s.Globals().ReadOnly = true
		fn, err := s.Load("@user_script", src)
		if err != nil {
			t.Fatal(err)
		}
		results, err := s.Call(fn)
		if err != nil {
			return "failed: " + err.Error()
		}
		text, _ := results[0].AsString()
		return text
	}
}

// newState returns a State with the libraries, in which reading a global variable that
// there is not is an error, and the libraries are read-only.
func newState(o lua.Options) *lua.State {
	s := lua.New(o)
	s.OpenLibs()
	for _, name := range []string{"string", "table", "math", "coroutine"} {
		s.Globals().GetField(name).AsTable().ReadOnly = true
	}
	s.StringMetatable().ReadOnly = true
	meta := s.NewTable(0, 1)
	meta.SetField("__index", lua.FunctionValue(s.NewFunction(func(c *lua.Call) {
		name, _ := lua.ToString(c.Arg(2))
		c.Errorf("Script attempted to access nonexistent global variable '%s'", name)
	})))
	s.Globals().SetMetatable(meta)
	return s
}

// runRedis returns a function that lets a redis-server run a program.
func runRedis(t testing.TB) func(program string) string {
	c := testkit.Dial(t, testkit.Redis(t).Addr, 2)
	src := wrapper(t)
	return func(program string) string {
		t.Helper()
		v, err := c.Do("EVAL", src, "0", program)
		if err != nil {
			t.Fatalf("%q: %v", program, err)
		}
		if v.Kind == resp.KindError {
			return "failed: " + v.Str
		}
		return v.Str
	}
}

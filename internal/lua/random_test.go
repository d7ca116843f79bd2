package lua_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

var (
	randomSeed   = flag.Uint64("lua.seed", 1, "the seed of the random programs")
	randomChecks = flag.Int("lua.checks", 300, "how many random programs to compare")
)

// TestRandomPrograms lets a redis-server and us run the same random programs. They make many
// mistakes, so that errors are compared, too. -lua.seed and -lua.checks choose them.
func TestRandomPrograms(t *testing.T) {
	redis, ours := runRedis(t), runOurs(t)
	for i := range *randomChecks {
		g := &generator{rand: rand.New(rand.NewPCG(*randomSeed, uint64(i)))}
		program := g.program()
		want, got := redis(program), ours(program)
		if got != want {
			t.Errorf("seed %d, program %d:\n%s\ngot  %s\nwant %s", *randomSeed, i, program, got, want)
			return
		}
	}
}

// generator writes programs that end soon.
type generator struct {
	rand  *rand.Rand
	out   strings.Builder
	vars  []string // in scope
	depth int
	loops int
}

func (g *generator) pick(of ...string) string { return of[g.rand.IntN(len(of))] }

func (g *generator) program() string {
	g.vars = []string{"a", "t"}
	g.out.WriteString("local a, t, r = 1, {1, 'two', x = 3, f = function(...) return ... end}, {}\n")
	for range 3 + g.rand.IntN(8) {
		g.statement()
	}
	fmt.Fprintf(&g.out, "return %s, a, t, r", g.expr(2))
	return g.out.String()
}

func (g *generator) block() {
	vars := len(g.vars)
	g.depth++
	for range 1 + g.rand.IntN(3) {
		g.statement()
	}
	g.depth--
	g.vars = g.vars[:vars]
}

func (g *generator) statement() {
	kind := g.rand.IntN(14)
	if g.depth > 2 && kind > 5 {
		kind %= 6
	}
	switch kind {
	case 0, 1:
		name := g.pick("a", "b", "c", "d", "t", "u")
		e := g.expr(2)
		fmt.Fprintf(&g.out, "local %s = %s\n", name, e)
		g.vars = append(g.vars, name)
	case 2:
		fmt.Fprintf(&g.out, "%s = %s\n", g.variable(), g.expr(3))
	case 3:
		fmt.Fprintf(&g.out, "%s, %s = %s, %s\n", g.target(), g.target(), g.expr(2), g.expr(2))
	case 4:
		fmt.Fprintf(&g.out, "%s = %s\n", g.target(), g.expr(3))
	case 5:
		fmt.Fprintf(&g.out, "r[#r + 1] = {pcall(function(...) return %s end, %s)}\n", g.list(), g.list())
	case 6:
		fmt.Fprintf(&g.out, "if %s then\n", g.expr(2))
		g.block()
		if g.rand.IntN(2) == 0 {
			fmt.Fprintf(&g.out, "elseif %s then\n", g.expr(2))
			g.block()
		}
		if g.rand.IntN(2) == 0 {
			g.out.WriteString("else\n")
			g.block()
		}
		g.out.WriteString("end\n")
	case 7:
		fmt.Fprintf(&g.out, "for i = %s, %s do\n", g.pick("1", "3", "a", "-1"), g.pick("3", "5", "#t", "'2'", "t.x"))
		g.loop("i")
	case 8:
		fmt.Fprintf(&g.out, "for k, v in %s do\n", g.pick("pairs(t)", "ipairs(t)", "next, {x = 1, 5}", "pairs("+g.expr(1)+")", "('a1b2'):gmatch('(%a)(%d)')"))
		g.loop("k", "v")
	case 9:
		g.loops++
		fmt.Fprintf(&g.out, "local n%d = 0 while n%d < 3 and (%s) do n%d = n%d + 1\n", g.loops, g.loops, g.expr(2), g.loops, g.loops)
		g.loop()
	case 10:
		g.loops++
		n := g.loops
		fmt.Fprintf(&g.out, "local m%d = 0 repeat m%d = m%d + 1 local w = %s\n", n, n, n, g.expr(1))
		g.block()
		fmt.Fprintf(&g.out, "until m%d > 2 or %s\n", n, g.pick("w", "not w", "w == a"))
	case 11:
		name := g.pick("f", "g", "h")
		fmt.Fprintf(&g.out, "local function %s(%s)\n", name, g.pick("", "a", "a, b", "a, ...", "..."))
		g.block()
		fmt.Fprintf(&g.out, "return %s\nend\n", g.expr(2))
		g.vars = append(g.vars, name)
	case 12:
		g.out.WriteString("do\n")
		g.block()
		g.out.WriteString("end\n")
	case 13:
		fmt.Fprintf(&g.out, "r[#r + 1] = {pcall(function()\n")
		g.block()
		fmt.Fprintf(&g.out, "return %s end)}\n", g.list())
	}
}

func (g *generator) loop(vars ...string) {
	n := len(g.vars)
	g.vars = append(g.vars, vars...)
	g.block()
	if g.rand.IntN(4) == 0 {
		fmt.Fprintf(&g.out, "if %s then break end\n", g.expr(1))
	}
	g.out.WriteString("end\n")
	g.vars = g.vars[:n]
}

func (g *generator) variable() string { return g.pick(g.vars...) }

func (g *generator) target() string {
	switch g.rand.IntN(4) {
	case 0:
		return g.variable()
	case 1:
		return g.variable() + "." + g.pick("x", "y", "z")
	case 2:
		return "t[" + g.pick("1", "2", "3", "'x'", "'k'", "#t", "0.5", "true", "-1", "'' .. 2") + "]" // no key whose place depends on its address
	default:
		return "t." + g.pick("x", "y", "z")
	}
}

func (g *generator) list() string {
	parts := make([]string, g.rand.IntN(4))
	for i := range parts {
		parts[i] = g.expr(1)
	}
	if len(parts) == 0 {
		return "nil"
	}
	return strings.Join(parts, ", ")
}

var operators = []string{"+", "-", "*", "/", "%", "^", "..", "==", "~=", "<", "<=", ">", ">=", "and", "or", "and", "or", ".."}

func (g *generator) expr(depth int) string {
	if depth == 0 {
		return g.pick("1", "2", "0", "-1", "0.5", "'x'", "'10'", "'a'", "nil", "true", "false", "{}", "a", "t", g.variable(), g.variable(), g.variable(), "#t", "''", "1e3")
	}
	switch g.rand.IntN(13) {
	case 0, 1, 2, 3:
		return g.expr(depth-1) + " " + g.pick(operators...) + " " + g.expr(depth-1)
	case 4:
		return "(" + g.expr(depth-1) + ")"
	case 5:
		return g.pick("not ", "-", "#", "- ") + g.expr(depth-1)
	case 6:
		return g.variable() + "." + g.pick("x", "y", "f") + g.pick("", "", ".z", "[1]", "()")
	case 7:
		return g.variable() + "[" + g.expr(depth-1) + "]"
	case 8:
		return "{" + g.expr(depth-1) + ", " + g.pick("x", "y", "[1]", "['k']") + " = " + g.expr(depth-1) + ", " + g.pick("", "t.f(1, 2)", g.expr(depth-1)) + "}"
	case 9:
		return g.pick("type", "tonumber", "#", "select", "unpack", "math.floor", "t.f", "string.len", "('x').rep", g.variable()) + "(" + g.list() + ")"
	case 10:
		return "(" + g.pick("'abc'", "'a,b'", "a", "t", g.variable()) + "):" + g.pick("upper", "rep", "sub", "find", "f", "gsub", "byte") + "(" + g.list() + ")"
	case 11:
		return "(function(...) " + g.pick("", "local a = ... ", "a = 2 ") + "return " + g.expr(depth-1) + " end)" + g.pick("", "("+g.list()+")")
	default:
		return g.expr(0)
	}
}

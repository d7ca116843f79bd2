package script_test

import (
	"flag"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/elastickv/elastickv/internal/testkit"
)

// TestPrograms runs the programs in testdata/programs as scripts and as functions. What they
// answer has come from a real redis-server: -rewrite asks it again.
//
//	run keys=a,b args=1,2 proto=3
//	return KEYS[1]
//	----
//	"a"
//
// The answer to EVAL stands plainly; that to FCALL, where it is another, on a line that
// begins with "fcall: ". A file begins with an empty server.
//
//	proto=3    the client speaks protocol 3
//	eval       the program is not called as a function
//	ro         the commands are EVAL_RO and FCALL_RO, and the function has the flag no-writes
//	command    the input is commands, one a line, as for redis-cli
//	ours       Redis is not asked, for it answers otherwise, or not at all
func TestPrograms(t *testing.T) {
	rewrite := flag.Lookup("rewrite").Value.String() == "true"
	ours := testkit.Memory(t)
	addr := ours
	if rewrite {
		addr = testkit.Redis(t).Addr
	}
	paths, err := filepath.Glob("testdata/programs/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no programs (%v)", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			asked, own := newAsker(t, addr), newAsker(t, ours)
			datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
				p := parseProgram(t, d)
				if p.ours {
					return p.run(t, own)
				}
				return p.run(t, asked)
			})
		})
	}
}

// asker is a server with a connection in each protocol.
type asker struct{ clients map[int]*testkit.Client }

func newAsker(t *testing.T, addr string) *asker {
	a := &asker{map[int]*testkit.Client{2: testkit.Dial(t, addr, 2), 3: testkit.Dial(t, addr, 3)}}
	for _, args := range [][]string{{"FLUSHALL"}, {"FUNCTION", "FLUSH"}, {"SCRIPT", "FLUSH"}} {
		a.clients[2].MustDo(t, args...)
	}
	return a
}

// program is one block of a file.
type program struct {
	source     string
	keys, args []string
	proto      int
	evalOnly   bool
	readOnly   bool
	ours       bool
	commands   bool
}

func parseProgram(t *testing.T, d *datadriven.TestData) *program {
	p := &program{source: d.Input, proto: 2, commands: d.Cmd == "command"}
	if d.Cmd != "run" && d.Cmd != "command" {
		d.Fatalf(t, "unknown directive %q", d.Cmd)
	}
	for _, arg := range d.CmdArgs {
		switch arg.Key {
		case "keys":
			p.keys = arg.Vals
		case "args":
			p.args = arg.Vals
		case "proto":
			p.proto = 3
		case "eval":
			p.evalOnly = true
		case "ro":
			p.readOnly = true
		case "ours":
			p.ours = true
		default:
			d.Fatalf(t, "unknown option %q", arg.Key)
		}
	}
	return p
}

func (p *program) run(t *testing.T, a *asker) string {
	t.Helper()
	client := a.clients[p.proto]
	if p.commands {
		return p.runCommands(t, client)
	}
	eval, fcall, flags := "EVAL", "FCALL", ""
	if p.readOnly {
		eval, fcall, flags = "EVAL_RO", "FCALL_RO", ", flags={'no-writes'}"
	}
	rest := append([]string{fmt.Sprint(len(p.keys))}, append(p.keys, p.args...)...)
	answer := ask(t, client, append([]string{eval, p.source}, rest...)...)
	if p.evalOnly {
		return answer
	}
	lib := fmt.Sprintf("#!lua name=test\nredis.register_function{function_name='test'%s, callback=function(KEYS, ARGV)\n%s\nend}", flags, p.source)
	other := ask(t, client, "FUNCTION", "LOAD", "REPLACE", lib)
	if other == `"test"` {
		other = ask(t, client, append([]string{fcall, "test"}, rest...)...)
	}
	if other == answer {
		return answer
	}
	return answer + "\nfcall: " + strings.ReplaceAll(other, "\n", "\n       ")
}

func (p *program) runCommands(t *testing.T, client *testkit.Client) string {
	var out []string
	for line := range strings.SplitSeq(p.source, "\n") {
		args, err := testkit.Split(line)
		if err != nil || len(args) == 0 {
			t.Fatalf("line %q is no command (%v)", line, err)
		}
		out = append(out, ask(t, client, args...))
	}
	return strings.Join(out, "\n")
}

func ask(t *testing.T, client *testkit.Client, args ...string) string {
	t.Helper()
	v, err := client.Do(args...)
	if err != nil {
		t.Fatalf("%.200q: %v", args, err)
	}
	return v.String()
}

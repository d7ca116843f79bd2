package server

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/elastickv/elastickv/internal/command"
)

// What an entry of the slow log keeps of a call.
const (
	slowArgsMost  = 32  // arguments; the last of them tells how many are left out
	slowBytesMost = 128 // of each argument
)

// slowlog remembers calls that took long.
type slowlog struct {
	mu      sync.Mutex
	entries []slowCall // the newest last
	lastID  int64
}

type slowCall struct {
	id     int64
	at     time.Time
	took   time.Duration
	args   []string
	client string
	name   string
}

// logSlow remembers a call if it took long.
func (s *Server) logSlow(c *session, k call, took time.Duration) {
	cfg := s.cfg.Load()
	if cfg.slowerThan < 0 || took.Microseconds() < cfg.slowerThan || cfg.slowlogLen == 0 || k.route.cmd.Has(command.SkipSlowlog) {
		return
	}
	e := slowCall{at: s.opts.Now(), took: took, args: shownArgs(k), client: c.remote, name: c.name()}
	l := &s.slowlog
	l.mu.Lock()
	e.id = l.lastID
	l.lastID++
	l.entries = append(l.entries, e)
	l.mu.Unlock()
	l.trim(int(cfg.slowlogLen))
}

// trim drops the oldest entries until there are at most n.
func (l *slowlog) trim(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if over := len(l.entries) - n; over > 0 {
		clear(l.entries[:over])
		l.entries = l.entries[over:]
	}
}

// shownArgs is what may be shown of a call: no secrets, and not all of what is long.
func shownArgs(k call) []string {
	out := make([]string, 0, min(len(k.args), slowArgsMost))
	for i, a := range k.args {
		if i == slowArgsMost-1 && len(k.args) > slowArgsMost {
			return append(out, fmt.Sprintf("... (%d more arguments)", len(k.args)-i))
		}
		switch over := len(a) - slowBytesMost; {
		case secret(k, i):
			out = append(out, "(redacted)")
		case over > 0:
			out = append(out, fmt.Sprintf("%s... (%d more bytes)", a[:slowBytesMost], over))
		default:
			out = append(out, string(a))
		}
	}
	return out
}

// secret reports whether argument i of a call may be a password.
func secret(k call, i int) bool {
	switch k.route.cmd.FullName() {
	case "auth":
		return i >= 1
	case "hello":
		is := func(at int) bool { return at >= 2 && strings.EqualFold(string(k.args[at]), "auth") }
		return is(i-1) || is(i-2) // a name or password that is the word itself is hidden, too
	case "acl|setuser":
		return i >= 2
	case "migrate":
		is := func(at int, word string) bool { return at >= 6 && strings.EqualFold(string(k.args[at]), word) }
		return is(i-1, "auth") || is(i-1, "auth2") || is(i-2, "auth2")
	case "config|set":
		if i < 3 || i%2 == 0 {
			return false
		}
		s := settingNamed(string(k.args[i-1]))
		return s != nil && s.secret
	}
	return false
}

var slowlogRow = &command.Command{
	Name: "slowlog", Arity: -2, Group: command.GroupServer, Since: "2.2.12",
	Summary: "A container for commands about calls that took long.", Complexity: "Depends on subcommand.",
	Sub: []*command.Command{
		{Name: "get", Arity: -2, Flags: slowlogFlags, Group: command.GroupServer, Run: slowlogGet, Since: "2.2.12",
			Syntax: "[count]", History: []string{"4.0.0 Tells the address and the name of the client."},
			Summary: "Returns the newest entries of the slow log.", Complexity: "O(N) where N is the number of entries returned",
			Tips: []string{"request_policy:all_nodes", "nondeterministic_output"}},
		{Name: "len", Arity: 2, Flags: slowlogFlags, Group: command.GroupServer, Run: slowlogLen, Since: "2.2.12",
			Summary: "Returns the number of entries of the slow log.", Complexity: "O(1)",
			Tips: []string{"request_policy:all_nodes", "response_policy:agg_sum", "nondeterministic_output"}},
		{Name: "reset", Arity: 2, Flags: slowlogFlags, Group: command.GroupServer, Run: slowlogReset, Since: "2.2.12",
			Summary: "Empties the slow log.", Complexity: "O(N) where N is the number of entries in the slowlog",
			Tips: onAllNodes},
		{Name: "help", Arity: 2, Flags: command.Loading | command.Stale, Group: command.GroupServer, Run: slowlogHelp, Since: "6.2.0",
			Summary: "Returns help about the subcommands.", Complexity: "O(1)"},
	},
}

const slowlogFlags = command.Admin | command.Loading | command.Stale

func slowlogGet(c *command.Ctx) error {
	count := int64(10)
	switch len(c.Args) {
	case 2:
	case 3:
		var err error
		if count, err = parseInt(c.Args[2]); err != nil || count < -1 {
			return errSlowlogCount
		}
	default:
		return errNoSubcommand("SLOWLOG", c.Args[1])
	}
	l := &serverOf(c).slowlog
	l.mu.Lock()
	if count < 0 || count > int64(len(l.entries)) {
		count = int64(len(l.entries))
	}
	entries := slices.Clone(l.entries[len(l.entries)-int(count):])
	l.mu.Unlock()
	slices.Reverse(entries) // the newest first
	c.Out.Array(len(entries))
	for _, e := range entries {
		c.Out.Array(6)
		c.Out.Int(e.id)
		c.Out.Int(e.at.Unix())
		c.Out.Int(e.took.Microseconds())
		c.Out.Array(len(e.args))
		for _, a := range e.args {
			c.Out.BulkString(a)
		}
		c.Out.BulkString(e.client)
		c.Out.BulkString(e.name)
	}
	return nil
}

func slowlogLen(c *command.Ctx) error {
	l := &serverOf(c).slowlog
	l.mu.Lock()
	defer l.mu.Unlock()
	c.Out.Int(int64(len(l.entries)))
	return nil
}

func slowlogReset(c *command.Ctx) error {
	serverOf(c).slowlog.trim(0)
	c.Out.OK()
	return nil
}

func slowlogHelp(c *command.Ctx) error {
	return help(c, "SLOWLOG",
		"GET [<count>]",
		"    Return top <count> entries from the slowlog (default: 10, -1 mean all).",
		"    Entries are made of:",
		"    id, timestamp, time in microseconds, arguments array, client IP and port,",
		"    client name",
		"LEN", "    Return the length of the slowlog.",
		"RESET", "    Reset the slowlog.")
}

package server

import (
	"strings"

	"github.com/elastickv/elastickv/internal/command"
)

// place is where a command may run.
type place int

const (
	// anywhere: it is quick, and either reads a snapshot or needs no keys. It
	// runs on the connection's goroutine, or along with the writes of its
	// pipeline that came before it.
	anywhere place = iota
	// inSequencer: it writes, or has to be ordered with writes.
	inSequencer
	// outside: it may take long, so it never holds up the sequencer.
	outside
	// atLeader: this node does not lead, and asks the one that does.
	atLeader
)

// route is what the server knows of a command beside its row.
type route struct {
	cmd   *command.Command
	place place
	// atOnce says that the command is carried out in a MULTI, not queued.
	atOnce bool
	// leaves says that the command gives up a MULTI, which it may for want of room, too.
	leaves bool
	exec   bool // is EXEC, whose place depends on what is queued
	// keyed says that the handler works on keys, in a transaction.
	keyed bool
	// travels says that the leader may carry it out for a client of another node.
	travels bool
	// scripted says that the command runs a script: whether it writes, and so its place,
	// depends on that.
	scripted bool
	byDigest bool // it is one that is named by its digest
	// subscribing says that the command begins or ends subscriptions.
	subscribing bool
	unauth      bool // may be called before AUTH
	// listening says that a connection in protocol 2 that listens to channels may call it.
	listening bool
	stats     commandStats
}

// quickArgs is up to how many arguments a command that is quick for each of them is quick.
const quickArgs = 256

// placeOf is where a call of the command may run.
func (r *route) placeOf(args [][]byte) place {
	switch {
	case r.cmd.MayWrite == nil:
		if r.place == anywhere && len(args) > quickArgs {
			return outside
		}
		return r.place
	case r.cmd.MayWrite(args):
		return inSequencer
	}
	return outside
}

// rejectedRoute returns the route of a call that the table refuses because of the
// number of its arguments; nil if it has no such command.
func (s *Server) rejectedRoute(args [][]byte) *route {
	name := strings.ToLower(string(args[0][:min(len(args[0]), nameMost)]))
	r := s.named[name]
	if r != nil && len(r.cmd.Sub) > 0 && len(args) > 1 {
		return s.named[name+"|"+strings.ToLower(string(args[1][:min(len(args[1]), nameMost)]))]
	}
	return r
}

// nameMost is more than the length of any command's name.
const nameMost = 64

// makeRoutes returns the route of every command and subcommand.
func makeRoutes(t *command.Table) map[*command.Command]*route {
	routes := make(map[*command.Command]*route)
	for _, c := range t.All() {
		routes[c] = newRoute(c)
		for _, sub := range c.Sub {
			routes[sub] = newRoute(sub)
		}
	}
	return routes
}

func newRoute(c *command.Command) *route {
	r := &route{cmd: c, unauth: c.Has(command.NoAuth)}
	switch {
	case c.Has(command.Write):
		r.place = inSequencer
	case !c.Has(command.Fast):
		r.place = outside
	}
	r.keyed = c.Has(command.Write | command.ReadOnly)
	switch c.FullName() {
	case "subscribe", "psubscribe", "ssubscribe", "unsubscribe", "punsubscribe", "sunsubscribe":
		r.listening, r.subscribing = true, true
	case "ping", "quit", "reset":
		r.listening = true
	}
	switch c.FullName() {
	case "eval", "evalsha", "eval_ro", "evalsha_ro", "fcall", "fcall_ro":
		r.keyed, r.scripted = true, true
		r.byDigest = strings.HasPrefix(c.Name, "evalsha")
	case "function|list", "function|dump", "function|stats":
		r.keyed = true // the rows of libraries
	case "multi":
		r.atOnce = true
	case "discard", "quit", "reset":
		r.atOnce, r.leaves = true, true
	case "watch":
		r.atOnce = true
		r.place = inSequencer
	case "exec":
		r.atOnce, r.exec = true, true
	}
	r.travels = r.keyed || r.atOnce && !r.leaves || c.Has(command.AnyNode|command.AtLeader|command.AtScript)
	if c.FullName() == "migrate" {
		r.place = outside // it waits for another server,
		r.keyed = false   // and keeps no view open for so long
	}
	return r
}

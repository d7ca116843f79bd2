package server

import (
	"strings"
	"sync/atomic"
	"time"

	"github.com/elastickv/elastickv/internal/command"
)

// saved is when somebody last asked for what is always the case: that all data is on the disk.
type saved struct {
	at      atomic.Int64 // Unix seconds
	changes atomic.Int64 // that there had been by then
}

func (s *Server) markSaved(now time.Time) {
	s.saved.at.Store(now.Unix())
	s.saved.changes.Store(s.stats.changes.Load())
}

const saveFlags = command.Admin | command.NoScript | command.NoAsyncLoading

var saveRows = []*command.Command{
	{Name: "save", Arity: 1, Flags: saveFlags | command.NoMulti, Group: command.GroupServer, Run: save, Since: "1.0.0",
		Summary: "Does nothing: every write is on the disk before it is answered.", Complexity: "O(1)"},
	{Name: "bgsave", Arity: -1, Flags: saveFlags, Group: command.GroupServer, Run: bgsave, Since: "1.0.0",
		Syntax:  "[SCHEDULE@3.2.2]",
		Summary: "Does nothing: every write is on the disk before it is answered.", Complexity: "O(1)"},
	{Name: "bgrewriteaof", Arity: 1, Flags: saveFlags, Group: command.GroupServer, Run: bgrewriteaof, Since: "1.0.0",
		Summary: "Does nothing: there is no append-only file that grows.", Complexity: "O(1)"},
	{Name: "lastsave", Arity: 1, Flags: command.Loading | command.Stale | command.Fast, Group: command.GroupServer, Run: lastsave, Since: "1.0.0",
		Cats:    command.CatAdmin | command.CatDangerous,
		Summary: "Returns the time of the last SAVE or BGSAVE, or of the start.", Complexity: "O(1)", Tips: []string{"nondeterministic_output"}},
}

func save(c *command.Ctx) error {
	srv := serverOf(c)
	srv.markSaved(srv.opts.Now())
	c.Out.OK()
	return nil
}

// bgsave says within a transaction that it will save, as nothing could be started there.
func bgsave(c *command.Ctx) error {
	if len(c.Args) > 2 || len(c.Args) == 2 && !strings.EqualFold(string(c.Args[1]), "schedule") {
		return command.ErrSyntax
	}
	srv := serverOf(c)
	srv.markSaved(srv.opts.Now())
	if c.MayBlock {
		c.Out.Simple("Background saving started")
	} else {
		c.Out.Simple("Background saving scheduled")
	}
	return nil
}

func bgrewriteaof(c *command.Ctx) error {
	if c.MayBlock {
		c.Out.Simple("Background append only file rewriting started")
	} else {
		c.Out.Simple("Background append only file rewriting scheduled")
	}
	return nil
}

func lastsave(c *command.Ctx) error {
	c.Out.Int(serverOf(c).saved.at.Load())
	return nil
}

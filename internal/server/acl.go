package server

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/elastickv/elastickv/internal/acl"
	"github.com/elastickv/elastickv/internal/command"
)

// Where a call was denied, as ACL LOG says it.
const (
	deniedDirectly = "toplevel"
	deniedInMulti  = "multi"
	deniedInScript = "lua"
)

// denied is the error of a call that the session's user may not make.
type denied struct {
	acl.Decision
	why string
}

func (d *denied) Error() string { return "NOPERM " + d.why }

// LoadUsers returns the users of a configuration: those of the ACL file, if there is one,
// or of the lines that begin with "user".
func LoadUsers(c *Config) (*acl.Users, error) {
	users := acl.New(table())
	users.SetNewChannels(c.newChannels == "allchannels")
	if err := users.SetPassword(c.password); err != nil {
		return nil, err
	}
	switch {
	case c.aclFile != "" && len(c.users) > 0:
		return nil, fmt.Errorf("aclfile: there are users in the configuration file, too; move them to %s", c.aclFile)
	case c.aclFile != "":
		_, err := loadUserFile(users, c.aclFile)
		return users, err
	case len(c.users) > 0:
		_, err := users.Load("user", userWord+" "+strings.Join(c.users, "\n"+userWord+" "))
		return users, err
	}
	return users, nil
}

// loadUserFile replaces all users by those of a file, and returns those that are gone.
func loadUserFile(users *acl.Users, path string) ([]*acl.User, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("Error loading ACLs, opening file '%s': %w", path, err)
	}
	return users.Load(path, string(text))
}

// useUsers puts what a configuration says of users in force. old is the configuration before; nil at first.
func (s *Server) useUsers(old, cfg *Config) {
	s.users.SetNewChannels(cfg.newChannels == "allchannels")
	s.aclLog.SetMost(int(cfg.aclLogMost))
	if old == nil || old.password == cfg.password {
		return
	}
	if err := s.users.SetPassword(cfg.password); err != nil {
		s.log.Error("the password of the default user could not be changed", "err", err)
	}
}

// userLines returns what a configuration file has to say of the users: nothing if they are in a
// file of their own, or if there is only the default user and all it has is its password.
func (s *Server) userLines(cfg *Config) []string {
	plain := acl.New(s.table)
	lines := s.users.Lines()
	if cfg.aclFile != "" || plain.SetPassword(cfg.password) == nil && slices.Equal(lines, plain.Lines()) {
		return nil
	}
	for i := range lines {
		lines[i] = strings.TrimPrefix(lines[i], userWord+" ")
	}
	return lines
}

// open reports whether a connection that has not logged in may do anything at all.
func (s *Server) open() bool {
	d := s.users.Get(acl.Default)
	return d.Enabled() && d.NeedsNoPassword()
}

// setUser makes the session that of a user.
func (c *session) setUser(u *acl.User) {
	c.user = u
	c.facts.user.Store(u)
}

// check returns nil if the session's user may make a call.
func (c *session) check(cmd *command.Command, args [][]byte) error { return permit(c.user, cmd, args) }

// permit returns nil if a user may make a call.
func permit(u *acl.User, cmd *command.Command, args [][]byte) error {
	d := u.Check(cmd, args)
	switch d.Reason {
	case acl.Allowed:
		return nil
	case acl.DeniedCommand:
		return &denied{d, mayNotRun(u, cmd)}
	}
	return &denied{d, fmt.Sprintf("No permissions to access a %v", d.Reason)}
}

func mayNotRun(u *acl.User, cmd *command.Command) string {
	return fmt.Sprintf("User %s has no permissions to run the '%s' command", u.Name(), cmd.FullName())
}

// checkAgain is check for a call of a MULTI that is being carried out.
func (c *session) checkAgain(k call) error {
	err := c.check(k.route.cmd, k.args)
	if err == nil {
		return nil
	}
	d := err.(*denied)
	c.logDenied(d.Decision, deniedInMulti, k)
	return command.Error("NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. " +
		"This command is no longer allowed for the following reason: " + map[acl.Reason]string{
		acl.DeniedCommand: "no permission to execute the command or subcommand",
		acl.DeniedKey:     "no permission to touch the specified keys",
		acl.DeniedChannel: "no permission to access one of the channels used as arguments",
	}[d.Reason])
}

// clipped is the beginning of b.
func clipped(b []byte, most int) []byte { return b[:min(len(b), most)] }

// logDenied takes down in the ACL log that a call was denied.
func (c *session) logDenied(d acl.Decision, context string, k call) {
	object := k.route.cmd.FullName()
	if d.Reason != acl.DeniedCommand {
		object = string(clipped(k.args[d.Arg], 256))
	}
	c.srv.stats.deniedCalls[d.Reason].Add(1)
	c.logDeniedObject(acl.Entry{Reason: d.Reason, Context: context, Object: object, User: c.facts.user.Load().Name()})
}

func (c *session) logDeniedObject(e acl.Entry) {
	now := c.srv.opts.Now()
	e.Client = c.describe(now)
	c.srv.aclLog.Add(e, now)
}

// MayRun implements script.Host.
func (c *session) MayRun(cmd *command.Command, args [][]byte) error {
	err := c.check(cmd, args)
	if err == nil {
		return nil
	}
	return command.Error(err.(*denied).why)
}

// DeniedToScript implements script.Host.
func (c *session) DeniedToScript(cmd *command.Command, args [][]byte) {
	if d := c.user.Check(cmd, args); d.Reason != acl.Allowed {
		c.logDenied(d, deniedInScript, call{args: args, route: c.srv.routes[cmd]})
	}
}

// dismiss closes the connections of users that are gone, the caller's own after the reply.
func (c *session) dismiss(gone []*acl.User) {
	for _, u := range gone {
		c.kill(func(o *session) bool { return o.facts.user.Load() == u })
	}
}

// silence closes the connections that listen to channels which their users may no longer.
func (c *session) silence(u *acl.User) {
	c.kill(func(o *session) bool {
		return o.facts.user.Load() == u && o.facts.subscribed.Load() && !o.mayHear(u)
	})
}

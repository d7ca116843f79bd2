package server

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/elastickv/elastickv/internal/acl"
	"github.com/elastickv/elastickv/internal/command"
)

var aclRow = &command.Command{
	Name: "acl", Arity: -2, Group: command.GroupServer, Since: "6.0.0",
	Summary: "A container for commands about users.", Complexity: "Depends on subcommand.",
	Sub: []*command.Command{
		{Name: "cat", Arity: -2, Flags: sessionFlags, Group: command.GroupServer, Run: aclCat, Since: "6.0.0",
			Syntax:  "[category]",
			Summary: "Returns the categories of commands, or the commands of one.", Complexity: "O(1) since the categories and commands are a fixed set."},
		{Name: "deluser", Arity: -3, Flags: adminFlags, Group: command.GroupServer, Run: aclDelUser, Tips: onAllNodes, Since: "6.0.0",
			Syntax:  "username...",
			Summary: "Removes users and closes their connections.", Complexity: "O(1) amortized time considering the typical user."},
		{Name: "dryrun", Arity: -4, Flags: adminFlags, Group: command.GroupServer, Run: aclDryRun, Since: "7.0.0",
			Syntax:  "username command [arg...]",
			Summary: "Says whether a user may make a call, without making it.", Complexity: "O(1)."},
		{Name: "genpass", Arity: -2, Flags: sessionFlags, Group: command.GroupServer, Run: aclGenPass, Since: "6.0.0",
			Syntax:  "[bits]",
			Summary: "Returns a random password.", Complexity: "O(1)"},
		{Name: "getuser", Arity: 3, Flags: adminFlags, Group: command.GroupServer, Run: aclGetUser, Since: "6.0.0",
			Syntax: "username", History: []string{"6.2.0 Tells the patterns of channels.", "7.0.0 Tells selectors, and patterns as rules."},
			Summary: "Returns the rules of a user.", Complexity: "O(N). Where N is the number of password, command and pattern rules that the user has."},
		{Name: "help", Arity: 2, Flags: command.Loading | command.Stale, Group: command.GroupServer, Run: aclHelp, Since: "6.0.0",
			Summary: "Returns help about the subcommands.", Complexity: "O(1)"},
		{Name: "list", Arity: 2, Flags: adminFlags, Group: command.GroupServer, Run: aclList, Since: "6.0.0",
			Summary: "Returns the rules of all users as lines of an ACL file.", Complexity: "O(N). Where N is the number of configured users."},
		{Name: "load", Arity: 2, Flags: adminFlags, Group: command.GroupServer, Run: aclLoad, Since: "6.0.0",
			Summary: "Replaces all users by those of the ACL file.", Complexity: "O(N). Where N is the number of configured users."},
		{Name: "log", Arity: -2, Flags: adminFlags, Group: command.GroupServer, Run: aclLog, Since: "6.0.0",
			Syntax: "[operation(count | RESET)]", History: []string{"7.2.0 Tells the number of an entry, and when it was made and last changed."},
			Summary: "Returns what was denied lately, or forgets it.", Complexity: "O(N) with N being the number of entries shown."},
		{Name: "save", Arity: 2, Flags: adminFlags, Group: command.GroupServer, Run: aclSave, Tips: onAllNodes, Since: "6.0.0",
			Summary: "Writes all users to the ACL file.", Complexity: "O(N). Where N is the number of configured users."},
		{Name: "setuser", Arity: -3, Flags: adminFlags, Group: command.GroupServer, Run: aclSetUser, Tips: onAllNodes, Since: "6.0.0",
			Syntax: "username [rule...]", History: []string{"6.2.0 Takes patterns of channels.", "7.0.0 Takes selectors, and patterns of keys for reading and for writing."},
			Summary: "Makes a user, or changes its rules.", Complexity: "O(N). Where N is the number of rules provided."},
		{Name: "users", Arity: 2, Flags: adminFlags, Group: command.GroupServer, Run: aclUsers, Since: "6.0.0",
			Summary: "Returns the names of all users.", Complexity: "O(N). Where N is the number of configured users."},
		{Name: "whoami", Arity: 2, Flags: sessionFlags, Group: command.GroupServer, Run: aclWhoAmI, Since: "6.0.0",
			Summary: "Returns the name of this connection's user.", Complexity: "O(1)"},
	},
}

func aclWhoAmI(ctx *command.Ctx) error {
	ctx.Out.BulkString(callerOf(ctx).user.Name())
	return nil
}

func aclUsers(ctx *command.Ctx) error {
	all := serverOf(ctx).users.All()
	ctx.Out.Array(len(all))
	for _, u := range all {
		ctx.Out.BulkString(u.Name())
	}
	return nil
}

func aclList(ctx *command.Ctx) error {
	bulks(ctx, serverOf(ctx).users.Lines())
	return nil
}

// bulks answers with an array of strings.
func bulks(ctx *command.Ctx, texts []string) {
	ctx.Out.Array(len(texts))
	for _, t := range texts {
		ctx.Out.BulkString(t)
	}
}

func aclCat(ctx *command.Ctx) error {
	switch len(ctx.Args) {
	case 2:
		all := command.AllCategories()
		ctx.Out.Array(len(all))
		for _, cat := range all {
			ctx.Out.BulkString(strings.TrimPrefix(cat.Names()[0], "@"))
		}
		return nil
	case 3:
		cat, ok := command.CategoryNamed(strings.ToLower(string(ctx.Args[2])))
		if !ok {
			return errUnknownCategory(ctx.Args[2])
		}
		bulks(ctx, serverOf(ctx).users.CommandsIn(cat))
		return nil
	}
	return errNoSubcommand("ACL", ctx.Args[1])
}

func aclSetUser(ctx *command.Ctx) error {
	c := callerOf(ctx)
	rules := make([]string, 0, len(ctx.Args)-3)
	for _, a := range ctx.Args[3:] {
		rules = append(rules, string(a))
	}
	name := string(ctx.Args[2])
	if err := c.srv.users.Set(name, rules...); err != nil {
		return errACL(err)
	}
	c.silence(c.srv.users.Get(name))
	ctx.Out.OK()
	return nil
}

func aclDelUser(ctx *command.Ctx) error {
	for _, name := range ctx.Args[2:] {
		if string(name) == acl.Default {
			return errDefaultUser
		}
	}
	c := callerOf(ctx)
	var gone []*acl.User
	for _, name := range ctx.Args[2:] {
		if u := c.srv.users.Delete(string(name)); u != nil {
			gone = append(gone, u)
		}
	}
	c.dismiss(gone)
	ctx.Out.Int(int64(len(gone)))
	return nil
}

func aclGetUser(ctx *command.Ctx) error {
	u := serverOf(ctx).users.Get(string(ctx.Args[2]))
	if u == nil {
		ctx.Out.Null()
		return nil
	}
	w, selectors := ctx.Out, u.Selectors()
	w.Map(6)
	w.BulkString("flags")
	flags := u.Flags()
	w.Set(len(flags))
	for _, f := range flags {
		w.BulkString(f)
	}
	w.BulkString("passwords")
	bulks(ctx, u.Passwords())
	showSelector(ctx, selectors[0])
	w.BulkString("selectors")
	w.Array(len(selectors) - 1)
	for _, s := range selectors[1:] {
		w.Map(3)
		showSelector(ctx, s)
	}
	return nil
}

// showSelector writes the three fields of a selector.
func showSelector(ctx *command.Ctx, s acl.Selector) {
	for _, text := range []string{"commands", s.Commands, "keys", s.Keys, "channels", s.Channels} {
		ctx.Out.BulkString(text)
	}
}

func aclLoad(ctx *command.Ctx) error {
	c := callerOf(ctx)
	path := c.srv.cfg.Load().aclFile
	if path == "" {
		return errNoACLFile
	}
	gone, err := loadUserFile(c.srv.users, path)
	if err != nil {
		return errACL(err)
	}
	c.dismiss(gone)
	for _, u := range c.srv.users.All() {
		c.silence(u)
	}
	ctx.Out.OK()
	return nil
}

func aclSave(ctx *command.Ctx) error {
	srv := serverOf(ctx)
	path := srv.cfg.Load().aclFile
	if path == "" {
		return errNoACLFile
	}
	if err := replaceFile(path, []byte(strings.Join(srv.users.Lines(), "\n")+"\n")); err != nil {
		srv.log.Error("the ACL file could not be written", "file", path, "err", err)
		return errACLSave
	}
	ctx.Out.OK()
	return nil
}

// genPassBits bounds what ACL GENPASS makes.
const genPassBits = 4096

func aclGenPass(ctx *command.Ctx) error {
	bits := int64(256)
	if len(ctx.Args) > 3 {
		return errNoSubcommand("ACL", ctx.Args[1])
	}
	if len(ctx.Args) == 3 {
		var err error
		if bits, err = parseInt(ctx.Args[2]); err != nil {
			return err
		}
	}
	if bits <= 0 || bits > genPassBits {
		return errGenPass
	}
	password := make([]byte, (bits+7)/8)
	_, _ = rand.Read(password) // ends the process rather than fail
	ctx.Out.BulkString(hex.EncodeToString(password)[:(bits+3)/4])
	return nil
}

func aclDryRun(ctx *command.Ctx) error {
	srv, args := serverOf(ctx), ctx.Args[3:]
	u := srv.users.Get(string(ctx.Args[2]))
	if u == nil {
		return errUserNotFound(ctx.Args[2])
	}
	cmd := srv.table.Find(args)
	switch {
	case cmd == nil:
		return errCommandNotFound(args[0])
	case !cmd.Accepts(len(args)):
		return errArity(cmd)
	}
	switch d := u.Check(cmd, args); d.Reason {
	case acl.Allowed:
		ctx.Out.OK()
	case acl.DeniedCommand:
		ctx.Out.BulkString(mayNotRun(u, cmd))
	default:
		ctx.Out.BulkString(fmt.Sprintf("User %s has no permissions to access the '%s' %v", u.Name(), args[d.Arg], d.Reason))
	}
	return nil
}

// aclLogDefault is how many entries ACL LOG shows if no number is given.
const aclLogDefault = 10

func aclLog(ctx *command.Ctx) error {
	srv, count := serverOf(ctx), int64(aclLogDefault)
	switch {
	case len(ctx.Args) > 3:
		return errNoSubcommand("ACL", ctx.Args[1])
	case len(ctx.Args) == 3 && strings.EqualFold(string(ctx.Args[2]), "reset"):
		srv.aclLog.Reset()
		ctx.Out.OK()
		return nil
	case len(ctx.Args) == 3:
		var err error
		if count, err = parseInt(ctx.Args[2]); err != nil {
			return err
		}
	}
	entries := srv.aclLog.Last(int(min(max(count, 0), math.MaxInt32)))
	now, w := srv.opts.Now(), ctx.Out
	w.Array(len(entries))
	for _, e := range entries {
		showDenied(ctx, e, now.Sub(e.Updated))
	}
	return nil
}

func showDenied(ctx *command.Ctx, e acl.Entry, age time.Duration) {
	w := ctx.Out
	w.Map(10)
	w.BulkString("count")
	w.Int(e.Count)
	for _, pair := range [][2]string{
		{"reason", e.Reason.String()}, {"context", e.Context}, {"object", e.Object}, {"username", e.User},
	} {
		w.BulkString(pair[0])
		w.BulkString(pair[1])
	}
	w.BulkString("age-seconds")
	w.Double(float64(age.Milliseconds()) / 1000)
	w.BulkString("client-info")
	w.BulkString(e.Client)
	w.BulkString("entry-id")
	w.Int(e.ID)
	w.BulkString("timestamp-created")
	w.Int(e.Created.UnixMilli())
	w.BulkString("timestamp-last-updated")
	w.Int(e.Updated.UnixMilli())
}

func aclHelp(ctx *command.Ctx) error {
	return help(ctx, "ACL",
		"CAT [<category>]", "    List all commands that belong to <category>, or all command categories",
		"    when no category is specified.",
		"DELUSER <username> [<username> ...]", "    Delete a list of users.",
		"DRYRUN <username> <command> [<arg> ...]",
		"    Returns whether the user can execute the given command without executing the command.",
		"GETUSER <username>", "    Get the user's details.",
		"GENPASS [<bits>]", "    Generate a secure 256-bit user password. The optional `bits` argument can",
		"    be used to specify a different size.",
		"LIST", "    Show users details in config file format.",
		"LOAD", "    Reload users from the ACL file.",
		"LOG [<count> | RESET]", "    Show the ACL log entries.",
		"SAVE", "    Save the current config to the ACL file.",
		"SETUSER <username> <attribute> [<attribute> ...]", "    Create or modify a user with the specified attributes.",
		"USERS", "    List all the registered usernames.",
		"WHOAMI", "    Return the current connection username.")
}

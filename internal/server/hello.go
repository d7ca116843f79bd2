package server

import (
	"strings"

	"github.com/elastickv/elastickv/internal/acl"
	"github.com/elastickv/elastickv/internal/command"
)

// compatVersion is the release of Redis whose behaviour clients may expect.
const compatVersion = "7.2.0"

var helloRow = &command.Command{
	Name: "hello", Arity: -1, Flags: transactionFlags | command.Fast | command.NoAuth, Group: command.GroupConnection,
	Syntax: "[arguments(protover [AUTH (username password)] [SETNAME clientname])]", History: []string{"6.2.0 Takes no version, to tell of the connection as it is."},
	Run: hello, Since: "6.0.0", Summary: "Chooses the protocol, and tells about the server.", Complexity: "O(1)",
}

var authRow = &command.Command{
	Name: "auth", Arity: -2, Flags: transactionFlags | command.Fast | command.NoAuth, Group: command.GroupConnection,
	Syntax: "[username@6.0.0] password",
	Run:    auth, Since: "1.0.0", Summary: "Logs in.", Complexity: "O(N) where N is the number of passwords defined for the user",
}

// helloOptions are the arguments of HELLO.
type helloOptions struct {
	proto          int // 0: as it is
	user, password []byte
	auth           bool
	name           []byte
	setName        bool
}

func parseHello(args [][]byte) (o helloOptions, err error) {
	if len(args) > 1 {
		n, err := parseInt(args[1])
		if err != nil {
			return o, errProtoInteger
		}
		if n != 2 && n != 3 {
			return o, errNoProto
		}
		o.proto = int(n)
	}
	for i := 2; i < len(args); {
		left := len(args) - i - 1
		switch word := strings.ToLower(string(args[i])); {
		case word == "auth" && left >= 2:
			o.auth, o.user, o.password = true, args[i+1], args[i+2]
			i += 3
		case word == "setname" && left >= 1:
			if !validName(args[i+1]) {
				return o, errClientName
			}
			o.setName, o.name = true, args[i+1]
			i += 2
		default:
			return o, errHelloOption(args[i])
		}
	}
	return o, nil
}

func hello(ctx *command.Ctx) error {
	c := callerOf(ctx)
	o, err := parseHello(ctx.Args)
	if err != nil {
		return err
	}
	if o.auth {
		if err := c.logIn(ctx, string(o.user), string(o.password)); err != nil {
			return err
		}
	}
	if !c.authed {
		return errNoAuthHello
	}
	if o.setName {
		c.setName(string(o.name))
	}
	if o.proto != 0 {
		c.setProto(o.proto)
	}
	w := ctx.Out
	w.Map(7)
	w.BulkString("server")
	w.BulkString("redis")
	w.BulkString("version")
	w.BulkString(compatVersion)
	w.BulkString("proto")
	w.Int(int64(w.Proto()))
	w.BulkString("id")
	w.Int(c.id)
	w.BulkString("mode")
	w.BulkString(c.srv.mode())
	w.BulkString("role")
	if c.srv.following.Load() {
		w.BulkString("replica")
	} else {
		w.BulkString("master")
	}
	w.BulkString("modules")
	w.Array(0)
	return nil
}

// mode is the word for what a server is one of.
func (s *Server) mode() string {
	if s.shared() {
		return "cluster"
	}
	return "standalone"
}

func auth(ctx *command.Ctx) error {
	c := callerOf(ctx)
	user, password := acl.Default, string(ctx.Args[1])
	switch len(ctx.Args) {
	case 2:
		if c.srv.users.Get(acl.Default).NeedsNoPassword() {
			return errNoPassword
		}
	case 3:
		user, password = password, string(ctx.Args[2])
	default:
		return command.ErrSyntax
	}
	if err := c.logIn(ctx, user, password); err != nil {
		return err
	}
	ctx.Out.OK()
	return nil
}

// logIn makes the session that of a user, if the password is right.
func (c *session) logIn(ctx *command.Ctx, name, password string) error {
	u := c.srv.users.Get(name)
	if u == nil || !u.Accepts(password) {
		c.srv.stats.denied.Add(1)
		context := deniedDirectly
		if c.multi.on {
			context = deniedInMulti
		}
		c.logDeniedObject(acl.Entry{Reason: acl.DeniedAuth, Context: context, Object: string(ctx.Args[0]), User: name})
		return errWrongPass
	}
	c.setUser(u)
	c.setAuthed(true)
	if c.srv.users.Get(name) != u {
		c.ending = true // removed meanwhile, by somebody who did not find this session yet
	}
	return nil
}

func (c *session) setAuthed(ok bool) {
	c.authed = ok
	c.in.SetLimits(c.srv.readLimits(ok))
}

// setProto changes the protocol. What others have told the client before stays in front of what
// is written in the new one.
func (c *session) setProto(v int) {
	if c.tx == nil { // else they would stand within the reply of EXEC
		c.out.Raw(c.output.takeHeld())
	}
	c.out.SetProto(v)
	c.facts.proto.Store(int64(v))
}

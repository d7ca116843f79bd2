package server

import (
	"strings"

	"github.com/elastickv/elastickv/internal/command"
)

// debugProtocol replies with one value of each type that the protocol has, for those
// who test a client.
func (c *session) debugProtocol(ctx *command.Ctx) error {
	out := ctx.Out
	switch strings.ToLower(string(ctx.Args[2])) {
	case "string":
		out.BulkString("Hello World")
	case "integer":
		out.Int(12345)
	case "double":
		out.Double(3.141)
	case "bignum":
		out.BigNumber("1234567999999999999999999999999999999")
	case "null":
		out.Null()
	case "array":
		out.Array(3)
		countTo3(ctx)
	case "set":
		out.Set(3)
		countTo3(ctx)
	case "map":
		out.Map(3)
		for i := range int64(3) {
			out.Int(i)
			out.Bool(i == 1)
		}
	case "attrib":
		if out.Proto() == 3 {
			out.Attribute(1)
			out.BulkString("key-popularity")
			out.Array(2)
			out.BulkString("key:123")
			out.Int(90)
		}
		out.BulkString("Some real reply following the attribute")
	case "push":
		return debugPush(ctx)
	case "true", "false":
		out.Bool(len(ctx.Args[2]) == len("true"))
	case "verbatim":
		out.Verbatim("txt", "This is a verbatim\nstring")
	default:
		return errProtocolType
	}
	return nil
}

func countTo3(ctx *command.Ctx) {
	for i := range int64(3) {
		ctx.Out.Int(i)
	}
}

// debugPush sends a message that nobody has asked for, and a reply. Scripts have no such messages.
func debugPush(ctx *command.Ctx) error {
	if ctx.Out.Proto() == 2 || ctx.Script != nil {
		return errNoPush
	}
	ctx.Out.Push(2)
	ctx.Out.BulkString("server-cpu-usage")
	ctx.Out.Int(42)
	ctx.Out.BulkString("Some real reply following the push reply")
	return nil
}

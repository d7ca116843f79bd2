package script

import (
	"fmt"
	"math"

	"github.com/elastickv/elastickv/internal/command"
	"github.com/elastickv/elastickv/internal/lua"
	"github.com/elastickv/elastickv/internal/resp"
)

// countedField marks an error that has been counted when the call failed.
const countedField = "ignore_error_stats_update"

// call is redis.call and redis.pcall: the first raises errors, the second returns them.
func (w *world) call(raise bool) lua.GoFunction {
	return func(c *lua.Call) {
		r := w.running(c, "redis.call/pcall")
		if failed := r.call(c); failed && raise {
			c.Raise(c.Results()[0])
		}
	}
}

// running returns the script that runs, or raises that there is none.
func (w *world) running(c *lua.Call, name string) *run {
	if w.run == nil {
		raiseError(c, fmt.Sprintf(textNoRun, name))
	}
	return w.run
}

// call carries out the command in c and returns its reply to the program. It reports whether
// that is an error.
func (r *run) call(c *lua.Call) (failed bool) {
	args, why := callArgs(c)
	if why != "" {
		c.Return(errorTable(c, why))
		return true
	}
	cmd := r.ctx.Env.Table.Find(args)
	if why := r.refusal(cmd, args); why != nil {
		r.host.RefuseForScript(cmd, why.(command.Error))
		c.Return(countedError(c, why.Error()))
		return true
	}
	if cmd.Has(command.Write) && !r.fate.write() {
		c.Step(math.MaxInt32) // does not return: the script has been killed
	}
	r.inner = command.Ctx{
		Args: args, Cmd: cmd, Out: &r.out, Keys: r.ctx.Keys.DB(r.script.DB), Env: r.ctx.Env,
		Caller: r.ctx.Caller, ReadsAll: r.ctx.ReadsAll, Script: &r.script,
	}
	r.out.Reset()
	r.host.RunForScript(&r.inner)
	c.Step(100)
	reply := r.out.Bytes()
	(&replyReader{c: c, rest: reply}).value(place{})
	return reply[0] == '-'
}

// refusal is why a call cannot be carried out.
func (r *run) refusal(cmd *command.Command, args [][]byte) error {
	switch {
	case cmd == nil:
		return fault(textUnknown)
	case !cmd.Accepts(len(args)):
		return fault(textArity)
	case cmd.Has(command.NoScript) && !(cmd.Internal && r.ctx.Env.DebugInScripts):
		return fault(textNotInScripts)
	}
	if err := r.host.MayRun(cmd, args); err != nil {
		r.host.DeniedToScript(cmd, args)
		return fault("ACL failure in script: %s", err.Error())
	}
	if r.readOnly && cmd.Has(command.Write|command.MayReplicate) {
		return fault(textReadOnly)
	}
	if cmd.Has(command.Write) && r.host.LacksReplicas() && !r.fate.wrote() {
		return ErrNoReplicas
	}
	if r.deniesOOM && cmd.Has(command.DenyOOM) && !r.fate.wrote() {
		return errOutOfMemory
	}
	return nil
}

// sizeofArgument is what an argument takes besides its bytes.
const sizeofArgument = 24

// callArgs returns the arguments of a command, or what is wrong with them. They are copies, and
// stay until the transaction has ended.
func callArgs(c *lua.Call) (args [][]byte, wrong string) {
	if c.NArgs() == 0 {
		return nil, textNoArguments
	}
	size := 0
	for _, v := range c.Args() {
		switch v.Kind() {
		case lua.KindString:
			s, _ := v.AsString()
			size += len(s)
		case lua.KindNumber:
			size += 24
		default:
			return nil, textBadArgument
		}
	}
	c.State().Charge(size + len(c.Args())*sizeofArgument)
	args = make([][]byte, c.NArgs())
	buf := make([]byte, 0, size)
	for i, v := range c.Args() {
		from := len(buf)
		if s, ok := v.AsString(); ok {
			buf = append(buf, s...)
		} else {
			f, _ := v.AsNumber()
			buf = appendNumber(buf, f)
		}
		args[i] = buf[from:len(buf):len(buf)]
	}
	return args, ""
}

// appendNumber spells f as an argument of a command.
func appendNumber(dst []byte, f float64) []byte {
	switch {
	case f == 0: // whatever its sign
		return append(dst, '0')
	case math.IsNaN(f) && math.Signbit(f):
		dst = append(dst, '-')
	}
	return resp.AppendDouble(dst, f)
}

// errorTable returns an error as redis.pcall returns it. The text has no code, so it gets the
// general one.
func errorTable(c *lua.Call, text string) lua.Value {
	t := c.State().NewTable(0, 1)
	text = general(text)
	c.State().Charge(len(text))
	t.SetField("err", lua.String(text))
	return lua.TableValue(t)
}

// countedError is errorTable for a text that begins with a code, and has been counted.
func countedError(c *lua.Call, text string) lua.Value {
	t := c.State().NewTable(0, 2)
	c.State().Charge(len(text))
	t.SetField("err", lua.String(text))
	t.SetField(countedField, lua.True)
	return lua.TableValue(t)
}

// raiseError raises a text as the functions of the table redis do.
func raiseError(c *lua.Call, text string) { c.Raise(errorTable(c, text)) }

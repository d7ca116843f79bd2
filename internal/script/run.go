package script

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/elastickv/elastickv/internal/command"
	"github.com/elastickv/elastickv/internal/lua"
	"github.com/elastickv/elastickv/internal/resp"
)

// run is a script that is being carried out. Its fields belong to the goroutine that does,
// but for those that are marked as shared.
type run struct {
	engine   *Engine
	host     Host
	ctx      *command.Ctx
	world    *world
	name     string // a digest, or the name of a function
	function bool
	readOnly bool
	// sequenced says that the script runs inside the sequencer, so that others wait for it.
	sequenced bool
	// deniesOOM says that there is no room: its first write may not be one that needs more.
	deniesOOM bool
	began     time.Time
	announced bool // others have been told that they wait for too long

	script command.Script // what its calls change
	out    resp.Writer    // the reply to the call in progress, in the script's protocol
	inner  command.Ctx    // the call in progress

	fate fate        // shared
	slow atomic.Bool // shared: it takes longer than Settings.BusyAfter
}

// fate decides between a script's first write and somebody who kills it: one that has written is
// not killed, and one that was killed writes nothing.
type fate struct{ state atomic.Int32 }

const (
	fateOpen int32 = iota
	fateWrote
	fateKilled
)

// write reports whether the script may write.
func (f *fate) write() bool {
	return f.state.CompareAndSwap(fateOpen, fateWrote) || f.state.Load() == fateWrote
}

// kill reports whether the script ends without having written.
func (f *fate) kill() bool {
	return f.state.CompareAndSwap(fateOpen, fateKilled) || f.state.Load() == fateKilled
}

func (f *fate) wrote() bool  { return f.state.Load() == fateWrote }
func (f *fate) killed() bool { return f.state.Load() == fateKilled }

// start is what carryOut has to know of a script.
type start struct {
	name     string
	function bool
	flags    flags
	readOnly bool // called by a command that only reads
	keys     [][]byte
	argv     [][]byte
	// find returns what is to be called in a world that is free.
	find func(w *world) (*lua.Function, error)
}

// carryOut runs a script and writes the reply to c. An error means that the script has no
// effect.
func (e *Engine) carryOut(c *command.Ctx, p *pool, s start) error {
	if s.flags.write() && s.readOnly {
		return errWriteFlag
	}
	if s.flags.write() && hostOf(c).LacksReplicas() {
		return ErrNoReplicas
	}
	if s.flags.needRoom() && hostOf(c).OutOfMemory() {
		return errDenyOOM
	}
	leave, err := e.enter(c)
	if err != nil {
		return err
	}
	defer leave()
	w := p.take()
	r := &w.spare // the last script that ran in it has ended, so nobody knows it any more
	out := r.out
	out.Reset()
	out.SetProto(2)
	*r = run{
		out:    out,
		engine: e, host: hostOf(c), ctx: c, world: w, name: s.name, function: s.function, began: e.opts.Now(),
		readOnly:  s.readOnly || s.flags&noWrites != 0 || c.Keys.ReadOnly(),
		sequenced: !c.Keys.ReadOnly(),
		deniesOOM: s.flags&allowOOM == 0 && hostOf(c).OutOfMemory(),
		script:    command.Script{DB: c.Keys.Number()},
	}
	reusable, err := r.execute(s)
	*r = run{out: r.out}
	if reusable {
		p.put(w)
	}
	return err
}

// execute calls the script and writes the reply. It reports whether the world is as a script
// should leave it.
func (r *run) execute(s start) (reusable bool, err error) {
	r.engine.begin(r)
	defer r.engine.end(r)
	w := r.world
	w.run = r
	defer func() { w.run = nil }()
	fn, err := s.find(w)
	if err != nil {
		return r.notFound(err)
	}
	var v lua.Value
	keys, argv := tableOf(w.lua, s.keys), tableOf(w.lua, s.argv)
	if r.function {
		v, err = w.lua.CallFirst(fn, keys, argv)
	} else {
		g := w.lua.Globals()
		g.Set(nameKeys, keys)
		g.Set(nameArgv, argv)
		v, err = w.lua.CallFirst(fn)
	}
	if err != nil {
		return r.failed(err)
	}
	return r.reply(v)
}

// The keys and arguments of scripts are globals. Whether there is memory for them is found out when the
// script runs.
var nameKeys, nameArgv = lua.String("KEYS"), lua.String("ARGV")

// notFound ends a run that has not begun because there is nothing to call: the command has no
// effect, unless somebody has killed it.
func (r *run) notFound(err error) (reusable bool, _ error) {
	var refused command.Error
	if errors.As(err, &refused) {
		return true, err
	}
	return r.failed(err)
}

func tableOf(s *lua.State, items [][]byte) lua.Value {
	t := s.NewTable(len(items), 0)
	for i, item := range items {
		s.Charge(len(item))
		t.SetInt(i+1, lua.String(string(item)))
	}
	return lua.TableValue(t)
}

// failed writes the reply to a script that ended in an error. One that was stopped has no
// effect, any other the effects that it has had so far.
func (r *run) failed(err error) (reusable bool, _ error) {
	var raised *lua.Error
	var refused command.Error
	switch {
	case errors.As(err, &refused):
		r.ctx.Out.Error(string(refused))
		return true, nil
	case errors.As(err, &raised):
		text, counted := r.raisedText(raised)
		r.ctx.Counted = counted
		r.ctx.Out.Error(text)
		return true, nil
	case errors.Is(err, errKilled):
		r.ctx.Out.Error(string(errKilledText))
		return r.function, nil
	case errors.Is(err, errStopped):
		return false, errShutdown
	default:
		r.ctx.Out.Error(string(fault("Error running script %s, %.100s", r.name, err.Error())))
		return false, nil
	}
}

// raisedText returns what a client reads of an error, and whether it has been counted.
func (r *run) raisedText(raised *lua.Error) (text string, counted bool) {
	text = general(describe(raised.Value))
	if t := raised.Value.AsTable(); t != nil {
		text = general("unknown error")
		if s, ok := lua.ToString(t.GetField("err")); ok {
			text = command.UpToNUL(s)
		}
		counted = t.GetField(countedField).Truthy()
	}
	if raised.Chunk != "" {
		text += fmt.Sprintf(" script: %s, on %s:%d.", r.name, raised.Chunk, raised.Line)
	}
	return text, counted
}

// describe returns what tostring makes of v, about: without metamethods and addresses.
func describe(v lua.Value) string {
	if s, ok := lua.ToString(v); ok {
		return command.UpToNUL(s)
	}
	if v.Kind() == lua.KindBool {
		return fmt.Sprint(v.Truthy())
	}
	return v.Kind().String()
}

// interrupted is called every now and then while the script runs.
func (r *run) interrupted() error {
	e := r.engine
	if r.fate.killed() {
		return errKilled
	}
	if e.opts.Context.Err() != nil {
		return errStopped
	}
	after := e.opts.Settings().BusyAfter
	if took := e.opts.Now().Sub(r.began); after > 0 && took >= after {
		r.late(took)
		if e.opts.Stopping() {
			return errStopped
		}
	}
	return nil
}

// late tells others, once, that the script takes too long.
func (r *run) late(took time.Duration) {
	if r.slow.Swap(true) {
		return
	}
	kill := "SCRIPT KILL"
	if r.function {
		kill = "FUNCTION KILL"
	}
	r.engine.opts.Log(LogWarning, fmt.Sprintf(
		"Slow script detected: still in execution after %d milliseconds. You can try killing the script using the %s command. Script name is: %s.",
		took.Milliseconds(), kill, r.name))
	if r.sequenced {
		r.announced = true
		r.engine.opts.Busy(r.busyReason())
	}
}

// busyReason is what others are told while they wait for the script.
func (r *run) busyReason() command.Error {
	if r.function {
		return ErrBusyFunction
	}
	return ErrBusyScript
}

package server

import (
	"context"
	"log/slog"
	"sync/atomic"

	"github.com/elastickv/elastickv/internal/command"
	"github.com/elastickv/elastickv/internal/keyspace"
	"github.com/elastickv/elastickv/internal/script"
)

// scripting is what the server knows of scripts.
type scripting struct {
	engine *script.Engine
	ctx    context.Context // the server's

	withdraw func() // has those who wait for the sequencer look whether they still may

	// busy is what clients are told while a script has held up the sequencer for too long;
	// nil: none has.
	busy atomic.Pointer[command.Error]
	// calm ends when a script becomes busy, and with it the waiting of all who wait for the
	// sequencer. There is a new one when the script has ended.
	calm atomic.Pointer[calm]
}

// calm is a time in which no script is busy.
type calm struct {
	ctx context.Context
	end context.CancelCauseFunc
}

func (sc *scripting) init(s *Server) {
	sc.ctx, sc.withdraw = s.ctx, func() { s.db.Withdraw() }
	sc.free()
	sc.engine = script.NewEngine(script.Options{
		Context: s.ctx, Now: s.opts.Now, Version: compatVersion, Stopping: s.stopping, Log: s.scriptLog,
		Busy: sc.becomeBusy, Free: sc.free,
		Settings: func() script.Settings {
			cfg := s.cfg.Load()
			return script.Settings{MemoryLimit: cfg.luaMemory, BusyAfter: milliseconds(cfg.busyAfter)}
		},
	})
}

func (sc *scripting) becomeBusy(why command.Error) {
	sc.busy.Store(&why)
	sc.calm.Load().end(why)
	sc.withdraw()
}

func (sc *scripting) free() {
	ctx, end := context.WithCancelCause(sc.ctx)
	sc.calm.Store(&calm{ctx, end})
	sc.busy.Store(nil)
}

// refusal is what the caller of a command is told because of a script that takes too long, ""
// if nothing.
func (sc *scripting) refusal(cmd *command.Command) command.Error {
	if busy := sc.busy.Load(); busy != nil && !cmd.Has(command.AllowBusy) {
		return *busy
	}
	return ""
}

// patience is how long the caller of a command waits for the sequencer.
func (sc *scripting) patience(cmd *command.Command) context.Context {
	if cmd.Has(command.AllowBusy) {
		return sc.ctx
	}
	return sc.calm.Load().ctx
}

// scriptLog writes what scripts log.
func (s *Server) scriptLog(level script.Level, text string) {
	s.log.Log(s.ctx, map[script.Level]slog.Level{
		script.LogDebug: slog.LevelDebug, script.LogWarning: slog.LevelWarn,
	}[level], text)
}

// changes reports whether a call may change keys.
func (c *session) changes(k call) bool {
	if k.route.scripted && !k.route.cmd.Has(command.ReadOnly) {
		return c.srv.scripts.engine.MayWrite(k.route.cmd, k.args)
	}
	if k.route.cmd.MayWrite != nil {
		return k.route.cmd.MayWrite(k.args)
	}
	return k.route.cmd.Has(command.Write)
}

// Scripts implements script.Host.
func (c *session) Scripts() *script.Engine { return c.srv.scripts.engine }

// RunForScript implements script.Host.
func (c *session) RunForScript(ctx *command.Ctx) {
	began := c.srv.opts.Now()
	if ctx.Cmd.Has(command.ReadOnly) {
		c.rememberScript()
	}
	ctx.Untouched = c.untouched(ctx.Cmd)
	before := lookupsOf(ctx.Keys)
	if err := c.srv.table.Run(ctx); err != nil {
		c.srv.commandFailed(c, err)
	}
	if ctx.Cmd.Has(command.ReadOnly) {
		c.srv.stats.looked(before, lookupsOf(ctx.Keys))
	}
	route := c.srv.routes[ctx.Cmd]
	c.srv.stats.ran(route, c.srv.opts.Now().Sub(began), ctx.Out.Since(0))
	c.showMonitors(call{args: ctx.Args, route: route}, "lua")
}

// RefuseForScript implements script.Host.
func (c *session) RefuseForScript(cmd *command.Command, why command.Error) {
	c.srv.stats.rejected(c.srv.routes[cmd], why)
}

// infoScripts tells what scripts and functions take.
func (s *Server) infoScripts(r *report) error {
	f := s.scripts.engine.Figures()
	var libs script.LibraryFigures
	err := s.glance(func(root *keyspace.Space) (err error) {
		libs, err = s.scripts.engine.LibraryFigures(root)
		return err
	})
	if err != nil {
		return err
	}
	r.add("used_memory_vm_eval", f.EvalBytes)
	r.memory("used_memory_lua", uint64(f.EvalBytes))
	r.add("used_memory_scripts_eval", f.ScriptBytes)
	r.add("number_of_cached_scripts", f.Scripts)
	r.add("evicted_scripts", f.ScriptsEvicted)
	r.add("number_of_functions", libs.Functions)
	r.add("number_of_libraries", libs.Libraries)
	r.add("used_memory_vm_functions", f.FunctionBytes)
	r.memory("used_memory_vm_total", uint64(f.EvalBytes+f.FunctionBytes))
	r.add("used_memory_functions", libs.Bytes)
	r.memory("used_memory_scripts", uint64(f.ScriptBytes+libs.Bytes))
	return nil
}

package script

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/elastickv/elastickv/internal/command"
	"github.com/elastickv/elastickv/internal/keyspace"
)

// Options are what an Engine is made of. All but Random have to be there.
type Options struct {
	Context context.Context // scripts end, and what they wrote is taken back, when it does
	Now     func() time.Time
	// Settings returns the settings in force.
	Settings func() Settings
	// Log writes what a script has to say, or what is to be said of one.
	Log func(level Level, text string)
	// Version is that of Redis which scripts are told, such as "7.2.4".
	Version string
	// Busy is called when a script has held up all others for longer than
	// Settings.BusyAfter, with what they are to be told until Free is called. Both are
	// called by the goroutine that runs the script.
	Busy func(why command.Error)
	Free func()
	// Stopping reports whether the server is ending, so that scripts that take long are not
	// waited for.
	Stopping func() bool
}

// Settings are what an operator may change while scripts run.
type Settings struct {
	MemoryLimit int64         // bytes that one script may hold; 0: any number
	BusyAfter   time.Duration // from when on a script takes too long; 0: never
}

// Level is how important a line of the log is.
type Level int

// The levels of redis.log.
const (
	LogDebug Level = iota
	LogVerbose
	LogNotice
	LogWarning
)

// Host is the session that a script runs for, the Caller of its call.
type Host interface {
	// Scripts returns the engine.
	Scripts() *Engine
	// RunForScript carries out a command that the script calls: it adds exactly one reply to
	// c.Out.
	RunForScript(c *command.Ctx)
	// RefuseForScript is told of a call of the script that is not carried out. cmd is nil if
	// there is no such command.
	RefuseForScript(cmd *command.Command, why command.Error)
	// MayRun returns why the user of the session may not carry out a command, nil if they may.
	MayRun(cmd *command.Command, args [][]byte) error
	// OutOfMemory reports whether there was no room for more data, and none could be made, when
	// the script was called.
	OutOfMemory() bool
	// LacksReplicas reports whether nothing may be written, because no replica would take it.
	LacksReplicas() bool
	// DeniedToScript is told of a call that MayRun has refused.
	DeniedToScript(cmd *command.Command, args [][]byte)
}

func hostOf(c *command.Ctx) Host { return c.Caller.(Host) }

func engineOf(c *command.Ctx) *Engine { return hostOf(c).Scripts() }

// Engine carries out scripts and functions. It is safe for concurrent use.
type Engine struct {
	opts   Options
	cache  *cache
	evals  pool // of worlds for scripts
	calls  pool // of worlds for functions
	slots  chan struct{}
	latest atomic.Pointer[registry] // the newest that anybody has seen, for what need not be exact

	mu struct {
		sync.Mutex
		runs       []*run                                // in progress
		registries map[keyspace.LibraryVersion]*registry // the last few
	}
}

// outsideMost is how many scripts may run at the same time outside of the sequencer. More would
// not be faster, and each may take much memory.
const outsideMost = 16

// registriesMost is how many sets of libraries are remembered: that of the present, those that
// transactions in progress see, and that which one is making.
const registriesMost = 8

// NewEngine returns an Engine without scripts.
func NewEngine(opts Options) *Engine {
	e := &Engine{opts: opts, cache: newCache(), slots: make(chan struct{}, outsideMost)}
	e.evals.make = func() *world { return newEvalWorld(e) }
	e.calls.make = func() *world { return newFunctionWorld(e) }
	e.evals.limit = func() int64 { return opts.Settings().MemoryLimit }
	e.calls.limit = e.evals.limit
	e.mu.registries = make(map[keyspace.LibraryVersion]*registry)
	e.latest.Store(newRegistry(keyspace.LibraryVersion{}, nil))
	return e
}

// MayWrite reports whether a call of EVAL, EVALSHA or FCALL may change keys. What is not known
// may; what was known may have changed by the time of the call, which then fails when it writes.
func (e *Engine) MayWrite(cmd *command.Command, args [][]byte) bool {
	return e.flagsOf(cmd, args)&noWrites == 0
}

// NeedsRoom reports whether a call of a script or function is to be refused when there is no room
// for more data, because of what it says of itself.
func (e *Engine) NeedsRoom(cmd *command.Command, args [][]byte) bool {
	return e.flagsOf(cmd, args).needRoom()
}

// DeclaresWrite reports whether a call names a script or function that says of itself that it may write.
func (e *Engine) DeclaresWrite(cmd *command.Command, args [][]byte) bool {
	return e.flagsOf(cmd, args).write()
}

// flagsOf returns what is known of the script or function that a call names.
func (e *Engine) flagsOf(cmd *command.Command, args [][]byte) flags {
	f := unflagged
	switch strings.TrimSuffix(cmd.Name, "_ro") {
	case "eval":
		if parsed, _, err := parseShebang(args[1]); err == nil {
			f = parsed
		}
	case "evalsha":
		if s := e.cache.find(args[1]); s != nil {
			f = s.flags
		}
	case "fcall":
		if fn := e.latest.Load().function(args[1]); fn != nil {
			f = fn.flags
		}
	}
	return f
}

// Figures are what INFO shows of an Engine.
type Figures struct {
	Scripts        int   // cached
	ScriptBytes    int64 // that they take, about
	ScriptsEvicted int64
	EvalBytes      int64 // that the programs of scripts hold
	FunctionBytes  int64 // that the programs of functions hold
}

// Figures returns the figures of this moment.
func (e *Engine) Figures() Figures {
	e.cache.mu.Lock()
	f := Figures{Scripts: len(e.cache.bySHA), ScriptBytes: e.cache.total, ScriptsEvicted: e.cache.evicted}
	e.cache.mu.Unlock()
	f.EvalBytes, f.FunctionBytes = e.evals.memory(), e.calls.memory()
	return f
}

// LibraryFigures are what INFO shows of the libraries that a transaction sees.
type LibraryFigures struct {
	Libraries, Functions int
	Bytes                int64
}

// LibraryFigures returns the figures of the libraries that keys sees.
func (e *Engine) LibraryFigures(keys *keyspace.Space) (LibraryFigures, error) {
	r, err := e.registry(keys)
	if err != nil {
		return LibraryFigures{}, err
	}
	return LibraryFigures{Libraries: len(r.libs), Functions: r.count(), Bytes: r.memory()}, nil
}

// enter waits until a call may run a script where it is, and returns what ends that. Inside the
// sequencer there is never another.
func (e *Engine) enter(c *command.Ctx) (leave func(), err error) {
	if !c.Keys.ReadOnly() {
		return func() {}, nil
	}
	leave = func() { <-e.slots }
	select {
	case e.slots <- struct{}{}:
		return leave, nil
	default:
	}
	var tooLong <-chan time.Time
	if after := e.opts.Settings().BusyAfter; after > 0 {
		t := time.NewTimer(after)
		defer t.Stop()
		tooLong = t.C
	}
	select {
	case e.slots <- struct{}{}:
		return leave, nil
	case <-tooLong:
		return nil, e.busyReason()
	case <-e.opts.Context.Done():
		return nil, errShutdown
	}
}

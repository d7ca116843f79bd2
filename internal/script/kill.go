package script

import (
	"slices"

	"github.com/elastickv/elastickv/internal/command"
)

// begin makes a script known to those who may want to end it.
func (e *Engine) begin(r *run) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.mu.runs = append(e.mu.runs, r)
}

func (e *Engine) end(r *run) {
	if r.announced {
		e.opts.Free()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.mu.runs = slices.DeleteFunc(e.mu.runs, func(other *run) bool { return other == r })
}

// targetsLocked are the scripts that a command means which is about the one that runs: those that
// take too long, or all if none does.
func (e *Engine) targetsLocked() []*run {
	var slow []*run
	for _, r := range e.mu.runs {
		if r.slow.Load() {
			slow = append(slow, r)
		}
	}
	if slow != nil {
		return slow
	}
	return e.mu.runs
}

// Running reports whether a script or function runs.
func (e *Engine) Running() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.mu.runs) > 0
}

// kill ends scripts, or functions, that have not written.
func (e *Engine) kill(functions bool) error {
	e.mu.Lock()
	done, failed := killRuns(e.targetsLocked(), functions)
	e.mu.Unlock()
	if !done {
		return failed
	}
	e.opts.Log(LogWarning, "Lua script killed by user with SCRIPT KILL.")
	return nil
}

// killRuns reports whether it has killed any, and else why not.
func killRuns(runs []*run, functions bool) (done bool, failed error) {
	failed = errNotBusy
	for _, r := range runs {
		switch {
		case r.fate.wrote():
			failed = errUnkillable
		case r.function != functions:
			if failed != errUnkillable {
				failed = r.busyReason()
			}
		case r.fate.kill():
			done = true
		default:
			failed = errUnkillable // it has written just now
		}
	}
	return done, failed
}

// busyReason is what those are told who wait for a script that runs outside of the sequencer.
func (e *Engine) busyReason() command.Error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if t := e.targetsLocked(); len(t) > 0 {
		return t[0].busyReason()
	}
	return ErrBusyScript
}

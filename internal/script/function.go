package script

import (
	"bytes"
	"errors"
	"strings"

	"github.com/elastickv/elastickv/internal/command"
	"github.com/elastickv/elastickv/internal/keyspace"
	"github.com/elastickv/elastickv/internal/lua"
	"github.com/elastickv/elastickv/internal/rdb"
)

func fcall(c *command.Ctx) error   { return callFunction(c, false) }
func fcallRO(c *command.Ctx) error { return callFunction(c, true) }

func callFunction(c *command.Ctx, readOnly bool) error {
	e := engineOf(c)
	r, err := e.registry(c.Keys)
	if err != nil {
		return err
	}
	f := r.function(c.Args[1])
	if f == nil {
		return errNoFunction
	}
	keys, argv, err := splitKeys(c, errNumKeysBad)
	if err != nil {
		return err
	}
	return e.carryOut(c, &e.calls, start{
		name: f.name, function: true, flags: f.flags, readOnly: readOnly, keys: keys, argv: argv,
		find: func(w *world) (*lua.Function, error) { return w.function(r, f) },
	})
}

func functionLoad(c *command.Ctx) error {
	replace := false
	for _, a := range c.Args[2 : len(c.Args)-1] {
		if !strings.EqualFold(string(a), "replace") {
			return fault("Unknown option given: %s", command.UpToNUL(string(a)))
		}
		replace = true
	}
	e := engineOf(c)
	r, err := e.registry(c.Keys)
	if err != nil {
		return err
	}
	source := bytes.Clone(c.Args[len(c.Args)-1])
	m, err := parseMetadata(source)
	if err != nil {
		return err
	}
	if !replace && r.has(m.name) {
		return fault("Library '%s' already exists", m.name)
	}
	lib, err := e.newLibrary(source, e.opts.Now())
	if err != nil {
		return err
	}
	if f := r.collision(lib, map[string]bool{lib.name: true}); f != nil {
		return fault("Function %s already exists", f.name)
	}
	if err := e.keep(c.Keys, r, []*library{lib}); err != nil {
		return err
	}
	c.Out.BulkString(lib.name)
	return nil
}

func functionDelete(c *command.Ctx) error {
	r, err := engineOf(c).registry(c.Keys)
	if err != nil {
		return err
	}
	name := string(c.Args[2])
	if !r.has(name) {
		return fault(textNoLibrary)
	}
	if err := c.Keys.RemoveLibrary(name); err != nil {
		return err
	}
	c.Out.OK()
	return nil
}

func functionFlush(c *command.Ctx) error {
	switch {
	case len(c.Args) > 3:
		return errSubcommand("FUNCTION", string(c.Args[1]))
	case len(c.Args) == 3 && !flushMode(c.Args[2]):
		return errFunctionFlush
	}
	if err := c.Keys.RemoveLibraries(); err != nil {
		return err
	}
	c.Out.OK()
	return nil
}

func functionDump(c *command.Ctx) error {
	r, err := engineOf(c).registry(c.Keys)
	if err != nil {
		return err
	}
	var sources [][]byte
	for _, lib := range r.kept() {
		sources = append(sources, lib.Source)
	}
	c.Out.Bulk(rdb.AppendFunctions(nil, sources))
	return nil
}

func functionRestore(c *command.Ctx) error {
	policy := "append"
	switch {
	case len(c.Args) > 4:
		return errSubcommand("FUNCTION", string(c.Args[1]))
	case len(c.Args) == 4:
		policy = strings.ToLower(string(c.Args[3]))
	}
	if policy != "append" && policy != "replace" && policy != "flush" {
		return fault(textPolicy)
	}
	libs, err := engineOf(c).restored(c.Args[2])
	if err != nil {
		return err
	}
	if err := restoreLibraries(c, libs, policy); err != nil {
		return err
	}
	c.Out.OK()
	return nil
}

// restored returns the libraries of a payload of FUNCTION DUMP.
func (e *Engine) restored(payload []byte) ([]*library, error) {
	sources, err := rdb.ParseFunctions(payload)
	switch {
	case errors.Is(err, rdb.ErrFooter):
		return nil, fault(textPayload)
	case errors.Is(err, rdb.ErrNotFunctions):
		return nil, fault(textNotFunction)
	case err != nil:
		return nil, fault(textBadFunctions)
	}
	var libs []*library
	began := e.opts.Now()
	for _, src := range sources {
		lib, err := e.newLibrary(bytes.Clone(src), began)
		if err != nil {
			return nil, err
		}
		r := newRegistry(keyspace.LibraryVersion{}, libs)
		if r.library(lib.name) != nil {
			return nil, fault("Library '%s' already exists", lib.name)
		}
		if f := r.collision(lib, nil); f != nil {
			return nil, fault("Function %s already exists", f.name)
		}
		libs = append(libs, lib)
	}
	return libs, nil
}

func restoreLibraries(c *command.Ctx, libs []*library, policy string) error {
	e := engineOf(c)
	r, err := e.registry(c.Keys)
	if err != nil {
		return err
	}
	if policy == "flush" {
		if err := c.Keys.RemoveLibraries(); err != nil {
			return err
		}
		return e.keep(c.Keys, newRegistry(keyspace.LibraryVersion{}, nil), libs)
	}
	replaced := make(map[string]bool)
	for _, lib := range libs {
		if !r.has(lib.name) {
			continue
		}
		if policy == "append" {
			return fault("Library %s already exists", lib.name)
		}
		replaced[lib.name] = true
	}
	for _, lib := range libs {
		if f := r.collision(lib, replaced); f != nil {
			return fault("Function %s already exists", f.name)
		}
	}
	return e.keep(c.Keys, r, libs)
}

func functionList(c *command.Ctx) error {
	withCode, pattern := false, []byte(nil)
	for i := 2; i < len(c.Args); i++ {
		switch word := strings.ToLower(string(c.Args[i])); {
		case word == "withcode" && !withCode:
			withCode = true
		case word == "libraryname" && pattern == nil:
			if i++; i == len(c.Args) {
				return fault(textListNoName)
			}
			pattern = bytes.ToLower(c.Args[i])
		default:
			return fault("Unknown argument %s", command.UpToNUL(string(c.Args[i])))
		}
	}
	r, err := engineOf(c).registry(c.Keys)
	if err != nil {
		return err
	}
	var shown []*library
	for _, k := range r.kept() {
		if pattern != nil && !command.MatchGlob(pattern, []byte(strings.ToLower(k.Name))) {
			continue
		}
		lib := r.library(k.Name)
		if lib == nil { // it cannot be loaded, so nobody knows its functions
			lib = &library{name: k.Name, source: k.Source}
		}
		shown = append(shown, lib)
	}
	c.Out.Array(len(shown))
	for _, lib := range shown {
		lib.reply(c, withCode)
	}
	return nil
}

// reply describes a library.
func (l *library) reply(c *command.Ctx, withCode bool) {
	fields := 3
	if withCode {
		fields++
	}
	c.Out.Map(fields)
	c.Out.BulkString("library_name")
	c.Out.BulkString(l.name)
	c.Out.BulkString("engine")
	c.Out.BulkString(engineName)
	c.Out.BulkString("functions")
	c.Out.Array(len(l.functions))
	for _, f := range l.functions {
		c.Out.Map(3)
		c.Out.BulkString("name")
		c.Out.BulkString(f.name)
		c.Out.BulkString("description")
		if f.described {
			c.Out.BulkString(f.description)
		} else {
			c.Out.Null()
		}
		c.Out.BulkString("flags")
		flagsReply(c, f.flags)
	}
	if withCode {
		c.Out.BulkString("library_code")
		c.Out.Bulk(l.source)
	}
}

func functionStats(c *command.Ctx) error {
	e := engineOf(c)
	r, err := e.registry(c.Keys)
	if err != nil {
		return err
	}
	c.Out.Map(2)
	c.Out.BulkString("running_script")
	if err := e.replyRunning(c); err != nil {
		return err
	}
	c.Out.BulkString("engines")
	c.Out.Map(1)
	c.Out.BulkString(engineName)
	c.Out.Map(2)
	c.Out.BulkString("libraries_count")
	c.Out.Int(int64(len(r.libs)))
	c.Out.BulkString("functions_count")
	c.Out.Int(int64(r.count()))
	return nil
}

// replyRunning describes the function that runs, or the one that runs for longest.
func (e *Engine) replyRunning(c *command.Ctx) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, r := range e.targetsLocked() {
		if !r.function {
			if r.slow.Load() {
				return ErrBusyScript
			}
			continue
		}
		c.Out.Map(3)
		c.Out.BulkString("name")
		c.Out.BulkString(r.name)
		c.Out.BulkString("command")
		c.Out.Array(len(r.ctx.Args))
		for _, a := range r.ctx.Args {
			c.Out.Bulk(a)
		}
		c.Out.BulkString("duration_ms")
		c.Out.Int(e.opts.Now().Sub(r.began).Milliseconds())
		return nil
	}
	c.Out.Null()
	return nil
}

func functionKill(c *command.Ctx) error {
	if err := engineOf(c).kill(true); err != nil {
		return err
	}
	c.Out.OK()
	return nil
}

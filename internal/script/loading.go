package script

import (
	"errors"
	"strings"
	"time"

	"github.com/elastickv/elastickv/internal/command"
	"github.com/elastickv/elastickv/internal/lua"
)

// loadMost is how long the libraries that one command loads may take to say which functions they
// have: while they do, nobody else writes.
const loadMost = 500 * time.Millisecond

// loading is a library while it is loaded.
type loading struct {
	engine  *Engine
	lib     *library
	bodies  map[string]*lua.Function
	began   time.Time // when the command that loads it, and perhaps others, did
	analyse bool      // the library learns of its functions; else it knows them already
}

func (l *loading) interrupted() error {
	if l.engine.opts.Context.Err() != nil {
		return errStopped
	}
	if l.engine.opts.Now().Sub(l.began) > loadMost {
		return errLoadTimeout
	}
	return nil
}

// load runs a library, whose code is the source without its first line, and returns the
// functions that it has registered. The library learns of them if it does not know them yet.
func (w *world) load(lib *library, code []byte, began time.Time) (map[string]*lua.Function, error) {
	l := &loading{engine: w.engine, lib: lib, bodies: make(map[string]*lua.Function), began: began, analyse: lib.functions == nil}
	w.loading = l
	defer func() { w.loading = nil }()
	fn, err := w.compile("@user_function", code)
	if err != nil {
		return nil, refusedSource("Error compiling function: %s", err)
	}
	w.metatable.SetField("__index", lua.TableValue(w.loader))
	_, err = w.lua.Call(fn)
	w.metatable.SetField("__index", lua.TableValue(w.outer))
	if err != nil {
		w.exhausted(err)
		return nil, loadFault(err)
	}
	return l.bodies, nil
}

// loadFault is why a library could not be run.
func loadFault(err error) error {
	if errors.Is(err, errKilled) || errors.Is(err, errStopped) {
		return err
	}
	return fault("Error registering functions: %s", loadText(err))
}

func loadText(err error) string {
	var raised *lua.Error
	if errors.As(err, &raised) {
		if t := raised.Value.AsTable(); t != nil {
			if s, ok := lua.ToString(t.GetField("err")); ok {
				return command.UpToNUL(s)
			}
		}
		return general(describe(raised.Value))
	}
	return general(err.Error())
}

// function returns the body of a function, whose library is loaded first if the world does
// not have it. Libraries that are not in the registry any more go.
func (w *world) function(r *registry, f *function) (*lua.Function, error) {
	w.forget(r)
	bodies := w.loaded[f.lib]
	if bodies == nil {
		m, err := parseMetadata(f.lib.source)
		if err != nil {
			return nil, err
		}
		if bodies, err = w.load(f.lib, m.code, w.engine.opts.Now()); err != nil {
			return nil, err
		}
		w.loaded[f.lib] = bodies
	}
	if fn := bodies[f.name]; fn != nil {
		return fn, nil
	}
	return nil, errNoFunction
}

// forget lets go of the libraries that are not in the registry, if it is another than the last time.
func (w *world) forget(r *registry) {
	if w.seen == r {
		return
	}
	w.seen = r
	for old := range w.loaded {
		if r.library(old.name) != old {
			delete(w.loaded, old)
		}
	}
}

// registerFunction is redis.register_function.
func (w *world) registerFunction(c *lua.Call) {
	l := w.loading
	if l == nil {
		raiseError(c, textOnlyOnLoad)
	}
	var body *lua.Function
	fn := &function{lib: l.lib}
	switch c.NArgs() {
	case 1:
		body = namedArguments(c, fn)
	case 2:
		body = positionalArguments(c, fn)
	default:
		raiseError(c, "wrong number of arguments to redis.register_function")
	}
	if !validName(fn.name) {
		raiseError(c, textName)
	}
	if l.bodies[fn.name] != nil {
		raiseError(c, textDoubled)
	}
	l.bodies[fn.name] = body
	if l.analyse {
		l.lib.functions = append(l.lib.functions, fn)
	}
}

func positionalArguments(c *lua.Call, f *function) *lua.Function {
	name, ok := lua.ToString(c.Arg(1))
	if !ok {
		raiseError(c, "first argument to redis.register_function must be a string")
	}
	f.name = name
	body := c.Arg(2).AsFunction()
	if body == nil {
		raiseError(c, "second argument to redis.register_function must be a function")
	}
	return body
}

func namedArguments(c *lua.Call, f *function) (body *lua.Function) {
	t := c.Arg(1).AsTable()
	if t == nil {
		raiseError(c, "calling redis.register_function with a single argument is only applicable to Lua table (representing named arguments).")
	}
	named := false
	for k, v := t.Next(lua.Nil); !k.IsNil(); k, v = t.Next(k) {
		key, ok := lua.ToString(k)
		if !ok {
			raiseError(c, "named argument key given to redis.register_function is not a string")
		}
		switch strings.ToLower(key) {
		case "function_name":
			f.name, named = textArgument(c, "function_name", v), true
		case "description":
			f.description, f.described = textArgument(c, "description", v), true
		case "callback":
			if body = v.AsFunction(); body == nil {
				raiseError(c, "callback argument given to redis.register_function must be a function")
			}
		case "flags":
			f.flags = flagsArgument(c, v)
		default:
			raiseError(c, "unknown argument given to redis.register_function")
		}
	}
	if !named {
		raiseError(c, "redis.register_function must get a function name argument")
	}
	if body == nil {
		raiseError(c, "redis.register_function must get a callback argument")
	}
	return body
}

func textArgument(c *lua.Call, name string, v lua.Value) string {
	s, ok := lua.ToString(v)
	if !ok {
		raiseError(c, name+" argument given to redis.register_function must be a string")
	}
	return s
}

func flagsArgument(c *lua.Call, v lua.Value) (f flags) {
	t := v.AsTable()
	if t == nil {
		raiseError(c, "flags argument to redis.register_function must be a table representing function flags")
	}
	for i := 1; !t.GetInt(i).IsNil(); i++ {
		name, _ := lua.ToString(t.GetInt(i))
		flag := flagNamed(strings.ToLower(name))
		if flag == 0 {
			raiseError(c, "unknown flag given")
		}
		f |= flag
	}
	return f
}

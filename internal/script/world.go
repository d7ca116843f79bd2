package script

import (
	"errors"

	"github.com/elastickv/elastickv/internal/command"
	"github.com/elastickv/elastickv/internal/lua"
	"github.com/elastickv/elastickv/internal/lualib"
)

// world is a Lua state with what Redis puts into it. It serves one call at a time.
type world struct {
	engine *Engine
	lua    *lua.State
	limit  int64 // of memory
	held   int64 // bytes, when it came back to its pool

	run     *run     // the script that runs, or nil
	loading *loading // the library that is being loaded, or nil
	spare   run      // what the last script ran in, for the next one
	spent   bool     // a program has taken all the memory: nobody knows in the middle of what

	compiled  map[*cached]*lua.Function             // of scripts
	code      int64                                 // bytes that the compiled scripts take, or took lately
	loaded    map[*library]map[string]*lua.Function // of libraries, by name
	seen      *registry                             // what loaded was compared with last
	metatable *lua.Table                            // of the globals of functions
	outer     *lua.Table                            // the globals that functions see
	loader    *lua.Table                            // the globals that a library sees while it is loaded
}

func newWorld(e *Engine) *world {
	w := &world{engine: e, limit: e.opts.Settings().MemoryLimit}
	w.lua = lua.New(lua.Options{MemoryLimit: w.limit, Interrupt: w.interrupt, Roots: w.roots})
	w.lua.OpenLibs()
	lualib.Open(w.lua)
	g := w.lua.Globals()
	for _, name := range hidden {
		g.SetField(name, lua.Nil)
	}
	g.SetField("pcall", lua.FunctionValue(w.lua.NewFunction(plainErrors(g.GetField("pcall")))))
	g.SetField("redis", lua.TableValue(w.api()))
	if m := w.lua.StringMetatable(); m != nil {
		protect(m)
	}
	return w
}

// hidden are the names of Lua's own globals that scripts do not have.
var hidden = []string{"print", "dofile", "loadfile", "debug", "os", "io", "package", "require", "module"}

// newEvalWorld returns a world for scripts. They see the globals themselves, and cannot
// change them.
func newEvalWorld(e *Engine) *world {
	w := newWorld(e)
	w.compiled = make(map[*cached]*lua.Function)
	g := w.lua.Globals()
	redis := g.GetField("redis").AsTable()
	w.lua.Register(redis, []lua.Entry{
		{Name: "breakpoint", Fn: func(c *lua.Call) { c.Return(lua.False) }}, // there is no debugger
		{Name: "debug", Fn: func(*lua.Call) {}},
		{Name: "replicate_commands", Fn: func(c *lua.Call) { c.Return(lua.True) }},
	})
	g.SetField("__redis__err__handler", lua.FunctionValue(w.lua.NewFunction(errorHandler)))
	w.guard(g)
	protect(g)
	return w
}

// newFunctionWorld returns a world for functions. Their globals are an empty table that looks
// elsewhere for everything: at the real globals, or, while a library is being loaded, at a table
// that has only what it may use then.
func newFunctionWorld(e *Engine) *world {
	w := newWorld(e)
	w.loaded = make(map[*library]map[string]*lua.Function)
	g := w.lua.Globals()
	w.outer = w.lua.NewTable(0, 32)
	for k, v := g.Next(lua.Nil); !k.IsNil(); k, v = g.Next(k) {
		w.outer.Set(k, v)
	}
	for k, _ := w.outer.Next(lua.Nil); !k.IsNil(); k, _ = w.outer.Next(k) {
		g.Set(k, lua.Nil)
	}
	w.outer.SetField("_G", lua.TableValue(w.outer))
	w.guard(w.outer)
	protect(w.outer)

	w.loader = w.lua.NewTable(0, 1)
	redis := w.lua.NewTable(0, 8)
	w.lua.Register(redis, []lua.Entry{{Name: "register_function", Fn: w.registerFunction}})
	w.logAPI(redis)
	w.versionAPI(redis)
	w.guard(redis)
	w.loader.SetField("redis", lua.TableValue(redis))
	w.guard(w.loader)
	protect(w.loader)

	w.metatable = w.lua.NewTable(0, 1)
	w.metatable.SetField("__index", lua.TableValue(w.outer))
	g.SetMetatable(w.metatable)
	g.ReadOnly, w.metatable.ReadOnly = true, true
	return w
}

// guard makes it an error to look for what t does not have.
func (w *world) guard(t *lua.Table) {
	m := w.lua.NewTable(0, 1)
	m.SetField("__index", lua.FunctionValue(w.lua.NewFunction(noSuchGlobal)))
	t.SetMetatable(m)
}

// protect makes t, and every table that can be reached from it, read-only.
func protect(t *lua.Table) {
	if t.ReadOnly {
		return
	}
	t.ReadOnly = true
	for k, v := t.Next(lua.Nil); !k.IsNil(); k, v = t.Next(k) {
		if inner := v.AsTable(); inner != nil {
			protect(inner)
		}
	}
	if m := t.Metatable(); m != nil {
		protect(m)
	}
}

func noSuchGlobal(c *lua.Call) {
	if c.NArgs() != 2 {
		c.Errorf("Wrong number of arguments to luaProtectedTableError")
	}
	name, ok := lua.ToString(c.Arg(2))
	if !ok {
		c.Errorf("Second argument to luaProtectedTableError must be a string or number")
	}
	c.Errorf("Script attempted to access nonexistent global variable '%s'", command.UpToNUL(name))
}

// plainErrors is pcall for programs that expect errors to be texts: of an error that is a table,
// as redis.call raises it, it returns the text.
func plainErrors(pcall lua.Value) lua.GoFunction {
	return func(c *lua.Call) {
		results := c.Call(pcall, c.Args()...)
		if len(results) == 2 && !results[0].Truthy() {
			if t := results[1].AsTable(); t != nil {
				if text := t.GetField("err"); isText(text) {
					c.Return(lua.False, text)
					return
				}
			}
		}
		c.Return(results...)
	}
}

// isText reports whether v is a string, or a number, which will do for one.
func isText(v lua.Value) bool {
	return v.Kind() == lua.KindString || v.Kind() == lua.KindNumber
}

// errorHandler makes an error into the table that EVAL replies with.
func errorHandler(c *lua.Call) {
	t := c.Arg(1).AsTable()
	if t == nil {
		t = c.State().NewTable(0, 3)
		t.SetField("err", lua.String(general(describe(c.Arg(1)))))
	}
	chunk, line, ok := c.Position(1)
	if ok && line < 0 {
		chunk, line, ok = c.Position(2)
	}
	if ok {
		t.SetField("source", lua.String(chunk))
		t.SetField("line", lua.Number(float64(line)))
	}
	c.Return(lua.TableValue(t))
}

// interrupt is called every now and then while the world works. A library may be loaded on behalf
// of a function that is to run.
func (w *world) interrupt() error {
	if w.loading != nil {
		if err := w.loading.interrupted(); err != nil {
			return err
		}
	}
	if w.run != nil {
		return w.run.interrupted()
	}
	return nil
}

// roots names the functions that the world keeps.
func (w *world) roots(add func(*lua.Function)) {
	for _, fn := range w.compiled {
		add(fn)
	}
	for _, bodies := range w.loaded {
		for _, fn := range bodies {
			add(fn)
		}
	}
	if w.loading != nil {
		for _, fn := range w.loading.bodies {
			add(fn)
		}
	}
}

// compile compiles a source. An error of the source is a *lua.Error.
func (w *world) compile(name string, source []byte) (*lua.Function, error) {
	fn, err := w.lua.Load(name, source)
	w.exhausted(err)
	return fn, err
}

// exhausted notes that a program has ended because it wanted too much memory.
func (w *world) exhausted(err error) {
	if errors.Is(err, lua.ErrMemory) {
		w.spent = true
	}
}

// codeShare is which part of the memory limit compiled scripts may take, so that all the rest is
// for what they do. codeMost is for worlds without a limit.
const (
	codeShare = 4
	codeMost  = 64 << 20
)

// script returns the function of a cached script.
func (w *world) script(s *cached) (*lua.Function, error) {
	if fn := w.compiled[s]; fn != nil {
		return fn, nil
	}
	fn, err := w.compile("@user_script", []byte(s.body[s.skip:]))
	if err != nil {
		return nil, refusedSource("Error compiling script (new function): %s", err)
	}
	w.makeRoom(fn.CodeSize())
	w.compiled[s] = fn
	return fn, nil
}

// makeRoom forgets the compiled scripts that cannot be called any more and, if there are so many
// that little memory is left to run them, all of them: they are compiled again when they are called.
func (w *world) makeRoom(size int64) {
	most := int64(codeMost)
	if w.limit > 0 {
		most = w.limit / codeShare
	}
	if w.code += size; w.code > most {
		w.code = size
		clear(w.compiled)
	}
	for old, fn := range w.compiled {
		if old.gone.Load() {
			w.code -= fn.CodeSize()
			delete(w.compiled, old)
		}
	}
}

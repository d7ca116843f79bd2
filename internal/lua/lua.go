// Package lua runs programs in Lua 5.1 as Redis embeds it. Its one question is: what does
// this Lua program do? It imports only the standard library, knows nothing of Redis
// commands, keys or replies, and never reads files, the environment, the clock or chance.
//
// A State is one world: its globals, its strings' metatable, its memory account and the
// seed of math.random. It is not safe for use by several goroutines at once.
//
//	s := lua.New(lua.Options{MemoryLimit: 64 << 20, Interrupt: ctx.Err})
//	s.OpenLibs()
//	fn, err := s.Load("@user_script", []byte("return 1 + 1"))
//	results, err := s.Call(fn)
//
// Source text becomes code for a register machine (lex.go, parse*.go, builder*.go), as in the
// reference implementation, because error texts name variables as that code sees them:
// "attempt to index field 'x' (a nil value)" is found by following the registers backwards
// (names.go). The machine is vm.go.
//
// Errors travel inside the package as panics with an *Error, from where they are raised to
// the innermost protected call: a pcall, a coroutine's resume, or State.Call, which hands
// them to the caller as an ordinary error. What Options.Interrupt reports, and a State that
// holds more than Options.MemoryLimit, pass through every pcall.
package lua

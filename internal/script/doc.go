// Package script answers one question: how does Lua call commands?
//
// An Engine keeps the scripts of EVAL and makes of libraries, which are rows of the keyspace,
// functions that can be called. It carries out a script inside the transaction of the call
// that it was given: each command that the script calls goes through the table like any other,
// one that fails has no effect, and what the others wrote is committed together with the
// end of the script, even if that is an error.
//
// The package imports command, lua and what they stand on. It knows neither connections nor
// the sequencer: a Host, which the server's sessions are, carries out what a script calls.
package script

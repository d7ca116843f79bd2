// Package command answers one question: what does this command do?
//
// A command is one row (name, arity, flags, keys, words of documentation) and
// one handler. The row feeds everything that has to know commands: dispatch,
// arity checks, COMMAND, admission to MULTI and scripts, read-only replicas,
// metric labels. Nothing else holds a list of command names. Every door (a
// direct call, EXEC, a script) runs handlers through Table.Run.
//
// To add one: write the row and the handler next to its family, and a script
// file in test/scripts.
//
// The package imports keyspace, txn and resp. It knows no connections; the
// commands that are about connections have their rows in package server.
package command

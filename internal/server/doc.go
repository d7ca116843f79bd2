// Package server answers one question: who is talking, and in what state?
//
// A Server accepts connections. Each has a session: the selected database, the
// protocol, the name, a MULTI in progress, watched keys. A session takes
// pipelines of commands off the wire, decides where each command runs (on the
// connection's goroutine, or inside the sequencer together with those around it)
// and sends the replies when all that they tell of is durable.
//
// The package has the rows of the commands that are about connections and the
// server itself. It imports command, keyspace, eviction, txn and resp. It never opens a
// store, reads a flag or parses a key.
package server

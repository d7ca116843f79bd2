// Package txn answers one question: how does a set of reads and writes become
// all or nothing?
//
// A Tx is one snapshot with a write buffer on top. A DB runs transactions:
// reads at the newest durable moment, updates inside a sequencer that runs them
// one after the other and makes many of them durable with one fsync, and
// optimistic transactions that are verified when they commit. Local is the DB
// of one machine's engine: its runs go straight into it, or into a Log that several machines keep, and
// come from there.
//
// The package imports store and hlc. It knows nothing of Redis, connections or
// Raft, and it never parses a key.
package txn

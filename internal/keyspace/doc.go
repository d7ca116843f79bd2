// Package keyspace answers one question: what are a string, a hash, a list, a
// set and a sorted set over plain keys?
//
// A Space is one logical database seen through one transaction. It keeps a
// directory (which key has which type, encoding and expiry), the rows of each
// type, an index of expiries and the number of keys, and keeps them consistent:
// a collection that becomes empty is gone, a key that has expired is not there
// and leaves nothing behind.
//
// It tells package eviction which keys are used, and offers those that may be evicted; which go, others decide.
//
// The package imports txn and eviction, and of store only the layouts of collection keys. It
// knows nothing of commands, replies or connections.
package keyspace

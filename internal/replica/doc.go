// Package replica answers one question: how do copies of a store on several machines agree on one
// log of changes?
//
// Consensus is that of go.etcd.io/raft, driven as a state machine: a Replica takes events and says
// what there is to do; it reads no clock, no disk and no network. A Machine is the data: it applies
// what is committed to a store, with the index in the same batch. Package raftlog keeps the promises.
//
// The leader carries out transactions and puts their effects into the log, with commit timestamps; to
// apply them asks nothing but the data and the entry. So all copies are the same.
//
// The package may import txn, store, hlc and encryption. It knows nothing of Redis.
package replica

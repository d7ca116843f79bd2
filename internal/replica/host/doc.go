// Package host answers one question: how does a node keep its replicas running?
//
// A Host has, for each group, a goroutine that owns the replica (its worker) and one that owns the data
// (its applier); for all groups it has one that writes the log, so that they share its syncs. It brings
// them time and messages, tells who has proposed what became of it, and knows where other members are.
// What cannot be written ends all of it: the owner is told, and the process has to end.
//
// The package drives replica, raftlog and transport, and is what txn puts its runs into. It decides
// nothing that raft decides, and knows nothing of what is in the data.
package host

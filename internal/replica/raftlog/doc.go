// Package raftlog answers one question: what has this node promised to its Raft groups?
//
// It is the log of all groups of a node in one folder: entries, votes and terms, and how far the
// beginning of each log was cut off. Writes of many groups share one fsync. A promise that has
// reached the disk is there after any crash; one that the disk has lost or changed later is noticed when
// the log is opened (promised.go says what is not), and one that contradicts the state of the data when a group is opened.
//
// Entries can be sealed on the disk, see Seal. The package may import watermark and encryption. It knows nothing of what entries mean, of
// elections, or of the network.
package raftlog

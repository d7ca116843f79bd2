// Package transport answers one question: how do messages of Raft get from one node to another?
//
// A Transport listens, and dials the nodes that it has been told of. To each it keeps two connections,
// one for what is short and urgent and one for entries, and a connection for each snapshot. They are
// encrypted and authenticated by certificates of the cluster's own authority. What arrives is whole, in
// order within a connection, and never arrives twice; what does not arrive is lost, and the host is
// told: raft sends it again if it still matters.
//
// The package takes from raftlog the name of a group. It reads no clock and no chance but those that it is
// given, decides nothing about groups, and never blocks who sends.
package transport

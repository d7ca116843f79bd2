// Package node answers one question: which place in a cluster has this data folder?
//
// A folder becomes the first one of a cluster, or that of a node that was invited to one; then it says so
// itself, in a file, and has the log of promises beside the data. A Node runs what the folder is,
// and does what an operator asks of the cluster, by the numbers of nodes. A cluster has one group.
//
// The package puts host, raftlog and transport together over an engine that it is given. It knows nothing
// of clients.
package node

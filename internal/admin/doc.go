// Package admin answers one question: what may an operator ask of a server that runs?
//
// It is a door for the user whom the server runs as, on the same machine: a socket in the data
// folder. Behind it are the keys, with their state, rotation, wrapping and retirement, and the data
// as a backup. The package is both ends of the door.
//
// It may import what it tells of. It keeps nothing of its own, and no secret passes the door.
package admin

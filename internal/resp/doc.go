// Package resp answers: what do these wire bytes say? It reads commands and
// replies and writes replies in the Redis protocol, versions 2 and 3.
//
// It imports only the standard library. It knows no command and no error text
// but those of the protocol itself, opens no connection, starts no goroutine,
// and never allocates more than a small multiple of the bytes that have really
// arrived, whatever lengths a peer declares.
package resp

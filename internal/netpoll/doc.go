// Package netpoll answers one question: which connections have something to read, without a
// goroutine for each?
//
// A Poller takes over TCP connections from package net. A Conn of it is a net.Conn, and can
// besides be read and written without waiting, and be put to rest: then Wait returns
// it when something has arrived. One goroutine can so serve many clients with one system call for
// all that have something to say, where a goroutine for each costs each a read in
// vain, a switch and, when a processor was idle, a wake-up.
//
// The package imports nothing of this module and knows no protocol. It works on Linux; elsewhere
// New fails with errors.ErrUnsupported, and connections stay as package net has made them.
package netpoll

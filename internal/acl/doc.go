// Package acl answers one question: who may do what?
//
// Users is every user of a server. A User has passwords and selectors; a selector
// allows commands, patterns of keys and patterns of channels. A call is allowed if
// one selector allows the whole of it. The rules, their words and what they are
// printed as are those of Redis 7.0's ACL.
//
// The package knows commands by their rows in package command and nothing of
// connections.
package acl

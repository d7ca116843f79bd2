// Package keys answers one question: which keys does a data folder have, and who may use
// them? It wraps data encryption keys (DEKs) under a key encryption key (KEK), keeps them
// in the folder's file keys.json, draws a new DEK whenever one is due, and makes the nonces
// that values are sealed with.
//
// It may import package encryption. It reads no clock, no environment and no flags, and knows
// nothing of stores: what it needs of them is the registry of writers. It never prints a key.
package keys

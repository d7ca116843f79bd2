// Package eviction answers one question: which keys have been used least, and so go first when
// there is no room?
//
// Uses remembers when, or how often, keys were used, in memory of a fixed size and without a write
// to the disk: a table of hashes of keys, in which what was used least makes room for the rest. A
// key that is not in it has been used less than those that are, as far as the process knows. A Policy
// says which keys may go and by what they are compared; a Pool keeps the best candidates of those
// that were looked at, as Redis does, which looks at a few random keys for each one that it evicts.
//
// Refused: an exact list of all keys by use. It would need memory for every key of a dataset that is
// larger than memory, or a row that every read rewrites.
//
// Of this module the package imports internal/prefetch. It knows nothing of transactions, types or commands.
package eviction

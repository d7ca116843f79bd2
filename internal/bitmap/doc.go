// Package bitmap answers: what do the bits of a string say? It reads, changes, counts and
// combines them, as single bits and as integers of any width. Bit 0 is the highest bit of the
// first byte. It imports only the standard library, and knows nothing of keys or commands.
package bitmap

// Package prefetch answers one question: how is the processor told which memory will be read next?
//
// A read of memory that is in none of the processor's caches takes as long as a few hundred instructions. Who looks
// up many things in tables that are larger than the caches, one after the other, waits for that each time; who first
// names all of them waits about once. To name an address reads nothing, waits for nothing and changes nothing that a program can see:
// it may be one that others are writing to, and one that is no longer of use costs only time.
//
// On processors that the package does not know it does nothing. It imports nothing of this module.
package prefetch

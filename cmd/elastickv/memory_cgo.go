//go:build cgo && linux

package main

/*
#include <malloc.h>
#include <unistd.h>

// Left to itself the allocator of glibc has an arena for nearly every thread, and what is free in one is of no use to the others:
// reads at random took twice the cache that they filled. Four processors share an arena here. What is 256 KiB or larger is mapped by
// itself, and given back as soon as it is free. It has to be said before there are threads. Other C libraries
// have no arenas.
__attribute__((constructor)) static void keep_together(void) {
#ifdef M_ARENA_MAX
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	mallopt(M_ARENA_MAX, processors > 4 ? processors / 4 : 1);
	mallopt(M_MMAP_THRESHOLD, 256 << 10);
#endif
}
*/
import "C"

// engineInRuntime says whether the blocks and memtables of the engine are the runtime's: with cgo they are C's.
const engineInRuntime = false

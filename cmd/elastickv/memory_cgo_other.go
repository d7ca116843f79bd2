//go:build cgo && !linux

package main

// engineInRuntime says whether the blocks and memtables of the engine are the runtime's: with cgo they are C's.
const engineInRuntime = false

//go:build !cgo

package main

// engineInRuntime says whether the blocks and memtables of the engine are the runtime's: without cgo they are.
const engineInRuntime = true

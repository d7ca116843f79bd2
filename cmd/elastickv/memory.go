package main

import (
	"runtime/debug"

	"github.com/elastickv/elastickv/internal/server"
)

// limitMemory has the collector of garbage work harder before the runtime takes more than its part of the plan. It fails
// nothing: what is in use beyond that is there all the same.
func limitMemory(p server.MemoryPlan) {
	limit := p.Runtime
	if engineInRuntime {
		limit += p.Engine + p.Log
	}
	debug.SetMemoryLimit(limit)
}

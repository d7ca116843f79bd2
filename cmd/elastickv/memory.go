package main

import (
	"math"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"

	"github.com/elastickv/elastickv/internal/server"
)

// limitMemory has the collector of garbage work harder before the runtime takes more than its part of the plan, until stop. It fails
// nothing: what is in use beyond that is there all the same.
func limitMemory(p server.MemoryPlan) (stop func()) {
	limit := p.Runtime
	if engineInRuntime {
		limit += p.Engine + p.Log
	}
	k := &limitKeeper{least: limit, set: limit}
	debug.SetMemoryLimit(limit)
	k.watch()
	return func() { k.stopped.Store(true) }
}

// limitKeeper keeps the runtime's limit of memory where the collector can do with it. What scripts, values and replies hold may
// exceed the plan. A limit at or below what is in use saves no memory then, and has the collector take half of
// the processor time: so it makes room for a quarter as much garbage as there is to keep, and goes back with that.
type limitKeeper struct {
	least   int64 // bytes that the plan gives
	set     int64 // the limit as it is
	stopped atomic.Bool
}

// watch looks after the limit whenever the collector has finished. The runtime does not tell when that is but by what
// it has collected.
func (k *limitKeeper) watch() {
	runtime.AddCleanup(new([1]*limitKeeper), func(k *limitKeeper) {
		if k.stopped.Load() {
			return
		}
		// It waits for nobody to set one a little different.
		if want := limitFor(k.least, readHeap()); want > k.set || want < k.set-k.set/16 || want == k.least && want != k.set {
			k.set = want
			debug.SetMemoryLimit(want)
		}
		k.watch()
	}, k)
}

// heapUse is what the runtime has taken, in bytes: what the last collection found in use, and what is neither that nor garbage nor
// free, such as stacks.
type heapUse struct{ live, other int64 }

func readHeap() heapUse {
	s := []metrics.Sample{
		{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"},
		{Name: "/memory/classes/heap/free:bytes"}, {Name: "/memory/classes/heap/objects:bytes"},
	}
	metrics.Read(s)
	n := func(i int) int64 { return int64(min(s[i].Value.Uint64(), math.MaxInt64)) }
	return heapUse{live: n(0), other: max(n(1)-n(2)-n(3)-n(4), 0)}
}

// limitFor is the limit for a runtime that is to have at least so much, in bytes.
func limitFor(least int64, u heapUse) int64 { return max(least, u.live+u.live/4+u.other) }

package testkit

import (
	"runtime"
	"runtime/metrics"
	"sync/atomic"
)

// HeapPeak runs f and returns by how many bytes the heap grew meanwhile: what can be reached,
// as one collection after the other has found it, without garbage.
func HeapPeak(f func()) (grown int64) {
	runtime.GC()
	before := liveHeap()
	var over atomic.Bool
	peak := make(chan int64)
	go func() {
		most := before
		for !over.Load() {
			runtime.GC()
			most = max(most, liveHeap())
		}
		peak <- most - before
	}()
	defer func() { // also if f ends the test
		over.Store(true)
		grown = <-peak
	}()
	f()
	return 0
}

func liveHeap() int64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	return int64(sample[0].Value.Uint64())
}

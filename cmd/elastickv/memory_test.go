package main

import (
	"math"
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"github.com/elastickv/elastickv/internal/server"
)

func TestLimitFor(t *testing.T) {
	for name, c := range map[string]struct {
		use  heapUse
		want int64
	}{
		"idle":               {heapUse{10, 5}, 100},
		"within":             {heapUse{70, 10}, 100},
		"little room":        {heapUse{80, 10}, 110},
		"more than the plan": {heapUse{200, 20}, 270},
	} {
		if got := limitFor(100, c.use); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

// TestLimitFollowsUse holds more than the plan has, and lets go of it.
func TestLimitFollowsUse(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(before)
	plan := server.MemoryPlan{Runtime: 64 << 20}
	defer limitMemory(plan)()
	if got := debug.SetMemoryLimit(-1); got != plan.Runtime {
		t.Fatalf("the limit is %d, want %d", got, plan.Runtime)
	}
	until := func(what string, ok func(limit int64) bool) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); ; runtime.Gosched() {
			runtime.GC()
			limit := debug.SetMemoryLimit(-1)
			if ok(limit) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: the limit is %d", what, limit)
			}
		}
	}
	const size = 128 << 20
	held := make([]byte, size)
	until("while more is held", func(limit int64) bool { return limit >= size+size/4 && limit < math.MaxInt64 })
	runtime.KeepAlive(held)
	held = nil
	until("when it is gone", func(limit int64) bool { return limit == plan.Runtime })
}

//go:build cgo && linux

package main

import (
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestTimerSlack: threads may be woken up a millisecond late, and are not woken up later than that means.
func TestTimerSlack(t *testing.T) {
	usual, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	if usual != int(time.Millisecond) && usual != int(50*time.Microsecond) {
		t.Skipf("who has started the process has chosen a slack of %d ns", usual)
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			runtime.LockOSThread() // and ends it
			got, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
			if err != nil || got != int(time.Millisecond) {
				t.Errorf("a thread has a slack of %d ns (%v), want a millisecond", got, err)
			}
		})
	}
	all.Wait()
}

package script

import (
	"sync"
	"testing"
)

// Of a first write and a kill at the same time one wins, and the loser learns of it.
func TestFate(t *testing.T) {
	for range 1000 {
		var f fate
		var wrote, killed bool
		var both sync.WaitGroup
		both.Go(func() { wrote = f.write() })
		both.Go(func() { killed = f.kill() })
		both.Wait()
		if wrote == killed {
			t.Fatalf("wrote %v, killed %v", wrote, killed)
		}
		if f.write() != wrote || f.kill() != killed || f.wrote() != wrote || f.killed() != killed {
			t.Fatal("it was decided again")
		}
	}
}

// Package clients runs other people's Redis clients and job queues against the server.
package clients

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/elastickv/elastickv/internal/testkit"
)

var (
	killsFlag = flag.Int("kills", 3, "how often a test kills the server under a job queue")
	realFlag  = flag.Bool("real", false, "kill a redis-server that syncs every write instead, to see that the tests ask for nothing that Redis does not do")
	seedFlag  = flag.Uint64("seed", 0, "seed of the moments at which it is killed; 0: a new one")
)

func TestMain(m *testing.M) {
	code := testkit.Main(m)
	if installed.dir != "" {
		os.RemoveAll(installed.dir)
	}
	os.Exit(code)
}

// victim is a server that is killed with SIGKILL while a workload runs, and started again on
// the same folder at the same address.
type victim struct {
	*testkit.Server

	left   atomic.Int64  // things that may yet happen before the next kill
	enough chan struct{} // one kill is due
}

func newVictim(t *testing.T) *victim {
	t.Helper()
	v := &victim{enough: make(chan struct{}, 1)}
	if *realFlag {
		v.Server = testkit.Redis(t, "--appendonly", "yes", "--appendfsync", "always")
	} else {
		v.Server = testkit.Elastickv(t, t.TempDir())
	}
	return v
}

// happened counts one thing that the workload has seen happen.
func (v *victim) happened() {
	if v.left.Add(-1) == 0 {
		v.enough <- struct{}{}
	}
}

// killAll kills and restarts the server as often as the flag says, each time after a random
// number of things have happened. ended is closed when the workload has ended, which it must
// not before.
func (v *victim) killAll(t *testing.T, ended <-chan struct{}) {
	t.Helper()
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	for range *killsFlag {
		v.left.Store(int64(50 + rnd.IntN(20)*rnd.IntN(40)))
		select {
		case <-v.enough:
			v.Server = v.Restart(t)
		case <-ended:
			t.Fatal("the workload has ended before the last kill")
		case <-time.After(time.Minute):
			t.Fatal(fmt.Errorf("nothing happens any more: %d to go; the server's output:\n%s", v.left.Load(), v.Log()))
		}
	}
}

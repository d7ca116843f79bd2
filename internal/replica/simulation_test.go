package replica

import (
	"flag"
	"fmt"
	"testing"
	"testing/cryptotest"
	"time"
)

var (
	simRuns  = flag.Int("sim.runs", 60, "how many simulations TestSimulation makes")
	simSeed  = flag.Uint64("sim.seed", 0, "seed of the first one; 0: a new one")
	simSteps = flag.Int("sim.steps", 4000, "steps of each")
)

// simulate runs one simulation. raft draws its election timeouts from crypto/rand.
func simulate(t *testing.T, seed uint64, rules simRules) (s *sim, err error) {
	t.Helper()
	cryptotest.SetGlobalRandom(t, seed)
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	s = newSim(t, seed, rules)
	return s, s.run(*simSteps)
}

func TestSimulation(t *testing.T) {
	seed := *simSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	runs := *simRuns
	if testing.Short() {
		runs /= 4
	}
	total := map[string]int{}
	for i := range uint64(runs) {
		s, err := simulate(t, seed+i, simRules{})
		if err != nil {
			t.Fatalf("-sim.seed %d -sim.runs 1: %v", seed+i, err)
		}
		for what, n := range s.counts {
			total[what] += n
		}
		total["acknowledged"] += s.acks
	}
	t.Log(total)
	if runs < 20 {
		return
	}
	for _, what := range []string{"acknowledged", "lead", "crash", "snapshot", "install", "crash in install", "lost", "truncate", "read", "change of members", "lost proposal"} {
		if total[what] == 0 {
			t.Errorf("there was no %s", what)
		}
	}
}

// Whatever rule is broken, a simulation notices.
func TestSimulationNotices(t *testing.T) {
	for name, rules := range map[string]simRules{
		"promises without a sync":                  {noSync: true},
		"the log is cut before the data is synced": {noBarrier: true},
		"a snapshot without a note":                {noIntent: true},
		"raft is not told of snapshots":            {noReport: true},
		"proposals at any place":                   {noPlace: true},
		"a leader that does not catch up first":    {noWait: true},
		"reads without a question":                 {noIndex: true},
		"an id that is used again":                 {reuseID: true},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(100) {
				if _, err := simulate(t, seed, rules); err != nil {
					t.Logf("seed %d: %v", seed, err)
					return
				}
			}
			t.Error("nothing was noticed")
		})
	}
}

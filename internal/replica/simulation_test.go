package replica

import (
	"flag"
	"fmt"
	"strings"
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
	for _, what := range []string{"acknowledged", "lead", "crash", "snapshot", "install", "crash in install", "lost", "truncate", "read", "change of members", "lost proposal", "stop", "read by lease", "harm to a lease", "lost end of a log", "end that is written over", "end of who forgot"} {
		if total[what] == 0 {
			t.Errorf("there was no %s", what)
		}
	}
}

// Whatever rule is broken, a simulation notices.
func TestSimulationNotices(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long, and what is broken on purpose need not be watched for races")
	}
	for name, rules := range map[string]simRules{
		"promises without a sync":                   {noSync: true},
		"promises that are told of before":          {earlyAnswers: true},
		"messages for the log that get lost":        {dropAppend: true},
		"the log is cut before the data is synced":  {noBarrier: true},
		"a snapshot without a note":                 {noIntent: true},
		"raft is not told of snapshots":             {noReport: true},
		"a snapshot of another moment than it says": {oldHeader: true},
		"a commit index below what is applied":      {noRaise: true},
		"proposals at any place":                    {noPlace: true},
		"a leader that does not catch up first":     {noWait: true},
		"timestamps of the leader's own":            {ownTime: true},
		"a failure instead of not knowing":          {failUnknown: true},
		"applying depends on the node":              {localApply: true},
		"raft is not told of members":               {noChange: true},
		"reads without a question":                  {noIndex: true},
		"reads of what is not committed":            {readAhead: true},
		"an id that is used again":                  {reuseID: true},
		"a lease longer than an election":           {longLease: true},
		"a lease from the answer on":                {lateLease: true},
		"a lease while the lead is offered":         {keepLease: true},
		"a lease that who was started anew forgets": {forgetLease: true},
		"a lease without what others have applied":  {aheadLease: true},
		"a lease without a look at the clock":       {noClock: true},
		"a memory that is known to be lost":         {noMemory: true},
		"a memory of what was written over":         {noTerm: true},
		"a lost memory that is opened again":        {reopen: true},
	} {
		t.Run(name, func(t *testing.T) {
			first, step := uint64(0), uint64(1)
			if strings.Contains(name, "lease") || strings.Contains(name, "memory") {
				first, step = 1, 2 // those in which sim.hunt is set
			}
			for seed := first; seed < 400; seed += step {
				if _, err := simulate(t, seed, rules); err != nil {
					t.Logf("seed %d: %v", seed, err)
					return
				}
			}
			t.Error("nothing was noticed")
		})
	}
}

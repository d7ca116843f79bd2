package test

import (
	"os"
	"time"

	"github.com/elastickv/elastickv/internal/testkit/harm"
)

// What a nemesis does to the machines that nodes run on.

// stepClock puts clocks up to an hour ahead or behind, each to its own time; one in three is put right.
func (n *nemesis) stepClock(which ...*peer) {
	for _, p := range which {
		delete(n.clocks, p)
		if n.rng.IntN(3) > 0 {
			n.clocks[p] = time.Duration(n.rng.IntN(7200)-3600) * time.Second
		}
		n.tell(p)
	}
}

// slowDisk has each sync take up to a fifth of a second longer.
func (n *nemesis) slowDisk(which ...*peer) {
	for _, p := range which {
		n.slow[p] = time.Duration(n.rng.IntN(200)) * time.Millisecond
		n.tell(p)
	}
}

func (n *nemesis) speedUp() {
	for p := range n.slow {
		delete(n.slow, p)
		n.tell(p)
	}
}

// tell has the machine of a node be as it is meant to be.
func (n *nemesis) tell(p *peer) {
	p.Harm(n.t, harm.State{Step: n.clocks[p], Sync: n.slow[p]})
}

func (n *nemesis) emptyDisk() {
	if n.ballast == "" {
		return
	}
	if err := os.Remove(n.ballast); err != nil {
		n.t.Fatal(err)
	}
	n.ballast = ""
	n.down = append(n.down, n.c.nodes[2])
}

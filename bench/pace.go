package main

import (
	"errors"
	"flag"
	"time"
)

// pace is how often, for how long and with how many clients something is measured by turns.
type pace struct {
	clients, rounds int
	seconds         float64
}

// name names the flags of p, whose values at first are rounds and seconds.
func (p *pace) name(fs *flag.FlagSet, rounds int, seconds float64) {
	fs.IntVar(&p.clients, "c", 50, "connections")
	fs.IntVar(&p.rounds, "rounds", rounds, "rounds; the median counts")
	fs.Float64Var(&p.seconds, "seconds", seconds, "seconds of one run")
}

func (p *pace) fault() error {
	if min(p.clients, p.rounds) < 1 || p.seconds <= 0 {
		return errors.New("want -c, -rounds and -seconds above 0")
	}
	return nil
}

// shorten makes it once, in a quarter of the time.
func (p *pace) shorten() { p.rounds, p.seconds = 1, p.seconds/4 }

// turn is the time of one run.
func (p *pace) turn() time.Duration { return time.Duration(p.seconds * float64(time.Second)) }

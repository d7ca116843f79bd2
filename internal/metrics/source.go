package metrics

import (
	"time"

	"github.com/elastickv/elastickv/internal/server"
	"github.com/elastickv/elastickv/store"
)

// Store is what is asked of a store.
type Store interface {
	store.StatsReporter
	WriteConflictCountsByPrefix() map[string]uint64
}

// Server is what is asked of a server.
type Server interface {
	Activity() server.Activity
	Health() error
}

// Pins tell what transactions in progress keep from being dropped.
type Pins struct {
	Count     int           // transactions that read
	OldestTS  uint64        // the lowest timestamp that one of them reads at; 0 if there are none
	OldestAge time.Duration // for how long that one has been under way
	Lapsed    int           // transactions that are too old to keep anything
}

// Keys tell how values are sealed. The zero value is that of a server that seals nothing.
type Keys struct {
	Stage   int    // 0 clear, 1 provisioned, 2 activated, 3 sealed
	Count   int    // keys that there are
	Active  uint32 // id of the key that values are sealed under
	Uses    uint64 // of that key by this process
	RenewAt uint64 // uses after which another key takes over
}

// Source is where the figures come from. Every field but Replica has to be there.
type Source struct {
	Replica func() Replica // nil: there is no cluster
	Store   Store
	Server  Server
	Pins    func() Pins
	Keys    func() Keys
	Now     func() time.Time
	Version string // of the program
}

// sample is what a source tells at one moment.
type sample struct {
	store     store.Stats
	conflicts map[string]uint64
	server    server.Activity
	pins      Pins
	keys      Keys
	replica   Replica
	now       time.Time
	version   string
}

func (s *Source) sample() *sample {
	out := &sample{
		store: s.Store.Stats(), conflicts: s.Store.WriteConflictCountsByPrefix(),
		server: s.Server.Activity(), pins: s.Pins(), keys: s.Keys(), now: s.Now(), version: s.Version,
	}
	if s.Replica != nil {
		out.replica = s.Replica()
	}
	return out
}

// counterBits is how far a timestamp's milliseconds are shifted: see package hlc.
const counterBits = 16

// millis is the Unix time of a timestamp in milliseconds.
func millis(ts uint64) uint64 { return ts >> counterBits }

// seconds is the Unix time of a timestamp in seconds, to the millisecond.
func seconds(ts uint64) float64 { return float64(millis(ts)) / 1000 }

// age is how many seconds before now a timestamp lies; 0 if it does not, or is none.
func (s *sample) age(ts uint64) float64 {
	if ts == 0 {
		return 0
	}
	return max(0, float64(s.now.UnixMilli()-int64(millis(ts)))/1000)
}

// historySeconds is how much history is kept: from the retention floor to the newest
// commit, in seconds. Before anything has been dropped it is not known, and 0.
func (s *sample) historySeconds() float64 {
	if s.store.RetentionFloor == 0 {
		return 0
	}
	return max(0, seconds(s.store.LastCommitTS)-seconds(s.store.RetentionFloor))
}

package metrics

import (
	"errors"
	"fmt"
	"time"
)

// Replica tells of this node's place in its cluster.
type Replica struct {
	Leader      uint64 // number of the node; 0: nobody is known
	Leading     bool   // it is this one
	Removed     bool   // this node is no member any more
	Term        uint64
	Applied     uint64 // the index of the last entry in the data
	Commit      uint64 // of the last one that is known to be on a majority
	First, Last uint64 // where the log begins and ends

	Proposed, Refused, Unknown uint64 // proposals of this node: in the log, not in it, and those whose end nobody knows

	// Staleness is how old what can be read here without asking others is at most; below 0: nobody knows.
	Staleness time.Duration

	LogWrites int64 // of the log, with their sync
	LogTime   time.Duration
}

// replicaMetrics are the figures of a node of a cluster.
var replicaMetrics = []metric{
	gauge("cluster_leading", "1 while this node leads the cluster. The sum over all nodes is 1, but for moments.",
		func(s *sample) int { return yes(s.replica.Leading) }),
	gauge("cluster_leader", "Number of the node that leads, as this one knows; 0: nobody is known to.",
		func(s *sample) uint64 { return s.replica.Leader }),
	gauge("cluster_term", "Term of the lead. It rises with each election.",
		func(s *sample) uint64 { return s.replica.Term }),
	gauge("cluster_removed", "1 once this node has been removed from its cluster.",
		func(s *sample) int { return yes(s.replica.Removed) }),
	gauge("cluster_commit_index", "Index of the last entry that this node knows to be on a majority.",
		func(s *sample) uint64 { return s.replica.Commit }),
	gauge("cluster_applied_index", "Index of the last entry that is in the data of this node.",
		func(s *sample) uint64 { return s.replica.Applied }),
	gauge("cluster_apply_lag", "Entries that are known to be on a majority and not yet in the data of this node.",
		func(s *sample) uint64 { return s.replica.Commit - min(s.replica.Commit, s.replica.Applied) }),
	gauge("cluster_staleness_seconds", "How old what connections read here that have asked for READONLY is at most; below 0: nobody knows.",
		func(s *sample) float64 { return s.replica.Staleness.Seconds() }),
	gauge("cluster_log_first_index", "Where the log of this node begins: what is older is in the data alone.",
		func(s *sample) uint64 { return s.replica.First }),
	gauge("cluster_log_last_index", "Where the log of this node ends.",
		func(s *sample) uint64 { return s.replica.Last }),
	counter("cluster_proposals_total", "Entries that this node has put into the log as the leader.",
		func(s *sample) uint64 { return s.replica.Proposed }),
	counter("cluster_proposals_refused_total", "Entries that came to nothing: the lead had ended, or too much was waiting for a majority.",
		func(s *sample) uint64 { return s.replica.Refused }),
	counter("cluster_proposals_unknown_total", "Entries of which this node could not tell whether they were committed, because its lead ended.",
		func(s *sample) uint64 { return s.replica.Unknown }),
	counter("cluster_log_writes_total", "Writes of the log of promises, most of them with an fsync.",
		func(s *sample) int64 { return s.replica.LogWrites }),
	counter("cluster_log_write_seconds_total", "Time that those took. Divided by their number: the floor under the latency of every write.",
		func(s *sample) float64 { return s.replica.LogTime.Seconds() }),
}

// lead is why a node of a cluster does not take writes; nil if it does.
func (r *Replica) lead() error {
	if err := r.health(); err != nil || r.Leading {
		return err
	}
	return fmt.Errorf("node %d leads", r.Leader)
}

// health is why a node of a cluster can answer nobody; nil if it can.
func (r *Replica) health() error {
	switch {
	case r.Removed:
		return errors.New("this node has been removed from its cluster")
	case r.Leader == 0:
		return errors.New("nobody is known to lead the cluster")
	}
	return nil
}

package server

import (
	"fmt"
	"strings"

	"github.com/elastickv/elastickv/internal/command"
)

var roleRow = &command.Command{
	Name: "role", Arity: 1, Flags: sessionFlags | command.Fast, Cats: command.CatAdmin | command.CatDangerous,
	Group: command.GroupServer, Run: role,
	Since: "2.8.12", Summary: "Tells what part the server plays in replication.", Complexity: "O(1)",
}

// In a cluster offsets are indexes of the log: up to there it is applied.

func role(c *command.Ctx) error {
	srv := serverOf(c)
	var st ClusterStatus
	if srv.shared() {
		var err error
		if st, err = srv.clusterStatus(); err != nil {
			return err
		}
	}
	if srv.shared() && !st.Leading {
		return roleOfFollower(c, &st)
	}
	c.Out.Array(3)
	c.Out.BulkString("master")
	c.Out.Int(int64(st.Applied))
	replicas := srv.replicasOf(&st)
	c.Out.Array(len(replicas))
	for _, n := range replicas {
		c.Out.Array(3)
		c.Out.BulkString(n.Host)
		c.Out.BulkString(fmt.Sprint(n.portFor(callerOf(c))))
		c.Out.BulkString(fmt.Sprint(n.Applied))
	}
	return nil
}

func roleOfFollower(c *command.Ctx, st *ClusterStatus) error {
	leader, _ := st.leader()
	link := "connect"
	if serverOf(c).linked(st) {
		link = "connected"
	}
	c.Out.Array(5)
	c.Out.BulkString("slave")
	c.Out.BulkString(leader.Host)
	c.Out.Int(int64(leader.portFor(callerOf(c))))
	c.Out.BulkString(link)
	c.Out.Int(int64(st.Applied))
	return nil
}

// replicasOf returns the other nodes that were heard of lately.
func (s *Server) replicasOf(st *ClusterStatus) (of []ClusterNode) {
	for _, n := range st.Nodes {
		if !n.Self && s.heardOf(n, silenceMost) {
			of = append(of, n)
		}
	}
	return of
}

// linked reports whether what a follower has is as new as it has to be for those who read it.
func (s *Server) linked(st *ClusterStatus) bool {
	age, known := s.db.Staleness()
	return st.Leader != 0 && known && age <= s.cfg.Load().maxStaleness()
}

func (s *Server) infoReplication(r *report) error {
	if !s.shared() {
		r.add("role", "master")
		r.add("connected_slaves", 0)
		if s.lacksReplicas() {
			r.add("min_slaves_good_slaves", 0)
		}
		r.add("master_failover_state", "no-failover")
		r.add("master_replid", s.runID)
		r.add("master_repl_offset", 0)
		return nil
	}
	st, err := s.clusterStatus()
	if err != nil {
		return err
	}
	if st.Leading {
		s.infoLeader(r, &st)
	} else {
		s.infoFollower(r, &st)
	}
	self, _ := st.self()
	r.add("master_failover_state", "no-failover")
	r.add("master_replid", st.shardName())
	r.add("master_replid2", strings.Repeat("0", 40))
	r.add("master_repl_offset", st.Applied)
	r.add("second_repl_offset", -1)
	r.add("cluster_node", self.Node)
	r.add("cluster_leader", st.Leader)
	r.add("cluster_term", st.Term)
	return nil
}

func (s *Server) infoLeader(r *report, st *ClusterStatus) {
	r.add("role", "master")
	replicas := s.replicasOf(st)
	r.add("connected_slaves", len(replicas))
	if s.cfg.Load().replicasLeast > 0 {
		r.add("min_slaves_good_slaves", s.goodReplicas(st))
	}
	now := s.opts.Now()
	for i, n := range replicas {
		port := n.Port
		if port == 0 {
			port = n.TLSPort
		}
		state := "online"
		if !n.Voter {
			state = "send_bulk"
		}
		r.add(fmt.Sprint("slave", i), fmt.Sprintf("ip=%s,port=%d,state=%s,offset=%d,lag=%d,node=%d",
			n.Host, port, state, n.Applied, int64(now.Sub(n.Heard).Seconds()), n.Node))
	}
}

func (s *Server) infoFollower(r *report, st *ClusterStatus) {
	leader, _ := st.leader()
	port := leader.Port
	if port == 0 {
		port = leader.TLSPort
	}
	link := "down"
	if s.linked(st) {
		link = "up"
	}
	age, known := s.db.Staleness()
	seconds, millis := int64(-1), int64(-1)
	if known {
		seconds, millis = int64(age.Seconds()), age.Milliseconds()
	}
	r.add("role", "slave")
	r.add("master_host", leader.Host)
	r.add("master_port", port)
	r.add("master_link_status", link)
	r.add("master_last_io_seconds_ago", seconds)
	r.add("master_sync_in_progress", 0)
	r.add("slave_read_repl_offset", st.Commit)
	r.add("slave_repl_offset", st.Applied)
	if link == "down" {
		r.add("master_link_down_since_seconds", seconds)
	}
	r.add("slave_priority", 100)
	r.add("slave_read_only", 1)
	r.add("replica_announced", 1)
	r.add("connected_slaves", 0)
	r.add("staleness_ms", millis)
	r.add("staleness_limit_ms", s.cfg.Load().staleMillis)
	r.add("entries_behind", st.Commit-min(st.Commit, st.Applied))
}

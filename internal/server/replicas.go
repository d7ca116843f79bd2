package server

import (
	"github.com/elastickv/elastickv/internal/command"
	"github.com/elastickv/elastickv/internal/script"
)

// lacksReplicas reports whether an operator wants writes to have more replicas than there are.
func (s *Server) lacksReplicas() bool {
	cfg := s.cfg.Load()
	return cfg.replicasLeast > s.replicas.Load() && cfg.replicasLag > 0
}

// countReplicas finds out how many other nodes were heard of as lately as the operator wants it of replicas.
func (s *Server) countReplicas() {
	st, err := s.clusterStatus()
	if err != nil {
		s.replicas.Store(0)
		return
	}
	s.replicas.Store(int64(s.goodReplicas(&st)))
}

func (s *Server) goodReplicas(st *ClusterStatus) (n int) {
	for _, r := range st.Nodes {
		if !r.Self && s.heardOf(r, seconds(s.cfg.Load().replicasLag)) {
			n++
		}
	}
	return n
}

// refusalByReplicas is why a call that says of itself that it writes cannot be carried out without replicas.
func (c *session) refusalByReplicas(k call) error {
	if !c.srv.lacksReplicas() {
		return nil
	}
	if c.declaresWrite(k) || k.route.exec && c.multi.on && c.multi.declared {
		return script.ErrNoReplicas
	}
	return nil
}

// declaresWrite reports whether a call says of itself that it writes. What a script without flags does shows when it does it.
func (c *session) declaresWrite(k call) bool {
	return k.route.cmd.Has(command.Write) || k.route.scripted && c.srv.scripts.engine.DeclaresWrite(k.route.cmd, k.args)
}

// LacksReplicas implements script.Host.
func (c *session) LacksReplicas() bool { return c.srv.lacksReplicas() }

package server

import (
	"context"
	"sync"
	"time"

	"github.com/elastickv/elastickv/internal/relay"
)

// links are the connections to nodes that lead, or have led, on which this one asks for its clients.
type links struct {
	mu   sync.Mutex
	to   map[uint64]*nodeLink
	shut bool // no more are made
}

// nodeLink is the connection to a node, if there is one.
type nodeLink struct {
	mu     sync.Mutex // held while the connection is made: who needs it waits
	link   *relay.Link
	err    error     // why there was none
	failed time.Time // when
}

const (
	connectMost  = 2 * time.Second        // that a node may take to answer
	connectPause = 100 * time.Millisecond // in which nobody tries again
	passedMost   = replyBytesMost + 64<<20
)

func (s *Server) relayOptions() relay.Options {
	return relay.Options{Now: s.opts.Now, Most: passedMost}
}

// link returns the connection to a node, and makes it if there is none.
func (s *Server) link(node uint64) (*relay.Link, error) {
	s.links.mu.Lock()
	n := s.links.to[node]
	if n == nil {
		if s.links.to == nil {
			s.links.to = make(map[uint64]*nodeLink)
		}
		n = &nodeLink{}
		s.links.to[node] = n
	}
	s.links.mu.Unlock()
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.link != nil && n.link.Err() == nil {
		return n.link, nil
	}
	if n.err != nil && s.opts.Now().Sub(n.failed) < connectPause {
		return nil, n.err
	}
	return s.connect(n, node)
}

// connect makes a connection for n, which is locked.
func (s *Server) connect(n *nodeLink, node uint64) (*relay.Link, error) {
	ctx, cancel := context.WithTimeout(s.ctx, connectMost)
	defer cancel()
	known := n.err != nil
	if n.link != nil {
		s.log.Warn("the connection on which the leader was asked has ended", "node", node, "err", n.link.Err())
		n.link.Close()
		n.link = nil
	}
	conn, err := s.opts.Cluster.Connect(ctx, node)
	if n.err, n.failed = err, s.opts.Now(); err != nil {
		if !known {
			s.log.Warn("the leader cannot be asked for clients of this node", "node", node, "err", err)
		}
		return nil, err
	}
	s.links.mu.Lock()
	defer s.links.mu.Unlock()
	if s.links.shut {
		_ = conn.Close()
		return nil, errShutdown
	}
	n.link = relay.NewLink(conn, s.relayOptions())
	return n.link, nil
}

// unneeded reports whether a connection to a node is of no use any more: another one leads, and all answers have come.
func (s *Server) unneeded(node uint64, l *relay.Link) bool {
	leader, err := s.leader()
	return (err != "" || leader.Node != node) && l.Asked() == 0
}

func everyLink(uint64, *relay.Link) bool { return true }

// closeLinks ends connections. It leaves out those that are being made.
func (s *Server) closeLinks(which func(node uint64, l *relay.Link) bool) {
	s.links.mu.Lock()
	all := make(map[uint64]*nodeLink, len(s.links.to))
	for node, n := range s.links.to {
		all[node] = n
	}
	s.links.mu.Unlock()
	for node, n := range all {
		if !n.mu.TryLock() {
			continue
		}
		if l := n.link; l != nil && which(node, l) {
			l.Close()
			n.link = nil
		}
		n.mu.Unlock()
	}
}

// endLinks ends all connections, and none is made any more.
func (s *Server) endLinks() {
	s.links.mu.Lock()
	s.links.shut = true
	s.links.mu.Unlock()
	s.closeLinks(everyLink)
}

package test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
)

// leaving is a node that is removed and invited again while other harm is done.
type leaving struct {
	*peer
	done       chan struct{} // it is invited, or will not be
	invitation string
	over       atomic.Bool // nobody waits any more
}

// replace begins to replace a node, as one whose disk is lost: it is killed, removed and invited again. finishReplacing does the rest.
func (n *nemesis) replace(p *peer) {
	if n.leaving != nil {
		return
	}
	n.kill(p)
	l := &leaving{peer: p, done: make(chan struct{})}
	n.leaving = l
	n.t.Cleanup(func() { l.over.Store(true); <-l.done })
	var folders []string
	for _, other := range n.c.nodes {
		if other != p {
			folders = append(folders, other.dir)
		}
	}
	go l.invite(n, folders)
}

// invite asks whoever may lead, until that one has done what it was asked for. What fails may be done all the same.
func (l *leaving) invite(n *nemesis, folders []string) {
	defer close(l.done)
	node := fmt.Sprint(l.id)
	for !l.over.Load() {
		for _, dir := range folders {
			_, err := elastickv(n.t, "cluster", "remove", "--dir", dir, "--node", node)
			if err != nil && !strings.Contains(err.Error(), "is no member") {
				continue
			}
			word, err := elastickv(n.t, "cluster", "invite", "--dir", dir, "--node", node, "--addr", l.addr)
			if err == nil {
				l.invitation = strings.TrimSpace(word)
				return
			}
		}
	}
}

// finishReplacing has the node that is being replaced, if there is one, join with an empty folder, and waits for its vote.
func (n *nemesis) finishReplacing() {
	l := n.leaving
	if l == nil {
		return
	}
	n.c.await(fmt.Sprint("an invitation of node ", l.id), func() bool {
		select {
		case <-l.done:
			return true
		default:
			return false
		}
	})
	n.leaving = nil
	p, was := l.peer, l.dir
	p.dir = filepath.Join(filepath.Dir(was), fmt.Sprint("data", n.counts["replace one"]))
	if err := os.RemoveAll(was); err != nil { // its disk may be small
		n.t.Fatal(err)
	}
	mustRun(n.t, "cluster", "join", "--dir", p.dir, "--invitation", l.invitation)
	p.serve()
	n.tell(p)
	n.c.awaitVote(p)
}

// awaitVote waits until a node has the data and a vote.
func (c *cluster) awaitVote(p *peer) {
	c.t.Helper()
	c.await(fmt.Sprint("the vote of node ", p.id), func() bool {
		st, err := c.leader().status()
		for _, m := range st.Members {
			if m.Node == uint64(p.id) {
				return err == nil && m.Voter
			}
		}
		return false
	})
}

// restartInTurn restarts one node after the other, as an operator does for an upgrade.
func (n *nemesis) restartInTurn() {
	for _, p := range n.c.nodes {
		if err := p.Stop(); err != nil {
			n.t.Errorf("node %d does not end in good order: %v\n%s", p.id, err, p.Log())
		}
		p.Server = p.Restart(n.t)
		n.c.await(fmt.Sprintf("node %d, started anew, has everything", p.id), func() bool {
			st, err := n.c.leader().status()
			for _, m := range st.Members {
				if err == nil && m.Node == uint64(p.id) {
					return m.Alive && m.Match+1000 > st.Commit
				}
			}
			return false
		})
	}
}

func (n *nemesis) transfer(lead, to *peer) error {
	_, err := elastickv(n.t, "cluster", "transfer", "--dir", lead.dir, "--node", fmt.Sprint(to.id))
	return err
}

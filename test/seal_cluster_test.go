package test

import (
	"context"
	"fmt"
	"testing"

	"github.com/elastickv/elastickv/encryption/keys"
	"github.com/elastickv/elastickv/internal/admin"
	"github.com/elastickv/elastickv/internal/testkit"
)

func putHidden(t testing.TB, addr string, values []string, from, to int) {
	t.Helper()
	c := testkit.Dial(t, addr, 2)
	for i := from; i < to; i++ {
		c.MustDo(t, "SET", fmt.Sprintf("hidden:%d", i), values[i])
	}
}

// wantEverywhere reads the values at every node.
func (c *cluster) wantEverywhere(values []string) {
	c.t.Helper()
	for _, p := range c.nodes {
		conn := testkit.Dial(c.t, p.Addr, 2)
		for i, want := range values {
			if v := conn.MustDo(c.t, "GET", fmt.Sprintf("hidden:%d", i)); v.Str != want {
				c.t.Fatalf("node %d: value %d is %q", p.id, i, v.Str)
			}
		}
	}
}

// again kills all nodes at once and starts them.
func (c *cluster) again() {
	for _, p := range c.nodes {
		p.Kill()
	}
	for _, p := range c.nodes {
		p.Server = p.Restart(c.t)
	}
	c.leader()
}

// TestSealedCluster makes a sealed server the first node, others join it with keys of their own, all are killed, and keys are
// changed: no file of any node ever shows a value.
func TestSealedCluster(t *testing.T) {
	values := hidden(60)
	var secrets []string
	var first *peer
	c := startCluster(t, 3, func(p *peer) {
		kek, text := newKEK(t)
		secrets = append(secrets, text)
		seal := []string{"--encryption", kek}
		p.tls, p.init = append(p.tls, seal...), seal
		switch p.id {
		case 1:
			first = p
			s := testkit.Elastickv(t, p.dir, seal...)
			putHidden(t, s.Addr, values, 0, 20)
			if err := s.Stop(); err != nil {
				t.Fatal(err)
			}
		case 2: // and gets them all as an image
			putHidden(t, first.Addr, values, 20, 40)
		}
	})
	putHidden(t, c.leader().Addr, values, 40, 60)
	c.wantEverywhere(values)
	for round := range 2 {
		for _, p := range c.nodes {
			if st := waitKeys(t, p.dir, allSealed); st.Stage != keys.StageSealed {
				t.Errorf("node %d: got %+v", p.id, st)
			}
		}
		c.again()
		c.wantEverywhere(values)
		if round > 0 {
			break
		}
		for _, p := range c.nodes {
			id, err := admin.NewClient(p.dir).Rotate(context.Background())
			if err != nil {
				t.Fatalf("node %d: %v", p.id, err)
			}
			st := waitKeys(t, p.dir, func(st admin.KeysStatus) bool { return st.Rewritten == id.Active })
			for _, k := range st.Keys {
				if k.State == "retirable" {
					mustRun(t, "keys", "retire", "--dir", p.dir, fmt.Sprint(k.ID))
				}
			}
		}
		putHidden(t, c.leader().Addr, values, 10, 30)
	}
	for _, p := range c.nodes {
		p.Kill()
		wantHidden(t, p.dir, append(secrets, values...))
	}
}

// TestEnableInCluster has the nodes of a cluster begin to seal, one after the other, while they serve.
func TestEnableInCluster(t *testing.T) {
	values := hidden(60)
	c := startCluster(t, 3)
	putHidden(t, c.leader().Addr, values, 0, 50)
	var secrets []string
	for _, p := range c.nodes {
		kek, text := newKEK(t)
		secrets = append(secrets, text)
		mustRun(t, "keys", "enable", "--dir", p.dir, "--kek", kek)
		p.tls = append(p.tls, "--encryption", kek)
	}
	putHidden(t, c.leader().Addr, values, 50, 60)
	for _, p := range c.nodes {
		if st := waitKeys(t, p.dir, allSealed); st.Stage != keys.StageSealed {
			t.Errorf("node %d: got %+v", p.id, st)
		}
	}
	for range 2 { // the first start uses up the log files that the engines keep
		for _, p := range c.nodes {
			p.Kill()
		}
		for _, p := range c.nodes {
			p.Server = testkit.Elastickv(t, p.dir, append(p.tls, "--cluster-listen", p.at)...)
		}
		c.leader()
		c.wantEverywhere(values)
	}
	for _, p := range c.nodes {
		p.Kill()
		wantHidden(t, p.dir, append(secrets, values...))
	}
}

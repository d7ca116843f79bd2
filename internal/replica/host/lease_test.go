package host

import (
	"context"
	"errors"
	"testing"
)

// A leader that hears of the others answers reads at once, also one that waits for nothing; who follows never does, and a leader
// that is cut off only until another may lead.
func TestLease(t *testing.T) {
	c := newCluster(t, 3)
	c.write("k", "before")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	at := func(n *node) error {
		// Without a lease the worker is asked, which nobody waits for here.
		if int64(n.host.now()) >= n.group.lease.Load() {
			return context.Canceled
		}
		return n.group.Barrier(ended)
	}
	var old, lead *node
	c.await("a lease", func() bool { old = c.leader(); return at(old) == nil })
	others := c.others(old)
	for _, n := range others {
		if err := at(n); !errors.Is(err, context.Canceled) {
			t.Errorf("node %d follows, and answers a read by itself: %v", n.id, err)
		}
	}
	c.net.isolate(old, others)
	c.await("a write without it", func() bool { lead = c.leader(others...); return lead.put("k", "after") == nil })
	if err := at(old); !errors.Is(err, context.Canceled) {
		t.Errorf("another leads, and the old leader answers a read: %v", err)
	}
	c.net.heal()
	c.await("a lease of the new leader", func() bool { lead = c.leader(); return at(lead) == nil })

	// Who hands the lead over has none from then on, whether the other takes it or not.
	to := c.others(lead)[0]
	must(t, lead.group.Transfer(deadline(t), to.replica))
	if err := at(lead); !errors.Is(err, context.Canceled) {
		t.Errorf("the lead was handed over, and the old leader answers a read: %v", err)
	}
	c.await("a lease of who got the lead", func() bool { return at(to) == nil })
	must(t, to.put("k", "last"))
	c.equal()
}

// Without leases a leader asks the others for every read.
func TestNoLease(t *testing.T) {
	c := newCluster(t, 3, func(o *Options) { o.NoLease = true })
	c.write("k", "v")
	lead := c.leader()
	for range 20 {
		must(t, lead.group.Barrier(deadline(t)))
		if at := lead.group.lease.Load(); at != 0 {
			t.Fatalf("there is a lease, until %d", at)
		}
	}
	c.net.isolate(lead, c.others(lead))
	short, cancel := context.WithTimeoutCause(t.Context(), lead.host.o.Tick, context.Canceled)
	defer cancel()
	if err := lead.group.Barrier(short); err == nil {
		t.Error("it reads without a majority")
	}
	c.net.heal()
	c.equal()
}

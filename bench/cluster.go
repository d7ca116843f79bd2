package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/elastickv/elastickv/internal/resp"
)

// clusterCommand compares three nodes with one, and with an etcd of three members, all on this machine.
type clusterCommand struct {
	pace
	keys, size, kills int
	etcd              string
}

func newClusterCommand(fs *flag.FlagSet) measurement {
	o := &clusterCommand{}
	fs.IntVar(&o.keys, "r", 10_000, "different keys")
	fs.IntVar(&o.size, "d", 100, "bytes of a value")
	fs.IntVar(&o.kills, "kills", 5, "how often the leader is killed")
	fs.StringVar(&o.etcd, "etcd", etcdServer, "program of etcd; where there is none, ours is measured alone")
	o.name(fs, 5, 2)
	return o
}

func (o *clusterCommand) fault() error {
	if min(o.keys, o.size, o.kills) < 1 || o.size > len(valuePool)/4 {
		return errors.New("want -r and -kills above 0, and -d above 0 and not above 1 MiB")
	}
	return o.pace.fault()
}

// The contestants of this command.
const (
	oneNode    = "one node"
	threeNodes = "three nodes"
	etcdServer = "etcd"
)

// What is to be reached.
const (
	threeGoal    = .4 // of one node
	etcdGoal     = 1. // times etcd
	failoverGoal = 3 * time.Second
)

// member is a server of a cluster, which keeps its port and its folder when it is started again.
type member struct {
	contestant
	port, data string
	*server    // nil while it does not run
}

func (m *member) launch(ctx context.Context) (err error) {
	m.server, err = m.contestant.launch(ctx, m.port, m.data)
	return err
}

// trio is three members that are one system.
type trio struct {
	name    string
	members []*member
	leads   func(*member) bool // as far as it knows
	// put writes a value by way of a member, which may refuse it or not answer within a moment.
	put func(ctx context.Context, m *member) error
}

func (t *trio) kill() {
	for _, m := range t.members {
		if m.server != nil {
			m.server.kill()
		}
	}
}

// poll is how often it is looked whether something has come about.
const poll = 5 * time.Millisecond

// until waits until something holds, for startWait at most.
func until(ctx context.Context, what string, holds func() bool) error {
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for deadline := time.Now().Add(startWait); !holds(); {
		if time.Now().After(deadline) {
			return fmt.Errorf("%s: not within %v", what, startWait)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}

// leader waits until one of the members leads.
func (t *trio) leader(ctx context.Context) (leader *member, err error) {
	err = until(ctx, t.name+": a leader", func() bool {
		for _, m := range t.members {
			if m.server != nil && t.leads(m) {
				leader = m
			}
		}
		return leader != nil
	})
	return leader, err
}

// entry is the leader as what clients connect to: what all members use counts.
func (t *trio) entry(ctx context.Context) (*server, error) {
	leader, err := t.leader(ctx)
	if err != nil {
		return nil, err
	}
	s := leader.server
	s.name, s.others = t.name, nil
	for _, m := range t.members {
		if m != leader {
			s.others = append(s.others, m.server)
		}
	}
	return s, nil
}

// failover kills the leader, and returns how long it takes until a write is acknowledged. Then it has that member come back.
func (t *trio) failover(ctx context.Context) (time.Duration, error) {
	leader, err := t.leader(ctx)
	if err != nil {
		return 0, err
	}
	if err := t.put(ctx, leader); err != nil {
		return 0, fmt.Errorf("%s: a write before the leader is killed: %w", t.name, err)
	}
	leader.server.kill()
	leader.server = nil
	began := time.Now()
	err = until(ctx, t.name+": a write without the leader", func() bool {
		for _, m := range t.members {
			if m != leader && t.put(ctx, m) == nil {
				return true
			}
		}
		return false
	})
	took := time.Since(began)
	if err != nil {
		return 0, err
	}
	if err := leader.launch(ctx); err != nil {
		return 0, err
	}
	return took, leader.wait(ctx)
}

// attempt is how long one write may take that is tried again.
const attempt = 200 * time.Millisecond

// startOurs starts three nodes, one after the other, as an operator does.
func (o *clusterCommand) startOurs(ctx context.Context, l *lab) (*trio, error) {
	t := &trio{name: threeNodes, leads: func(m *member) bool { return leadsOurs(m.port) }, put: putOurs}
	for id := 1; id <= 3; id++ {
		if err := o.addOurs(ctx, l, t, id); err != nil {
			t.kill()
			return nil, err
		}
	}
	return t, nil
}

func (o *clusterCommand) addOurs(ctx context.Context, l *lab, t *trio, id int) error {
	port, err := freePort()
	if err != nil {
		return err
	}
	peer, err := freePort()
	if err != nil {
		return err
	}
	addr := "127.0.0.1:" + peer
	m := &member{contestant: l.ours.with("--cluster-listen", addr, "--cluster-insecure", "yes"), port: port, data: filepath.Join(l.dir, fmt.Sprint("node-", id))}
	m.contestant.name, m.contestant.ready = fmt.Sprint("node ", id), hasData
	admin := func(args ...string) (string, error) {
		out, err := exec.CommandContext(ctx, l.ours.program, append([]string{"cluster"}, args...)...).CombinedOutput()
		if err != nil {
			err = fmt.Errorf("elastickv cluster %s: %w\n%s", args[0], err, out)
		}
		return string(out), err
	}
	if id == 1 {
		_, err = admin("init", "--dir", m.data, "--node", "1", "--addr", addr)
	} else {
		var word string
		if word, err = admin("invite", "--dir", t.members[0].data, "--node", fmt.Sprint(id), "--addr", addr); err == nil {
			_, err = admin("join", "--dir", m.data, "--invitation", firstLine(word))
		}
	}
	if err == nil {
		err = m.launch(ctx)
	}
	if err != nil {
		return err
	}
	t.members = append(t.members, m)
	if err := m.wait(ctx); err != nil {
		return err
	}
	return until(ctx, m.contestant.name+": a vote", func() bool {
		text, err := admin("status", "--dir", t.members[0].data, "--json")
		return err == nil && votersIn(text) == id
	})
}

// do carries out one command at a port within a moment.
func do(port string, args ...string) (v resp.Value, err error) {
	c, err := (&server{port: port}).dial()
	if err != nil {
		return v, err
	}
	defer c.close()
	if err := c.allow(attempt); err != nil {
		return v, err
	}
	return c.do(args...)
}

// putOurs writes by way of a node. One that does not lead refuses it.
func putOurs(_ context.Context, m *member) error {
	_, err := do(m.port, "SET", "probe", "v")
	return err
}

// hasData reports whether a node has everything that was acknowledged before it was asked: it reads with the leader's leave.
func hasData(port string) bool {
	_, err := do(port, "GET", "probe")
	return err == nil
}

func (o *clusterCommand) run(ctx context.Context, l *lab) error {
	if l.short {
		o.shorten()
		o.kills = 1
	}
	fmt.Fprintf(l.report, "etcd: %s\n", firstLine(versionOf(ctx, o.etcd)))
	one, err := l.ours.start(ctx, filepath.Join(l.dir, "one"))
	if err != nil {
		return err
	}
	defer one.kill()
	one.name = oneNode
	three, err := o.startOurs(ctx, l)
	if err != nil {
		return err
	}
	defer three.kill()
	trios := []*trio{three}
	var asEtcd *etcdLoad
	if _, err := exec.LookPath(o.etcd); err != nil {
		fmt.Fprintf(l.report, "There is no %q on the PATH (Debian: apt-get install etcd-server): etcd is not measured.\n", o.etcd)
	} else {
		members, err := o.startEtcd(ctx, l)
		if err != nil {
			return err
		}
		defer members.kill()
		trios = append(trios, members)
		if asEtcd, err = newEtcdLoad(ctx, l, o); err != nil {
			return err
		}
	}
	r := newResults("cluster", oneNode, threeNodes)
	if err := o.loads(ctx, l, r, one, trios, asEtcd); err != nil {
		return err
	}
	took := map[string][]float64{}
	for round := range o.kills {
		for _, t := range trios {
			fmt.Fprintf(l.progress, "the leader of %s is killed\n", t.name)
			d, err := t.failover(ctx)
			if err != nil {
				return fmt.Errorf("kill %d: %w", round+1, err)
			}
			took[t.name] = append(took[t.name], d.Seconds())
		}
	}
	o.print(l, r, took)
	return nil
}

// loads has all systems do the same by turns.
func (o *clusterCommand) loads(ctx context.Context, l *lab, r *results, one *server, trios []*trio, asEtcd *etcdLoad) error {
	servers := []*server{one}
	for _, t := range trios {
		s, err := t.entry(ctx)
		if err != nil {
			return err
		}
		servers = append(servers, s)
	}
	for _, s := range servers {
		fmt.Fprintf(l.progress, "fill %s\n", s.name)
		var err error
		if s.name == etcdServer {
			err = asEtcd.fill(ctx, s)
		} else {
			err = s.fill(ctx, o.keys, func(w *worker, i int) { w.add("SET", dataKey(i), value(i, o.size)) })
		}
		if err != nil {
			return err
		}
	}
	repeats := scaleCommand{keys: o.keys, size: o.size}
	for _, depth := range depths {
		for _, command := range []string{"SET", "GET"} {
			test := atDepth(command, depth)
			fmt.Fprintln(l.progress, test)
			err := r.turns(ctx, o.rounds, test, servers, func(s *server, round int) (sample, error) {
				seed := l.seed + uint64(round)
				if s.name == etcdServer {
					return asEtcd.take(ctx, s, command, depth, seed)
				}
				return s.take(ctx, load{clients: o.clients, seed: seed, batch: depth, op: repeats.repeat(command, depth)}, o.turn())
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

const clusterLegend = `
%d clients on the same machine, each with one request on its way; values of %d bytes, %d keys; medians of %d rounds by turns. All systems sync before
they acknowledge, and their reads are linearizable. Clients of three nodes and of etcd are connected to the leader. A pipeline of 16 is 16 commands sent
at once to ours, and one transaction of 16 to etcd, whose requests are counted as 16. CPU is that of all processes of a system, without the clients, for a million requests.
`

func (o *clusterCommand) print(l *lab, r *results, took map[string][]float64) {
	fmt.Fprintf(l.report, clusterLegend, o.clients, o.size, o.keys, o.rounds)
	tw := tabwriter.NewWriter(l.report, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "requests/s\tof one node\tof etcd\tp50 ms\tp99 ms\tcpu s/M\t  \t")
	goals := []goal{}
	for _, test := range r.tests {
		for _, name := range []string{oneNode, threeNodes, etcdServer} {
			if r.samples[test][name] == nil {
				continue
			}
			r.ours = name
			one := func(f figure) float64 { return r.of(test, name, f) }
			fmt.Fprintf(tw, "%.0f\t%.2f\t%s\t%.3f\t%.3f\t%.1f\t  %s, %s\t\n", one(rps), r.against(oneNode, test), r.beside(etcdServer, test), one(p50), one(p99), one(cpu), test, name)
		}
		r.ours = threeNodes
		goals = append(goals, goal{what: test + ", three nodes, times one node", got: r.against(oneNode, test), target: threeGoal})
		if r.samples[test][etcdServer] != nil {
			goals = append(goals, goal{what: test + ", three nodes, times etcd", got: r.against(etcdServer, test), target: etcdGoal})
		}
	}
	tw.Flush()
	fmt.Fprintln(l.report)
	for _, name := range []string{threeNodes, etcdServer} {
		if len(took[name]) > 0 {
			fmt.Fprintf(l.report, "seconds without an acknowledged write after kill -9 of the leader, %s: %.2f\n", name, took[name])
		}
	}
	goals = append(goals, goal{what: "seconds without an acknowledged write, median", got: median(took[threeNodes]), target: failoverGoal.Seconds(), most: true})
	printGoals(l.report, goals)
}

// against is how many times the requests of base ours makes.
func (r *results) against(base, test string) float64 {
	before := r.base
	defer func() { r.base = before }()
	r.base = base
	return r.ratio(test, rps)
}

// beside is against, or a dash where there is nothing to compare with.
func (r *results) beside(base, test string) string {
	if r.samples[test][base] == nil {
		return "-"
	}
	return fmt.Sprintf("%.2f", r.against(base, test))
}

// emptyFolder makes a folder of the lab.
func (l *lab) emptyFolder(name string) (string, error) {
	dir := filepath.Join(l.dir, name)
	return dir, os.MkdirAll(dir, 0o700)
}

// firstLine is text up to its first line break.
func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

// leadsOurs reports whether the node at a port leads.
func leadsOurs(port string) bool {
	v, err := do(port, "INFO", "replication")
	return err == nil && strings.Contains(v.Str, "\r\nrole:master\r\n")
}

// votersIn counts the nodes with a vote in what elastickv cluster status --json prints.
func votersIn(text string) int {
	var st struct {
		Members []struct {
			Voter bool `json:"voter"`
		} `json:"members"`
	}
	if json.Unmarshal([]byte(text), &st) != nil {
		return 0
	}
	n := 0
	for _, m := range st.Members {
		if m.Voter {
			n++
		}
	}
	return n
}

package replica

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/cryptotest"

	"github.com/cockroachdb/datadriven"
	pb "go.etcd.io/raft/v3/raftpb"

	"github.com/elastickv/elastickv/internal/replica/raftlog"
)

// A script is a simulation in which nothing is left to chance: it says what happens, and what comes of it. The commands are
// in testdata/scripts/README.md.
func TestScripts(t *testing.T) {
	paths, err := filepath.Glob("testdata/scripts/*.txt")
	must(t, err)
	if len(paths) == 0 {
		t.Fatal("there are no scripts")
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			cryptotest.SetGlobalRandom(t, 1)
			p := newPlay(t)
			defer p.end()
			datadriven.RunTest(t, path, p.run)
		})
	}
}

// play is a script that is being played.
type play struct {
	*sim
	slow map[uint64]bool // nothing comes to the disks of these
	mute map[pb.MessageType]bool
	told []string // what came of the command so far
	was  map[uint64]string
	saw  struct{ acks, reads int }
}

func newPlay(t *testing.T) *play {
	p := &play{sim: newSim(t, 0, simRules{}), slow: map[uint64]bool{}, mute: map[pb.MessageType]bool{}, was: map[uint64]string{}}
	p.scripted = true
	for _, n := range p.nodes {
		n.speed = 1
		n.r.muteTicks = 0 // as if they had been up for long
	}
	p.look()
	p.told = nil
	return p
}

func (p *play) end() {
	for _, n := range p.nodes {
		_ = n.log.Close()
	}
}

// playMost bounds what one command may set off.
const playMost = 10_000

func (p *play) run(t *testing.T, d *datadriven.TestData) string {
	p.told, p.saw.acks, p.saw.reads = nil, p.acks, p.counts["read"]
	if err := p.command(d); err != nil {
		d.Fatalf(t, "%v", err)
	}
	for _, n := range p.nodes {
		if n.up {
			p.answerReads(n)
		}
	}
	p.look()
	if n := p.acks - p.saw.acks; n > 0 {
		p.tell("%d acknowledged, up to entry %d", n, p.acked)
	}
	if n := p.counts["read"] - p.saw.reads; n > 0 {
		p.tell("%d read, up to entry %d", n, p.shown)
	}
	if p.failed != nil {
		t.Errorf("%s: %v", d.Pos, p.failed)
	}
	if len(p.told) == 0 {
		return "nothing\n"
	}
	return strings.Join(p.told, "\n") + "\n"
}

func (p *play) tell(format string, args ...any) {
	p.told = append(p.told, fmt.Sprintf(format, args...))
}

// look tells who has another role than before.
func (p *play) look() {
	for _, n := range p.nodes {
		is := "is down"
		if n.up {
			switch r := n.r.Role(); {
			case r.Leading:
				is = fmt.Sprintf("leads in term %d", r.Term)
			case r.Leader == 0:
				is = fmt.Sprintf("knows no leader in term %d", r.Term)
			default:
				is = fmt.Sprintf("follows %d in term %d", r.Leader, r.Term)
			}
		}
		if p.was[n.id] != is {
			p.was[n.id] = is
			p.tell("%d %s", n.id, is)
		}
	}
}

func (p *play) command(d *datadriven.TestData) error {
	node := func(arg string) *simNode {
		var id uint64
		d.ScanArgs(p.t.(*testing.T), arg, &id)
		return p.node(id)
	}
	number := func(arg string, usual int) (n int) {
		n = usual
		d.MaybeScanArgs(p.t.(*testing.T), arg, &n)
		return n
	}
	switch d.Cmd {
	case "campaign":
		n := node("node")
		n.r.Campaign()
		p.settle(n)
	case "tick":
		for range number("times", 1) {
			p.pass(simTick)
			p.work()
		}
	case "propose":
		n := node("node")
		for range number("times", 1) {
			before := n.r.Last()
			if p.propose(n); n.r.Last() == before {
				p.tell("%d does not propose", n.id)
			}
		}
	case "read":
		p.read(node("node"))
	case "work":
	case "cut", "heal":
		p.connect(d)
	case "slow":
		p.slow[node("disk").id] = true
	case "fast":
		delete(p.slow, node("disk").id)
	case "lose", "double", "reverse", "hold", "release":
		return p.disturb(d)
	case "crash":
		p.crash(node("node"))
	case "start":
		p.start(node("node"))
	case "sync":
		node("data").sync(p.t)
	case "truncate":
		n := node("node")
		p.truncate(n, uint64(number("keep", 0)))
	case "transfer":
		n := node("node")
		n.r.Transfer(node("to").id)
		p.settle(n)
	case "join", "promote", "remove":
		return p.members(d, node)
	case "state":
		p.look()
		for _, n := range p.nodes {
			if n.up {
				m := n.machine.Members().Conf
				first, err := n.group.FirstIndex()
				if err != nil {
					return err
				}
				p.tell("%d: log %d to %d, committed %d, applied %d, voters %v, learners %v", n.id, first, n.r.Last(), n.r.Commit(), n.machine.Applied(), m.GetVoters(), m.GetLearners())
			}
		}
		return nil
	default:
		return fmt.Errorf("unknown command %q", d.Cmd)
	}
	if !slices.ContainsFunc(d.CmdArgs, func(a datadriven.CmdArg) bool { return a.Key == "no-work" }) {
		p.work()
	}
	return nil
}

// work lets everything happen that can, in order, but for ticks.
func (p *play) work() {
	for range playMost {
		p.look()
		if !p.workOnce() {
			return
		}
	}
	p.fail("there is no end of it")
}

func (p *play) workOnce() bool {
	for _, n := range p.nodes {
		if n.up && len(n.appends) > 0 && !p.slow[n.id] {
			p.append(n)
			return true
		}
		if n.up && len(n.applies) > 0 {
			p.apply(n)
			return true
		}
	}
	i := slices.IndexFunc(p.net, func(m simMessage) bool { return !p.mute[m.m.GetType()] })
	if i < 0 {
		return false
	}
	p.deliver(i, false)
	return true
}

// connect takes lines away, or puts all back.
func (p *play) connect(d *datadriven.TestData) {
	if d.Cmd == "heal" {
		clear(p.cut)
		return
	}
	var one uint64
	d.ScanArgs(p.t.(*testing.T), "node", &one)
	for _, n := range p.nodes {
		p.cut[[2]uint64{one, n.id}], p.cut[[2]uint64{n.id, one}] = true, true
	}
	if d.HasArg("hears") { // only what it says is lost
		for _, n := range p.nodes {
			delete(p.cut, [2]uint64{n.id, one})
		}
	}
}

// disturb does something to the messages of a type that are on their way.
func (p *play) disturb(d *datadriven.TestData) error {
	var name string
	d.ScanArgs(p.t.(*testing.T), "type", &name)
	kind, ok := pb.MessageType_value[name]
	if !ok {
		return fmt.Errorf("no type of message is called %q", name)
	}
	is := func(m simMessage) bool { return m.m.GetType() == pb.MessageType(kind) }
	count := 0
	for _, m := range p.net {
		if is(m) {
			count++
		}
	}
	switch d.Cmd {
	case "hold":
		p.mute[pb.MessageType(kind)] = true
		return nil
	case "release":
		delete(p.mute, pb.MessageType(kind))
		return nil
	case "lose":
		p.net = slices.DeleteFunc(p.net, is)
	case "double":
		for _, m := range slices.Clone(p.net) {
			if is(m) {
				p.net = append(p.net, m)
			}
		}
	case "reverse":
		slices.Reverse(p.net)
	}
	p.tell("%d on their way", count)
	return nil
}

// members proposes another set of members.
func (p *play) members(d *datadriven.TestData, node func(string) *simNode) error {
	n := node("at")
	change := &pb.ConfChangeSingle{}
	switch d.Cmd {
	case "join":
		fresh := p.newNode()
		fresh.speed = 1
		must(p.t, fresh.log.Create(simGroup, raftlog.Mark{}, hard(0, 0, 0)))
		p.start(fresh)
		change.Type, change.NodeId = pb.ConfChangeAddLearnerNode.Enum(), new(fresh.id)
	case "promote":
		change.Type, change.NodeId = pb.ConfChangeAddNode.Enum(), new(node("node").id)
	case "remove":
		change.Type, change.NodeId = pb.ConfChangeRemoveNode.Enum(), new(node("node").id)
	}
	cc := &pb.ConfChangeV2{Changes: []*pb.ConfChangeSingle{change}}
	if d.HasArg("instead") { // both at once, through a joint set
		cc.Changes = append(cc.Changes, &pb.ConfChangeSingle{Type: pb.ConfChangeRemoveNode.Enum(), NodeId: new(node("instead").id)})
	}
	if _, err := n.r.ChangeMembers(cc); err != nil {
		p.tell("%v", err)
	}
	p.settle(n)
	p.work()
	return nil
}

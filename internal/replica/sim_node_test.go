package replica

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"

	"github.com/elastickv/elastickv/internal/replica/raftlog"
	"github.com/elastickv/elastickv/internal/testkit/crashable"
	"github.com/elastickv/elastickv/store"
)

type simNode struct {
	id      uint64
	fs      *vfs.MemFS
	log     *raftlog.Log
	group   *raftlog.Group
	engine  *simEngine
	machine *Machine
	r       *Replica
	appends []*pb.Message
	applies []*pb.Message
	images  map[uint64][]byte // snapshots that have arrived, by index
	disk    []byte            // the data that is on the disk
	up      bool
	forgets bool // its disk has lost what was synced
	gone    bool // it has learnt that it lost something, and does not start any more

	speed  float64       // of its clock
	ticked time.Duration // when it ticked last, by that
	stops  time.Duration // it does nothing before this moment

	// As a leader:
	role     Role
	lease    time.Duration // as it was when something happened last
	from     uint64        // the entry that its term begins with
	counter  uint64        // the newest that was evaluated
	ts       uint64
	mine     uint64 // the newest timestamp that it has made
	next     Place
	proposed map[uint64]uint64 // index to term, of those that wait for an answer
	waiting  map[string]uint64 // reads to what was acknowledged when they began
	ready    map[string]uint64 // reads to the index that they wait for
}

// simEngine is the data in memory. It can crash in the middle of a restore.
type simEngine struct {
	store.Engine
	crash func(when string)
}

func (e *simEngine) Restore(r io.Reader) error {
	e.crash("before")
	err := e.Engine.Restore(r)
	e.crash("after")
	return err
}

// simCrash is what a crash in the middle of something panics with.
type simCrash struct{}

// newNode returns a machine with an empty disk.
func (s *sim) newNode() *simNode {
	s.nextID++
	n := &simNode{id: s.nextID, fs: vfs.NewCrashableMem(), images: map[uint64][]byte{},
		speed: 0.85 + 0.35*s.rng.Float64()}
	s.nodes = append(s.nodes, n)
	s.openLog(n)
	s.openData(n)
	return n
}

func (s *sim) openLog(n *simNode) {
	var err error
	n.log, err = raftlog.Open("log", raftlog.Options{FS: crashable.FS{MemFS: n.fs}, Logger: slog.New(slog.DiscardHandler), TailBytes: 500})
	must(s.t, err)
}

func (s *sim) openData(n *simNode) {
	n.engine = &simEngine{Engine: store.NewMVCCStore().(store.Engine), crash: func(string) {}}
	if n.disk != nil {
		must(s.t, n.engine.Engine.Restore(bytes.NewReader(n.disk)))
	}
	var err error
	n.machine, err = OpenMachine(n.engine)
	must(s.t, err)
}

func (n *simNode) image(t testing.TB) []byte {
	image, err := n.machine.Snapshot()
	must(t, err)
	var b bytes.Buffer
	_, err = image.WriteTo(&b)
	must(t, errors.Join(err, image.Close()))
	return b.Bytes()
}

// sync puts the data on the disk.
func (n *simNode) sync(t testing.TB) { n.disk = n.image(t) }

// start brings a node up as it finds itself.
func (s *sim) start(n *simNode) {
	var err error
	if n.group, err = n.log.Open(simGroup, n.machine.Applied()); err != nil {
		s.fail("node %d does not start: %w", n.id, err)
		return
	}
	c := Config{ID: n.id, Log: n.group, Machine: n.machine, Logger: quiet{}, Now: func() time.Duration { return s.clock(n) }, Tick: simTick}
	from := raft.Storage(storage{n.group, n.machine})
	if s.rules.noRaise {
		from = lowCommit{from}
	}
	n.r, err = open(c, from)
	must(s.t, err)
	if s.rules.forgetLease {
		n.r.muteTicks = 0
	}
	if s.rules.longLease {
		n.r.lease.length = 2 * electionTicks * simTick
	}
	n.ticked, n.stops = s.clock(n), 0
	n.up, n.role = true, Role{}
	n.appends, n.applies, n.images = nil, nil, map[uint64][]byte{}
	n.proposed, n.waiting, n.ready = map[uint64]uint64{}, map[string]uint64{}, map[string]uint64{}
	s.settle(n)
}

// lowCommit is a log that does not know what was committed.
type lowCommit struct{ raft.Storage }

// InitialState implements raft.Storage.
func (l lowCommit) InitialState() (*pb.HardState, *pb.ConfState, error) {
	h, conf, err := l.Storage.InitialState()
	first, _ := l.FirstIndex()
	return hard(h.GetTerm(), h.GetVote(), first-1), conf, err
}

// crash takes a node down. The disk keeps what was synced, and sometimes what was not.
func (s *sim) crash(n *simNode) {
	s.counts["crash"]++
	n.up = false
	if s.chance(3) == 0 && !s.rules.noSync {
		must(s.t, n.log.Write(nil)) // what was not synced got there all the same
	}
	old := n.log
	n.fs = n.fs.CrashClone(vfs.CrashCloneCfg{})
	_ = old.Close()
	// The data may have more than was synced, but never more than the log has on the disk.
	if s.chance(2) == 0 && !s.rules.noBarrier {
		n.sync(s.t)
	}
	s.openLog(n)
	s.openData(n)
}

// count returns the counter that is applied.
func (n *simNode) count(t testing.TB) uint64 {
	v, ok, err := n.engine.VersionAt(t.Context(), simCounter, n.engine.LastCommitTS())
	must(t, err)
	if !ok {
		return 0
	}
	return binary.BigEndian.Uint64(v.Value)
}

// quiet is a logger of raft that says nothing, and panics where raft finds itself broken.
type quiet struct{}

func (quiet) Debug(...any)              {}
func (quiet) Debugf(string, ...any)     {}
func (quiet) Error(...any)              {}
func (quiet) Errorf(string, ...any)     {}
func (quiet) Info(...any)               {}
func (quiet) Infof(string, ...any)      {}
func (quiet) Warning(...any)            {}
func (quiet) Warningf(string, ...any)   {}
func (quiet) Fatal(v ...any)            { panic(fmt.Sprint(v...)) }
func (quiet) Fatalf(f string, v ...any) { panic(fmt.Sprintf(f, v...)) }
func (quiet) Panic(v ...any)            { panic(fmt.Sprint(v...)) }
func (quiet) Panicf(f string, v ...any) { panic(fmt.Sprintf(f, v...)) }

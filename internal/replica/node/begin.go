package node

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	pb "go.etcd.io/raft/v3/raftpb"

	"github.com/elastickv/elastickv/internal/replica"
	"github.com/elastickv/elastickv/internal/replica/raftlog"
	"github.com/elastickv/elastickv/internal/replica/transport"
	"github.com/elastickv/elastickv/store"
)

// group is the one that a cluster has.
const group raftlog.GroupID = 1 // part of the format

// A new group begins as if this many entries, of this term, had come before: whatever is in its log later is newer
// than what is in the data now.
const (
	firstEntries = 10
	firstTerm    = 5
)

// Founder is the first node of a new cluster.
type Founder struct {
	Cluster transport.ClusterID // new
	Node    transport.NodeID
	Addr    string
	// Again is for a folder of a cluster that has lost its majority: what is in the data becomes what the new cluster
	// begins with, and the old one has to be given up.
	Again bool
}

// Check refuses what can be the first node of no cluster.
func (f Founder) Check() error {
	if f.Node == 0 {
		return errNobody
	}
	return CheckAddr(f.Addr)
}

// Init makes a data folder, whose engine it is given, the first of a new cluster. If it is interrupted, it can be
// done again.
func Init(dir string, e store.Engine, f Founder) error {
	if err := f.Check(); err != nil {
		return err
	}
	if _, err := Load(dir); !errors.Is(err, ErrNoCluster) && !f.Again {
		return errors.Join(err, ErrInCluster)
	}
	m, err := replica.OpenMachine(e)
	if err != nil {
		return err
	}
	id := &Identity{Cluster: f.Cluster, Node: f.Node, Replica: 1}
	index := m.Applied() + firstEntries
	if err := m.Create(map[uint64]replica.Node{id.Replica: {ID: uint64(f.Node), Addr: f.Addr}}, index); err != nil {
		return err
	}
	if _, err := m.Sync(); err != nil {
		return err
	}
	return begin(dir, id, raftlog.Mark{Index: index, Term: firstTerm})
}

// Join makes an empty data folder that of a node that was invited. The data comes when it runs.
func Join(dir string, i Invitation) error {
	if _, err := Load(dir); !errors.Is(err, ErrNoCluster) {
		return errors.Join(err, ErrInCluster)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return begin(dir, (*Identity)(&i), raftlog.Mark{})
}

// begin makes a new log, and then the identity: without that, nothing has been promised yet.
func begin(dir string, id *Identity, at raftlog.Mark) (err error) {
	folder := filepath.Join(dir, LogFolder)
	if err := errors.Join(os.RemoveAll(folder), os.RemoveAll(filepath.Join(dir, StagingFolder))); err != nil {
		return err
	}
	log, err := raftlog.Open(folder, raftlog.Options{})
	if err != nil {
		return err
	}
	err = log.Create(group, at, &pb.HardState{Term: new(at.Term), Vote: new(uint64(0)), Commit: new(at.Index)})
	if err := errors.Join(err, log.Close()); err != nil {
		return fmt.Errorf("make the log: %w", err)
	}
	return id.save(dir)
}

package replica

import (
	"context"
	"fmt"
	"io"
	"sync"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/elastickv/elastickv/internal/replica/raftlog"
	"github.com/elastickv/elastickv/store"
)

// membersKey is the row of the data that says who is in the group: so it is applied, snapshotted and
// restored with everything else.
var membersKey = []byte("!raft|members") // part of the format; never change

// Machine is the data of a replica: what entries are applied to. One goroutine applies, restores and
// syncs; the rest may be called by any meanwhile.
type Machine struct {
	engine store.Engine

	mu struct {
		sync.Mutex
		members Members // as of applied
		applied uint64
	}
}

// OpenMachine returns the machine of a store.
func OpenMachine(e store.Engine) (*Machine, error) {
	m := &Machine{engine: e}
	return m, m.load()
}

// load reads from the store what the machine knows of it.
func (m *Machine) load() error {
	members := Members{Conf: &pb.ConfState{}}
	v, ok, err := m.engine.VersionAt(context.Background(), membersKey, m.engine.LastCommitTS())
	if err != nil {
		return fmt.Errorf("replica: read the members: %w", err)
	}
	if ok && !v.Tombstone {
		if members, err = parseMembers(v.Value); err != nil {
			return fmt.Errorf("replica: row %s: %w", membersKey, err)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.members, m.mu.applied = members, m.engine.LastAppliedIndex()
	return nil
}

// Create makes a store that of a new group, with its first members, as of index, durably once Sync has
// returned: voters, and where they are. What is in the store already becomes what all replicas begin with. If it
// was of a group before, index is higher than any that it has applied.
func (m *Machine) Create(voters map[uint64]Node, index uint64) error {
	if m.Applied() >= index {
		return fmt.Errorf("replica: the store has applied entries of a log up to %d already", m.Applied())
	}
	members := firstMembers(voters)
	c, err := membersCommit(members, m.engine.LastCommitTS())
	if err != nil {
		return err
	}
	return m.write([]store.Commit{c}, index, members)
}

// Applied returns the index of the last entry that is applied.
func (m *Machine) Applied() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mu.applied
}

// Members returns the members as of the last entry that is applied. They are not to be changed.
func (m *Machine) Members() Members {
	_, members := m.state()
	return members
}

func (m *Machine) state() (uint64, Members) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mu.applied, m.mu.members
}

// batchMost is how many bytes of entries are applied in one batch of the store.
const batchMost = 4 << 20

// Change is a change of members that has taken effect.
type Change struct {
	Index  uint64 // of its entry
	Change pb.ConfChangeI
}

// Apply applies committed entries, which follow one another, and returns the changes of members among
// them that took effect. What was applied before is left out. An error is final: the store refuses writes, or an
// entry is not what a leader of this release can have written.
func (m *Machine) Apply(entries []*pb.Entry) (changes []Change, err error) {
	applied, members := m.state()
	// The newest timestamp up to here, however the entries are cut into batches.
	newest := m.engine.LastCommitTS()
	var commits []store.Commit
	size, pending := 0, false
	flush := func() error {
		if !pending {
			return nil
		}
		err := m.write(commits, applied, members)
		commits, size, pending = nil, 0, false
		return err
	}
	for _, e := range entries {
		if e.GetIndex() <= applied {
			continue
		}
		if e.GetIndex() != applied+1 {
			panic(fmt.Sprintf("replica: entry %d is to be applied behind %d", e.GetIndex(), applied))
		}
		more, change, err := effects(e, members, newest)
		if err != nil {
			return nil, fmt.Errorf("replica: entry %d: %w", e.GetIndex(), err)
		}
		if change != nil {
			members = change.members
			changes = append(changes, Change{e.GetIndex(), change.change})
		}
		for _, c := range more {
			newest = max(newest, c.TS)
		}
		commits, applied, pending = append(commits, more...), e.GetIndex(), true
		if size += len(e.GetData()); size >= batchMost {
			if err := flush(); err != nil {
				return nil, err
			}
		}
	}
	return changes, flush()
}

// memberChange is a change of members that takes effect.
type memberChange struct {
	change  pb.ConfChangeI
	members Members // after it
}

// effects returns what an entry does where the members and the newest timestamp are these.
func effects(e *pb.Entry, members Members, newest uint64) ([]store.Commit, *memberChange, error) {
	var cc pb.ConfChangeI
	switch e.GetType() {
	case pb.EntryNormal:
		commits, err := ParseEntry(e.GetData())
		return commits, nil, err
	case pb.EntryConfChange:
		c := &pb.ConfChange{}
		cc = c
		if err := proto.Unmarshal(e.GetData(), c); err != nil {
			return nil, nil, err
		}
	case pb.EntryConfChangeV2:
		c := &pb.ConfChangeV2{}
		cc = c
		if err := proto.Unmarshal(e.GetData(), c); err != nil {
			return nil, nil, err
		}
	default:
		return nil, nil, fmt.Errorf("%w: type %v", errEntry, e.GetType())
	}
	after, err := members.change(cc, e.GetIndex())
	if err != nil {
		return nil, nil, nil // refused, by every replica alike: the entry does nothing
	}
	c, err := membersCommit(after, newest)
	return []store.Commit{c}, &memberChange{cc, after}, err
}

// membersCommit writes the members at the newest timestamp that there is: a higher one could be above
// that of the next entry.
func membersCommit(members Members, newest uint64) (store.Commit, error) {
	row, err := appendMembers(nil, members)
	if err != nil {
		return store.Commit{}, err
	}
	return store.Commit{TS: max(1, newest),
		Mutations: []*store.KVPairMutation{{Op: store.OpTypePut, Key: membersKey, Value: row}}}, nil
}

func (m *Machine) write(commits []store.Commit, applied uint64, members Members) error {
	if err := m.engine.ApplyCommitsRaftAt(context.Background(), commits, applied); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.applied, m.mu.members = applied, members
	return nil
}

// Sync returns when everything that was applied before is on the disk, and the index up to which
// that is.
func (m *Machine) Sync() (uint64, error) {
	applied := m.Applied()
	staged, err := m.engine.Stage(context.Background(), nil)
	if err != nil {
		return 0, err
	}
	return applied, staged.Wait()
}

// Metadata says of which moment the data is, in the words of raft. g is the log that it is applied from.
func (m *Machine) Metadata(g *raftlog.Group) (*pb.SnapshotMetadata, error) {
	applied, members := m.state()
	term, err := g.Term(applied)
	if err != nil {
		return nil, err
	}
	return &pb.SnapshotMetadata{Index: new(applied), Term: new(term), ConfState: members.Conf}, nil
}

// Snapshot returns an image of the data, in clear: every replica has keys of its own. If who applies calls it, Metadata says of
// which moment.
func (m *Machine) Snapshot() (store.Snapshot, error) {
	image, err := m.engine.Snapshot()
	if plain, ok := image.(store.PlainSnapshot); ok {
		return plainImage{plain}, err
	}
	return image, err
}

// plainImage is a snapshot that is written in clear.
type plainImage struct{ store.PlainSnapshot }

// WriteTo implements io.WriterTo.
func (p plainImage) WriteTo(w io.Writer) (int64, error) { return p.WritePlainTo(w) }

// Restore replaces the data by that of a snapshot. If it fails, the data is as it was.
func (m *Machine) Restore(r io.Reader) error {
	if err := m.engine.Restore(r); err != nil {
		return err
	}
	return m.load()
}

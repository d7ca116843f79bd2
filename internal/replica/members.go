package replica

import (
	"fmt"

	"go.etcd.io/raft/v3/confchange"
	pb "go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"
)

// changeMembers returns the members after a change, by raft's own rules, or an error if they
// do not allow it. index is that of the entry.
func changeMembers(members *pb.ConfState, change pb.ConfChangeI, index uint64) (*pb.ConfState, error) {
	none := tracker.MakeProgressTracker(1, 0)
	config, progress, err := confchange.Restore(confchange.Changer{Tracker: none, LastIndex: index}, members)
	if err != nil {
		return nil, fmt.Errorf("replica: members %v: %w", members, err)
	}
	now := tracker.MakeProgressTracker(1, 0)
	now.Config, now.Progress = config, progress
	changer := confchange.Changer{Tracker: now, LastIndex: index}
	cc := change.AsV2()
	switch autoLeave, joint := cc.EnterJoint(); {
	case cc.LeaveJoint():
		now.Config, now.Progress, err = changer.LeaveJoint()
	case joint:
		now.Config, now.Progress, err = changer.EnterJoint(autoLeave, cc.Changes...)
	default:
		now.Config, now.Progress, err = changer.Simple(cc.Changes...)
	}
	if err != nil {
		return nil, fmt.Errorf("replica: change of members: %w", err)
	}
	return now.ConfState(), nil
}

package host

import "errors"

// Errors of questions and orders.
var (
	// ErrClosed says that the host, or this group of it, has ended.
	ErrClosed = errors.New("host: this node no longer takes part")

	// ErrRemoved says that the replica here has been removed from its group. Its data is of no use any more.
	ErrRemoved = errors.New("host: this node has been removed from the cluster; its data is no longer kept up to date")

	// ErrTooLarge says that one transaction, or a run of them, is more than one entry can carry.
	ErrTooLarge = errors.New("host: more than 64 MiB at once cannot be replicated")
)

// Errors of changes of members. Nothing has changed.
var (
	// ErrRefused says that the members did not allow a change, or that another one was under way.
	ErrRefused = errors.New("host: the change was refused, or another one was under way; look at the members and try again")

	// ErrNoMember says that there is no such member.
	ErrNoMember = errors.New("host: there is no such member")

	// ErrMember says that a node is a member already.
	ErrMember = errors.New("host: the node is a member already; remove it first")

	// ErrLeader says that the leader has been asked to remove itself.
	ErrLeader = errors.New("host: this node leads; hand the lead to another first")

	// ErrMajority says that a change would leave a group that cannot decide anything, with the members
	// that are heard of now.
	ErrMajority = errors.New("host: too few of the members that would be left are heard of")

	// ErrNotTransferred says that another replica has not taken the lead in time.
	ErrNotTransferred = errors.New("host: the lead was not taken over in time")
)

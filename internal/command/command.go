package command

import "slices"

// Handler carries out one command: it writes exactly one reply to c.Out, calls
// c.Block, or returns an error and has no effect.
type Handler func(c *Ctx) error

// Command is one row of the table.
type Command struct {
	Name  string // lower case; of a subcommand, without its container's name
	Arity int    // number of arguments, the name (and the container's) included; negative: at least
	Flags Flags
	Group Group
	Cats  Category // ACL categories besides those that Flags and Group imply
	Keys  []KeySpec

	Elements Elements

	Channels Channels

	Run Handler    // nil for a container that does nothing by itself
	Sub []*Command // subcommands of a container

	// FindKeys, if not nil, finds the keys of a call that Keys cannot tell, or cannot
	// tell the flags of.
	FindKeys func(args [][]byte) []Key
	// MayWrite, if not nil, says of a call whether it may write, whatever Flags say. One that
	// may not is carried out on a snapshot.
	MayWrite func(args [][]byte) bool

	Syntax     string   // of its arguments, for ParseSyntax; empty: it has none
	Since      string   // version of Redis that introduced it
	History    []string // what has changed since, but for arguments that say so: the version, a space, a sentence
	Summary    string   // one sentence
	Complexity string   // as COMMAND DOCS shows it
	Tips       []string
	Deprecated string // version of Redis that advised against it; empty: none has
	Instead    string // what to use instead of a deprecated command
	Internal   bool   // for servers and tests, not for applications

	parent *Command
}

// FullName is the name that COMMAND and error texts use: "get", "config|get".
func (c *Command) FullName() string {
	if c.parent != nil {
		return c.parent.Name + "|" + c.Name
	}
	return c.Name
}

// IsSubOf reports whether the command is a subcommand of the one with the given name.
func (c *Command) IsSubOf(name string) bool { return c.parent != nil && c.parent.Name == name }

// Accepts reports whether a call with n arguments, the name included, has the
// right number of them.
func (c *Command) Accepts(n int) bool {
	return c.Arity >= 0 && n == c.Arity || c.Arity < 0 && n >= -c.Arity
}

// Has reports whether the command has any of the flags.
func (c *Command) Has(f Flags) bool { return c.Flags&f != 0 }

// Flags say how a command may be run. Their meaning and names are those of
// Redis' COMMAND INFO.
type Flags uint32

// The flags of commands.
const (
	Write Flags = 1 << iota
	ReadOnly
	DenyOOM
	Admin
	PubSub
	NoScript
	Blocking
	Loading
	Stale
	SkipMonitor
	SkipSlowlog
	Asking
	Fast
	NoAuth
	MayReplicate
	NoMandatoryKeys
	NoAsyncLoading
	NoMulti
	MovableKeys
	AllowBusy
	NoTouch // it looks keys up without using them; COMMAND INFO has no word for it, nor for the next ones

	// Where several nodes keep the same data, and a client of one asks for what only the leader can do: commands on keys may be
	// carried out there for it, and of others those that are about neither the connection nor the node.
	AnyNode  // it may: every node would do the same
	AtLeader // it has to: only the leader knows
	AtScript // it has to, unless a script runs here: it is about the one that runs
)

var flagNames = []string{
	"write", "readonly", "denyoom", "admin", "pubsub", "noscript", "blocking", "loading", "stale",
	"skip_monitor", "skip_slowlog", "asking", "fast", "no_auth", "", "no_mandatory_keys",
	"no_async_loading", "no_multi", "movablekeys", "allow_busy",
}

// Names returns the flags' names, in Redis' order. MayReplicate has none.
func (f Flags) Names() []string { return bitNames(uint64(f), flagNames) }

// Group is the family that COMMAND DOCS files a command under.
type Group string

// The groups of commands.
const (
	GroupGeneric      Group = "generic"
	GroupString       Group = "string"
	GroupList         Group = "list"
	GroupSet          Group = "set"
	GroupSortedSet    Group = "sorted-set"
	GroupHash         Group = "hash"
	GroupPubSub       Group = "pubsub"
	GroupTransactions Group = "transactions"
	GroupConnection   Group = "connection"
	GroupServer       Group = "server"
	GroupScripting    Group = "scripting"
	GroupBitmap       Group = "bitmap"
	GroupHyperLogLog  Group = "hyperloglog"
	GroupGeo          Group = "geo"
	GroupStream       Group = "stream"
	GroupCluster      Group = "cluster"
)

// Category is a set of ACL categories.
type Category uint32

// The ACL categories.
const (
	CatKeyspace Category = 1 << iota
	CatRead
	CatWrite
	CatSet
	CatSortedSet
	CatList
	CatHash
	CatString
	CatBitmap
	CatHyperLogLog
	CatGeo
	CatStream
	CatPubSub
	CatAdmin
	CatFast
	CatSlow
	CatBlocking
	CatDangerous
	CatConnection
	CatTransaction
	CatScripting
)

var categoryNames = []string{
	"@keyspace", "@read", "@write", "@set", "@sortedset", "@list", "@hash", "@string", "@bitmap",
	"@hyperloglog", "@geo", "@stream", "@pubsub", "@admin", "@fast", "@slow", "@blocking", "@dangerous",
	"@connection", "@transaction", "@scripting",
}

var groupCategories = map[Group]Category{
	GroupGeneric: CatKeyspace, GroupString: CatString, GroupList: CatList, GroupSet: CatSet,
	GroupSortedSet: CatSortedSet, GroupHash: CatHash, GroupBitmap: CatBitmap,
	GroupTransactions: CatTransaction, GroupConnection: CatConnection, GroupScripting: CatScripting,
	GroupHyperLogLog: CatHyperLogLog, GroupGeo: CatGeo, GroupStream: CatStream,
}

// Categories returns every ACL category of the command: those of its group,
// those its flags imply, and its own.
func (c *Command) Categories() Category {
	cats := c.Cats
	// SORT and WAIT are generic, yet not about keys as such.
	apart := c.Group == GroupGeneric && cats&(CatList|CatSet|CatSortedSet|CatConnection) != 0
	if len(c.Sub) == 0 && !apart { // a container has none of its own family
		cats |= groupCategories[c.Group]
	}
	for flag, cat := range map[Flags]Category{
		Write: CatWrite, Admin: CatAdmin | CatDangerous, PubSub: CatPubSub, Fast: CatFast, Blocking: CatBlocking,
	} {
		if c.Has(flag) {
			cats |= cat
		}
	}
	if c.Has(ReadOnly) && cats&CatScripting == 0 {
		cats |= CatRead
	}
	if !c.Has(Fast) {
		cats |= CatSlow
	}
	return cats
}

// CategoryNamed returns the category of a name in lower case, without the at sign.
func CategoryNamed(name string) (Category, bool) {
	i := slices.Index(categoryNames, "@"+name)
	return 1 << max(i, 0), i >= 0
}

// AllCategories returns every category, in Redis' order.
func AllCategories() []Category {
	out := make([]Category, len(categoryNames))
	for i := range out {
		out[i] = 1 << i
	}
	return out
}

// Names returns the categories' names, in Redis' order.
func (c Category) Names() []string { return bitNames(uint64(c), categoryNames) }

func bitNames(set uint64, names []string) []string {
	var out []string
	for i, name := range names {
		if set&(1<<i) != 0 && name != "" {
			out = append(out, name)
		}
	}
	return out
}

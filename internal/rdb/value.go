package rdb

// Value is the value of a key: a String, List, Set, ZSet, Hash or *Stream.
type Value interface {
	// write adds the type and the value.
	write(w *writer)
}

// String is the value of a string.
type String []byte

// List is the elements of a list.
type List [][]byte

// Set is the members of a set, each listed once.
type Set struct {
	Members [][]byte
	Intset  bool // written as one if every member is an integer
}

// ZSet is the members of a sorted set, each listed once.
type ZSet struct {
	Members []Member // in ascending order of score, then name
	Compact bool     // written as a listpack
}

// What a Member, a Field and so on take in memory, in bytes.
const (
	memberSize   = sliceSize + 8
	fieldSize    = 2*sliceSize + 8
	entrySize    = idSize + sliceSize
	pendingSize  = idSize + 3*8
	consumerSize = sliceSize + 2*8
	groupSize    = 3*sliceSize + idSize + 8
)

// Member is a member of a sorted set with its score, which is a number.
type Member struct {
	Name  []byte
	Score float64
}

// Hash is the fields of a hash, each listed once.
type Hash struct {
	Fields  []Field
	Compact bool // written as a listpack, unless a field expires
}

// Field is a field of a hash with its value.
type Field struct {
	Name, Value []byte
	ExpireAt    int64 // Unix milliseconds; 0: never
}

// Stream is a stream with its consumer groups.
type Stream struct {
	Entries      []Entry // in order of their IDs
	LastID       ID      // at or above those of all entries
	MaxDeletedID ID
	EntriesAdded uint64 // over its life, as far as clients have left that alone
	Groups       []Group
}

// ID names an entry of a stream.
type ID struct{ Ms, Seq uint64 }

// Compare returns -1, 0 or 1 as id is below, equal to or above other.
func (id ID) Compare(other ID) int {
	switch {
	case id == other:
		return 0
	case id.Ms < other.Ms, id.Ms == other.Ms && id.Seq < other.Seq:
		return -1
	}
	return 1
}

// Entry is an entry of a stream.
type Entry struct {
	ID     ID
	Fields [][]byte // names and values by turns
}

// Group is a consumer group of a stream.
type Group struct {
	Name        []byte
	LastID      ID    // the last that was delivered
	EntriesRead int64 // -1: not known; clients can make it anything
	Pending     []Pending
	Consumers   []Consumer
}

// Pending is an entry that a consumer has been given and has not acknowledged. The
// entry itself may be gone.
type Pending struct {
	ID          ID
	Consumer    int   // index in Group.Consumers
	DeliveredAt int64 // Unix milliseconds
	Deliveries  uint64
}

// Consumer is a consumer of a group.
type Consumer struct {
	Name     []byte
	SeenAt   int64 // Unix milliseconds
	ActiveAt int64 // Unix milliseconds; -1: never
}

// The types that a payload may begin with. All of this is Redis' format; never change.
const (
	typeString         = 0
	typeList           = 1
	typeSet            = 2
	typeZSet           = 3
	typeHash           = 4
	typeZSet2          = 5
	typeHashZipmap     = 9
	typeListZiplist    = 10
	typeSetIntset      = 11
	typeZSetZiplist    = 12
	typeHashZiplist    = 13
	typeListQuick      = 14
	typeStream         = 15
	typeHashListpack   = 16
	typeZSetListpack   = 17
	typeListQuick2     = 18
	typeStream2        = 19
	typeSetListpack    = 20
	typeStream3        = 21
	typeHashExpiring   = 24 // Redis 7.4
	typeHashListpackEx = 25 // Redis 7.4
)

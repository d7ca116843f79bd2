package keyspace

import (
	"errors"

	"github.com/elastickv/elastickv/internal/eviction"
	"github.com/elastickv/elastickv/internal/txn"
)

// Databases is the number of logical databases.
const Databases = 16

// ErrWrongType says that a key holds another type than was asked for.
var ErrWrongType = errors.New("keyspace: key holds another type")

// Space is one logical database in one transaction. It belongs to the goroutine
// of the transaction. Keys and values handed to it are kept until the transaction
// ends and are not to be modified until then; what it returns is not to be modified.
type Space struct {
	tx     *txn.Tx
	db     int
	shared *shared
	buf    []byte // names of rows that are only looked up
	// reading says that keys are looked up in order to read them.
	reading bool
	// untouched says that to look up a key is not to use it.
	untouched bool
}

// shared is what the spaces of one transaction have in common.
type shared struct {
	memory  *Memory // nil if there is none to be used again
	limits  *Limits
	samples *Samples
	uses    *eviction.Uses
	changes []Change
	places  places
	swaps   *Places // nil: nobody has to be told of a swap
	classes Class   // of the events that are recorded
	events  []Event
	hits    int64 // look-ups of keys that were there
	misses  int64 // look-ups of keys that were not
	// nextHome is above all that freeHome has made up.
	nextHome uint64
	overdue  []Change

	fieldsExpired int64 // of hashes, that were removed because their time had come
}

// Env is what the transactions of a process have in common.
type Env struct {
	Limits  *Limits
	Samples *Samples       // nil: random picks cost more
	Uses    *eviction.Uses // nil: it is not remembered how keys are used
	Events  Class          // the classes of events that somebody wants to know of
}

// Change says that a key has been modified, in whatever way. A nil Key stands
// for every key of the database.
type Change struct {
	DB      int
	Key     []byte
	Expired bool // it is gone because its time had come
	Evicted bool // it is gone because there was no room
}

// Limits are the sizes up to which a collection is called compact by OBJECT
// ENCODING, and those of nodes. They change no layout.
type Limits struct {
	HashMaxListpackEntries int
	HashMaxListpackValue   int // bytes
	ListMaxListpackSize    int // entries, or below 0 a size class, as in redis.conf
	SetMaxIntsetEntries    int
	SetMaxListpackEntries  int
	SetMaxListpackValue    int // bytes
	ZSetMaxListpackEntries int
	ZSetMaxListpackValue   int // bytes
	// ZSetCounts says how the ranks of large sorted sets are counted.
	ZSetCounts CountLimits
	// StreamNodeMaxEntries is how many entries go at once when a stream is
	// trimmed with ~; 0 is the default.
	StreamNodeMaxEntries int
}

// DefaultLimits are Redis' own.
func DefaultLimits() Limits {
	return Limits{
		HashMaxListpackEntries: 512,
		HashMaxListpackValue:   64,
		ListMaxListpackSize:    -2,
		SetMaxIntsetEntries:    512,
		SetMaxListpackEntries:  128,
		SetMaxListpackValue:    64,
		ZSetMaxListpackEntries: 128,
		ZSetMaxListpackValue:   64,
		StreamNodeMaxEntries:   100,
	}
}

// Open returns the logical database db, from 0 to Databases-1, in tx.
func Open(tx *txn.Tx, db int, env Env) *Space {
	o := &struct { // one piece of memory for all that most transactions need
		Space
		shared
		name [64]byte
	}{}
	o.shared = newShared(env)
	o.Space = Space{tx: tx, db: db, shared: &o.shared, buf: o.name[:0]}
	return &o.Space
}

func newShared(env Env) shared {
	return shared{limits: env.Limits, samples: env.Samples, uses: env.Uses, classes: env.Events, places: ownPlaces}
}

// DB returns another logical database in the same transaction.
func (s *Space) DB(db int) *Space {
	if db == s.db {
		return s
	}
	return &Space{tx: s.tx, db: db, shared: s.shared, reading: s.reading, untouched: s.untouched}
}

// Reading returns the same database for one who only wants to read keys. That one of them is
// not there is an event then.
func (s *Space) Reading() *Space {
	if s.reading || s.shared.classes&ClassMiss == 0 {
		return s
	}
	return &Space{tx: s.tx, db: s.db, shared: s.shared, reading: true, untouched: s.untouched}
}

// Number returns which logical database this is.
func (s *Space) Number() int { return s.db }

// ReadOnly reports whether nothing can be written.
func (s *Space) ReadOnly() bool { return s.tx.ReadOnly() }

// Now is the moment of the transaction in Unix milliseconds. Expiry is judged at it.
func (s *Space) Now() int64 { return millis(s.tx.Now()) }

// Changes returns every modification made through the spaces of the transaction.
func (s *Space) Changes() []Change { return s.shared.changes }

// Lookups returns how many look-ups of keys in the transaction have found one,
// and how many have not.
func (s *Space) Lookups() (hits, misses int64) { return s.shared.hits, s.shared.misses }

// FieldsExpired returns how many fields of hashes have been removed in the transaction because
// their time had come.
func (s *Space) FieldsExpired() int64 { return s.shared.fieldsExpired }

func (s *Space) changed(key []byte) {
	s.shared.changes = append(s.shared.changes, Change{DB: s.db, Key: key})
}

// Atomically calls fn and, if it fails, takes back what it wrote, leaving what
// the transaction had written before.
func (s *Space) Atomically(fn func() error) error {
	at, changes, events, expired := s.tx.Savepoint(), len(s.shared.changes), len(s.shared.events), s.shared.fieldsExpired
	places := s.shared.places
	err := fn()
	if err != nil {
		s.shared.places = places
		s.tx.RollbackTo(at)
		s.shared.changes = s.shared.changes[:changes]
		s.shared.events = append(s.shared.events[:events], misses(s.shared.events[events:])...)
		s.shared.fieldsExpired = expired
	}
	return err
}

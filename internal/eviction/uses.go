package eviction

import (
	"hash/maphash"
	"sync/atomic"
	"unsafe"

	"github.com/elastickv/elastickv/internal/prefetch"
)

// Settings say how uses are counted.
type Settings struct {
	// Frequency says that it is remembered how often a key is used, instead of when.
	Frequency bool
	// LogFactor makes it the less likely that a use counts, the more have been counted: with 0
	// every use counts, with 10 it takes about a million to count 255.
	LogFactor int64
	// DecayMinutes is in how many minutes without use a count falls by one; 0: it never does.
	DecayMinutes int64
}

// Uses remembers how keys were used. It is safe for concurrent use and takes no lock: of
// uses of one key, or of keys that share a bucket, that happen at the same time, one may be
// forgotten. A nil Uses remembers nothing.
type Uses struct {
	seed     maphash.Seed
	rand     func() uint64
	zero     int64 // Unix milliseconds that a moment of 0 stands for
	settings atomic.Pointer[Settings]
	buckets  []bucket // a power of two
}

// bucket is one line of a processor's cache: the slots in which a key may stand. A slot of 0 is free.
//
//	| tag of the key's hash (24 bits) | moment in milliseconds (40)                         | by recency
//	| tag of the key's hash (24 bits) | Unix time in minutes (32) | logarithm of the uses (8) | by frequency
type bucket [8]atomic.Uint64

const (
	dataBits = 40
	dataMask = 1<<dataBits - 1
	usesBits = 8

	// usesMost keys can be remembered, in 8 MiB.
	usesMost = 1 << 20

	// freshUses is the count of a key that is new, so that it is not the first to go.
	freshUses = 5
	countMost = 1<<usesBits - 1

	millisPerMinute = 60_000
)

// NewUses returns a Uses without any. now is the present in Unix milliseconds; rand returns 64 random
// bits and is safe for concurrent use.
func NewUses(now int64, rand func() uint64) *Uses { return newUses(usesMost, now, rand) }

func newUses(most int, now int64, rand func() uint64) *Uses {
	u := &Uses{seed: maphash.MakeSeed(), rand: rand, buckets: make([]bucket, most/len(bucket{}))}
	u.zero = now - 1<<(dataBits-1) // 17 years back and forth
	u.settings.Store(&Settings{})
	return u
}

// Configure changes the settings. When it is another thing that is remembered, all is forgotten.
func (u *Uses) Configure(s Settings) {
	before := u.settings.Swap(&s)
	if before.Frequency == s.Frequency {
		return
	}
	for i := range u.buckets {
		for j := range u.buckets[i] {
			u.buckets[i][j].Store(0)
		}
	}
}

// Frequency reports whether it is remembered how often keys are used, instead of when.
func (u *Uses) Frequency() bool { return u != nil && u.settings.Load().Frequency }

// Prefetch prepares that a use of a key is taken down, or asked for.
func (u *Uses) Prefetch(place int, key []byte) {
	if u != nil {
		b, _ := u.find(place, key)
		prefetch.Line(unsafe.Pointer(b))
	}
}

// Touch takes down that a key is used now. place is where its database stands.
func (u *Uses) Touch(place int, key []byte, now int64) {
	if u == nil {
		return
	}
	b, tag := u.find(place, key)
	slot, there := b.slot(tag)
	s := u.settings.Load()
	if !s.Frequency {
		slot.Store(tag | u.moment(now))
		return
	}
	count := int64(freshUses)
	if there {
		count = s.decayed(slot.Load()&dataMask, now)
	}
	if u.counts(s, count) {
		count++
	}
	slot.Store(tag | minutes(now)<<usesBits | uint64(count))
}

// counts reports whether one more use of a key that has count of them is to be counted.
func (u *Uses) counts(s *Settings, count int64) bool {
	if count >= countMost {
		return false
	}
	return u.rand()%uint64(max(count-freshUses, 0)*s.LogFactor+1) == 0
}

// Create takes down that a key has come into being now. What was remembered of one of
// the same name is forgotten.
func (u *Uses) Create(place int, key []byte, now int64) {
	if u == nil {
		return
	}
	if u.Frequency() {
		u.SetCount(place, key, now, freshUses)
	} else {
		u.SetIdle(place, key, now, 0)
	}
}

// SetIdle makes it so that a key was used last idle milliseconds ago. By frequency it does nothing.
func (u *Uses) SetIdle(place int, key []byte, now, idle int64) {
	if u == nil || u.Frequency() {
		return
	}
	b, tag := u.find(place, key)
	slot, _ := b.slot(tag)
	slot.Store(tag | u.moment(now-min(idle, 1<<dataBits)))
}

// SetCount gives a key a count of uses. By recency it does nothing.
func (u *Uses) SetCount(place int, key []byte, now int64, count uint8) {
	if !u.Frequency() {
		return
	}
	b, tag := u.find(place, key)
	slot, _ := b.slot(tag)
	slot.Store(tag | minutes(now)<<usesBits | uint64(count))
}

// Idle returns for how many milliseconds a key has not been used, and whether it is remembered.
func (u *Uses) Idle(place int, key []byte, now int64) (int64, bool) {
	if u == nil || u.Frequency() {
		return 0, false
	}
	b, tag := u.find(place, key)
	slot, there := b.slot(tag)
	if !there {
		return 0, false
	}
	return max(now-(u.zero+int64(slot.Load()&dataMask)), 0), true
}

// Count returns the logarithmic count of a key's uses. Of one that is not remembered it is what is
// left of a new key's, if it was written last at the moment written.
func (u *Uses) Count(place int, key []byte, now, written int64) uint8 {
	s := u.settings.Load()
	b, tag := u.find(place, key)
	if slot, there := b.slot(tag); there {
		return uint8(s.decayed(slot.Load()&dataMask, now))
	}
	return uint8(s.decayed(minutes(written)<<usesBits|freshUses, now))
}

// decayed returns the count in a slot's data, less what has been lost since.
func (s *Settings) decayed(data uint64, now int64) int64 {
	count := int64(data & countMost)
	if s.DecayMinutes <= 0 {
		return count
	}
	passed := int64(minutes(now)) - int64(data>>usesBits)
	return max(count-max(passed, 0)/s.DecayMinutes, 0)
}

func minutes(at int64) uint64 { return uint64(max(at, 0)/millisPerMinute) & (1<<32 - 1) }

// moment is a time as it is kept, above 0.
func (u *Uses) moment(at int64) uint64 { return uint64(min(max(at-u.zero, 1), dataMask)) }

// find returns where a key may stand, and its tag, which is not 0 in its place above the data.
func (u *Uses) find(place int, key []byte) (*bucket, uint64) {
	h := maphash.Bytes(u.seed, key)
	h ^= uint64(place) * 0x9e3779b97f4a7c15 // spreads small numbers over all bits
	at := h & uint64(len(u.buckets)-1)
	return &u.buckets[at], h &^ dataMask
}

// slot returns the slot of a key, and true; or false and the one that it gets if it is used: a
// free one, or that of the key used least. Data of both kinds compare well enough for that: by
// frequency, the one with the oldest minute goes, and of those the least used.
func (b *bucket) slot(tag uint64) (*atomic.Uint64, bool) {
	least, data := &b[0], uint64(dataMask)
	for i := range b {
		v := b[i].Load()
		if v != 0 && v&^dataMask == tag {
			return &b[i], true
		}
		if v&dataMask < data {
			least, data = &b[i], v&dataMask
		}
	}
	return least, false
}

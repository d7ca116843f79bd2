package store

import "encoding/binary"

// cacheEntry is an entry of the version cache and what follows it in its chunk:
//
//	| flags (1) | commitTS (8) | expireAt (8) | length of key (4) | length of value (4) | key … | value … |
type cacheEntry []byte

const (
	cacheEntryHead = 1 + 8 + 8 + 4 + 4

	cacheFlagTombstone = 1 << 0
	cacheFlagNone      = 1 << 1 // the key has no version at all
	cacheFlagUsed      = 1 << 2 // it was read since it was put here
	cacheFlagDead      = 1 << 3 // no slot of the index stands for it
)

func appendCacheEntry(dst, key []byte, v VersionedValue, none bool) []byte {
	var flags byte
	if v.Tombstone {
		flags |= cacheFlagTombstone
	}
	if none {
		flags |= cacheFlagNone
	}
	dst = binary.LittleEndian.AppendUint64(append(dst, flags), v.TS)
	dst = binary.LittleEndian.AppendUint64(dst, v.ExpireAt)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(key)))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(v.Value)))
	return append(append(dst, key...), v.Value...)
}

func (e cacheEntry) none() bool  { return e[0]&cacheFlagNone != 0 }
func (e cacheEntry) used() bool  { return e[0]&cacheFlagUsed != 0 }
func (e cacheEntry) dead() bool  { return e[0]&cacheFlagDead != 0 }
func (e cacheEntry) markDead()   { e[0] |= cacheFlagDead }
func (e cacheEntry) markUsed()   { e[0] |= cacheFlagUsed }
func (e cacheEntry) markUnused() { e[0] &^= cacheFlagUsed }
func (e cacheEntry) ts() uint64  { return binary.LittleEndian.Uint64(e[1:]) }

func (e cacheEntry) key() []byte {
	return e[cacheEntryHead : cacheEntryHead+binary.LittleEndian.Uint32(e[17:])]
}

// whole is the entry without what follows it.
func (e cacheEntry) whole() []byte {
	return e[:cacheEntryHead+binary.LittleEndian.Uint32(e[17:])+binary.LittleEndian.Uint32(e[21:])]
}

// version returns the version. Its value aliases e; it has no value if it is a tombstone.
func (e cacheEntry) version() VersionedValue {
	v := VersionedValue{TS: e.ts(), ExpireAt: binary.LittleEndian.Uint64(e[9:]), Tombstone: e[0]&cacheFlagTombstone != 0}
	if e[0]&(cacheFlagTombstone|cacheFlagNone) == 0 {
		whole := e.whole()
		v.Value = whole[cacheEntryHead+len(e.key()) : len(whole) : len(whole)]
	}
	return v
}

// put is the key and the version of an entry that is neither a tombstone nor none. Both alias e.
func (e cacheEntry) put() (key []byte, v VersionedValue) {
	value := cacheEntryHead + binary.LittleEndian.Uint32(e[17:])
	end := value + binary.LittleEndian.Uint32(e[21:])
	return e[cacheEntryHead:value:value], VersionedValue{
		TS:       binary.LittleEndian.Uint64(e[1:]),
		Value:    e[value:end:end],
		ExpireAt: binary.LittleEndian.Uint64(e[9:]),
	}
}

// eachCacheEntry calls fn for the entries of a chunk.
func eachCacheEntry(chunk []byte, fn func(offset int, e cacheEntry)) {
	for offset := 0; offset < len(chunk); {
		e := cacheEntry(chunk[offset:])
		fn(offset, e)
		offset += len(e.whole())
	}
}

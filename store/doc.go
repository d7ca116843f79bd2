// Package store answers one question: what did this key hold at time t?
//
// Every write is a version: a user key, a commit timestamp, and a value or a
// tombstone. A read names a timestamp and sees the newest version at or below
// it. Timestamps are hybrid-logical: the upper 48 bits are Unix milliseconds,
// the lower 16 bits a counter (package hlc makes them), but the store only
// compares them.
//
// There are two implementations. NewMVCCStore keeps everything in memory and is
// the executable specification: short, obvious, and sharing no rule with the
// other. NewPebbleStore keeps a folder on disk, durable by default. The suite
// in store/storetest runs over both.
//
// The package knows nothing of Redis commands; it does know the key layouts of
// Redis' collections (HashFieldKey, ZSetScoreKey, …), because they are part of
// the on-disk format.
//
// Where many write one collection, none of them has to own its length: they add
// deltas (CollectionKind has the rules), HashLenAt and its like add them up, and a
// DeltaFolder folds them. Lists that many push and pop at once are ListEnd's matter.
//
// It imports the engine and packages watermark and encryption, and nothing else of this module.
package store

package store

import (
	"bytes"
	"cmp"
	"slices"
)

// version is what a commit makes of one key.
type version struct {
	m  *KVPairMutation
	ts uint64
}

// inEngineOrder returns the versions in commits by key, the newest of a key first. Of two of one key and one
// timestamp the order stays.
func inEngineOrder(commits []Commit) []version {
	n := 0
	for i := range commits {
		n += len(commits[i].Mutations)
	}
	both := make([]version, 2*n)
	all := both[:0:n]
	for i := range commits {
		for _, m := range commits[i].Mutations {
			all = append(all, version{m, commits[i].TS})
		}
	}
	sortVersions(all, both[n:], 0)
	return all
}

// fewVersions are sorted by comparing them.
const fewVersions = 16

// sortVersions sorts versions of keys that have the first depth bytes in common; spare is as much room again. It puts them where the byte
// belongs that is the first to differ, and goes on with those of each: keys begin alike, so that to compare them by
// twos costs most where it says least.
func sortVersions(all, spare []version, depth int) {
	if len(all) <= fewVersions {
		sortFewVersions(all, depth)
		return
	}
	depth += commonBytes(all, depth)
	var ends [1 + 256]int32 // those of keys that have no more bytes come first
	for i := range all {
		ends[place(all[i].m.Key, depth)]++
	}
	at := int32(0)
	for i, n := range ends {
		ends[i] = at
		at += n
	}
	for _, v := range all {
		end := &ends[place(v.m.Key, depth)]
		spare[*end] = v
		*end++
	}
	copy(all, spare)
	newestFirst(all[:ends[0]])
	for i := 1; i < len(ends); i++ {
		if from, to := ends[i-1], ends[i]; to-from > 1 {
			sortVersions(all[from:to], spare[from:to], depth+1)
		}
	}
}

// place is where a key belongs by what it has at depth.
func place(key []byte, depth int) int {
	if depth == len(key) {
		return 0
	}
	return 1 + int(key[depth])
}

// newestFirst sorts versions of one key.
func newestFirst(all []version) {
	rising := true
	for i := 1; i < len(all) && rising; i++ {
		rising = all[i-1].ts < all[i].ts
	}
	if rising { // as a run has them
		slices.Reverse(all)
		return
	}
	slices.SortStableFunc(all, func(a, b version) int { return cmp.Compare(b.ts, a.ts) })
}

// sortFewVersions is sortVersions that puts each in its place among those before it.
func sortFewVersions(all []version, depth int) {
	for i := 1; i < len(all); i++ {
		v, key, at := all[i], all[i].m.Key[depth:], i
		for ; at > 0; at-- {
			before := bytes.Compare(all[at-1].m.Key[depth:], key)
			if before < 0 || before == 0 && all[at-1].ts >= v.ts {
				break
			}
			all[at] = all[at-1]
		}
		all[at] = v
	}
}

// commonBytes returns how many bytes from depth on all keys have in common.
func commonBytes(all []version, depth int) int {
	common := all[0].m.Key[depth:]
	for i := range all {
		key := all[i].m.Key[depth:]
		if len(key) >= len(common) && bytes.Equal(key[:len(common)], common) {
			continue
		}
		n := 0
		for n < min(len(common), len(key)) && common[n] == key[n] {
			n++
		}
		common = common[:n]
	}
	return len(common)
}

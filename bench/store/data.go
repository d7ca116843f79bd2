package main

import (
	"encoding/hex"
	"math/rand/v2"
	"slices"
)

const (
	keyPrefix = "bench:account:"
	keySize   = len(keyPrefix) + 16
	valueSize = 100
	scanRows  = 100
	hotKeys   = 1000

	// versionStep lies between the commit timestamps of two versions of a key, of which
	// the first has versionStep itself.
	versionStep = 10
)

// appendKey appends the key of number i. Neighbours by number lie far apart in order.
func appendKey(dst []byte, i int) []byte { return appendKeyNumber(dst, spread(i)) }

// appendMissingKey appends a key that no number has: it lies right behind that of i.
func appendMissingKey(dst []byte, i int) []byte { return appendKeyNumber(dst, spread(i)|1) }

// spread maps numbers to even ones all over the range, each to another one.
func spread(i int) uint64 { return uint64(i) * 0x9e3779b97f4a7c15 << 1 }

func appendKeyNumber(dst []byte, n uint64) []byte {
	b := [8]byte{byte(n >> 56), byte(n >> 48), byte(n >> 40), byte(n >> 32), byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}
	return hex.AppendEncode(append(dst, keyPrefix...), b[:])
}

// sortedNumbers returns the numbers below n in the order of their keys.
func sortedNumbers(n int) []int {
	numbers := make([]int, n)
	for i := range numbers {
		numbers[i] = i
	}
	slices.SortFunc(numbers, func(a, b int) int {
		if spread(a) < spread(b) {
			return -1
		}
		return 1
	})
	return numbers
}

// valuePool is more bytes than a value has, none of which can be compressed.
var valuePool = func() []byte {
	rng := rand.New(rand.NewPCG(1, 2))
	pool := make([]byte, 1<<20)
	for i := range pool {
		pool[i] = byte(rng.Uint32())
	}
	return pool
}()

// value returns the value of number i. It must not be modified.
func value(i int) []byte {
	at := i * 61 % (len(valuePool) - valueSize)
	return valuePool[at : at+valueSize : at+valueSize]
}

package main

import "math/rand/v2"

// valuePool is bytes that cannot be compressed, so that a dataset is as large as it is said to be.
var valuePool = func() string {
	rng := rand.New(rand.NewPCG(1, 2))
	pool := make([]byte, 4<<20)
	for i := range pool {
		pool[i] = byte(rng.Uint32())
	}
	return string(pool)
}()

// value returns size bytes, at most a quarter of the pool, that depend on i.
func value(i, size int) string {
	at := int(uint64(i) * 6_700_417 % uint64(len(valuePool)-size))
	return valuePool[at : at+size]
}

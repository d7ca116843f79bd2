// Package metrics answers one question: what do the meters read?
//
// It gathers what the server and the store tell of themselves: for Prometheus, for the
// section of the store in INFO, and as one word for whoever asks whether the server is well.
//
// It may import the server, the shards and the store. It counts nothing of its own and
// never reads or writes a key.
package metrics

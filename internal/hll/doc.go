// Package hll answers: how many different things has a string of bytes seen, about? The string is
// a HyperLogLog as Redis lays it out, bit by bit, with the same hash and the same estimator, so
// that both count alike and read each other's. It imports only the standard library, and knows
// nothing of keys or commands.
package hll

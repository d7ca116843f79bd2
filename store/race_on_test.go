//go:build race

package store

// RaceEnabled reports whether the race detector is on.
const RaceEnabled = true

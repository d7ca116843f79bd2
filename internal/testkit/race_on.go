//go:build race

package testkit

// buildFlags make our program as the tests themselves were made.
var buildFlags = []string{"-race"}

// RaceFactor is about how many times as much time and memory our program takes as it does without
// the race detector.
const RaceFactor = 10

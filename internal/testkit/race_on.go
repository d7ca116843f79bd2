//go:build race

package testkit

import "os"

// A program with the race detector sleeps for a second before it ends, unless it is told not to: the tests
// start our own hundreds of times, often for one question. What the caller has set comes last and counts.
func init() { _ = os.Setenv("GORACE", "atexit_sleep_ms=10 "+os.Getenv("GORACE")) }

// buildFlags make our program as the tests themselves were made.
var buildFlags = []string{"-race"}

// RaceFactor is about how many times as much time and memory our program takes as it does without
// the race detector.
const RaceFactor = 10

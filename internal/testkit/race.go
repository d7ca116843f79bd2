package testkit

import "testing"

// Single skips t under the race detector, where it takes many times as long and can find nothing: no
// two things of ours happen at the same time in it. Without the race detector it runs in full.
func Single(t testing.TB) {
	t.Helper()
	if RaceFactor > 1 {
		t.Skip("nothing of ours runs beside anything else here: not under the race detector")
	}
}

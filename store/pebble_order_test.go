package store

import (
	"bytes"
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestEngineOrder compares the order with what a stable sort by whole keys makes of it.
func TestEngineOrder(t *testing.T) {
	part := rapid.SampledFrom([]string{"", "a", "b", "\x00", "\x00\x00", "\xff", "aaaaaaa", "aaaaaaaa", "aaaaaaaab"})
	rapid.Check(t, func(t *rapid.T) {
		commits := make([]Commit, rapid.IntRange(0, 40).Draw(t, "commits"))
		var want []version
		for i := range commits {
			c := &commits[i]
			c.TS = uint64(rapid.IntRange(1, 10).Draw(t, "ts"))
			for range rapid.IntRange(0, 4).Draw(t, "mutations") {
				m := &KVPairMutation{Key: []byte(part.Draw(t, "key") + part.Draw(t, "key") + part.Draw(t, "key"))}
				c.Mutations = append(c.Mutations, m)
				want = append(want, version{m: m, ts: c.TS})
			}
		}
		slices.SortStableFunc(want, func(a, b version) int {
			return cmp.Or(bytes.Compare(a.m.Key, b.m.Key), cmp.Compare(b.ts, a.ts))
		})
		got := inEngineOrder(commits)
		if !slices.EqualFunc(got, want, func(a, b version) bool { return a.m == b.m && a.ts == b.ts }) {
			for i := range got {
				t.Logf("%d: got %q at %d, want %q at %d", i, got[i].m.Key, got[i].ts, want[i].m.Key, want[i].ts)
			}
			t.Fatal("another order")
		}
	})
}

// BenchmarkEngineOrder sorts runs such as commands make of them.
func BenchmarkEngineOrder(b *testing.B) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, c := range []struct {
		name string
		keys []string
	}{
		{"strings", []string{"!redis|key|key:%012d"}},
		{"fields of a hash", []string{"!hs|fld|\x00\x00\x00\x06myhash%012d", "!hs|meta|\x00\x00\x00\x06myhash"}},
	} {
		var commits []Commit
		for i := range 800 {
			commit := Commit{TS: uint64(i + 1)}
			for _, key := range c.keys {
				if bytes.Contains([]byte(key), []byte("%")) {
					key = fmt.Sprintf(key, rnd.IntN(100_000))
				}
				commit.Mutations = append(commit.Mutations, &KVPairMutation{Key: []byte(key)})
			}
			commits = append(commits, commit)
		}
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				inEngineOrder(commits)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/800/float64(len(c.keys)), "ns/row")
		})
	}
}

package server

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestPrefixesThatOverlap compares with each prefix held to each other.
func TestPrefixesThatOverlap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOfN(rapid.StringMatching("[ab]{0,4}"), 0, 8)
		given, old := names.Draw(t, "given"), names.Draw(t, "old")
		overlap := func(a, b string) bool { return strings.HasPrefix(a, b) || strings.HasPrefix(b, a) }
		kept := old[:0:0] // those in force do not overlap
		for _, o := range old {
			if checkPrefixes([]string{o}, kept) == nil {
				kept = append(kept, o)
			}
		}
		var want error
		for i := 0; i < len(given) && want == nil; i++ {
			for _, o := range kept {
				if want == nil && overlap(given[i], o) {
					want = errPrefixExists(given[i], o)
				}
			}
			for _, o := range given[i+1:] {
				if want == nil && overlap(given[i], o) {
					want = errPrefixGiven(given[i], o)
				}
			}
		}
		if got := checkPrefixes(given, kept); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("%q with %q in force: got %v, want %v", given, kept, got, want)
		}
	})
}

// TestManyPrefixes gives as many prefixes as a command can have: to hold each to each would take hours.
func TestManyPrefixes(t *testing.T) {
	given := make([]string, 1<<19)
	for i := range given {
		given[i] = strconv.Itoa(1<<20 + i)
	}
	if err := checkPrefixes(given, nil); err != nil {
		t.Error(err)
	}
	if err := checkPrefixes(append(given, given[0]), nil); err == nil {
		t.Error("a prefix that is given twice is no error")
	}
}

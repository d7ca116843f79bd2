package pqsort

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// element has a key to sort by and remembers where it stood.
type element struct{ key, at int }

func byKey(a, b element) int { return cmp.Compare(a.key, b.key) }

func elements(keys []int) []element {
	var out []element
	for i, k := range keys {
		out = append(out, element{k, i})
	}
	return out
}

// TestRedis holds the order of elements, equal ones included, to what Redis' own has made of them.
func TestRedis(t *testing.T) {
	text, err := os.ReadFile("testdata/redis.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if line[0] == '#' {
			continue
		}
		parts := strings.Split(line, ":")
		asked := numbers(t, parts[0])
		x := elements(numbers(t, parts[1]))
		Sort(x, asked[0], asked[1], byKey)
		var got []int
		for _, e := range x {
			got = append(got, e.at)
		}
		if want := numbers(t, parts[2]); !slices.Equal(got, want) {
			t.Errorf("%d to %d of%s:\ngot  %v\nwant %v", asked[0], asked[1], parts[1], got, want)
		}
	}
}

func numbers(t *testing.T, s string) []int {
	t.Helper()
	var out []int
	for _, f := range strings.Fields(s) {
		n, err := strconv.Atoi(f)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, n)
	}
	return out
}

func TestSort(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		keys := rapid.SliceOfN(rapid.IntRange(0, 50), 1, 300).Draw(t, "keys")
		first := rapid.IntRange(0, len(keys)-1).Draw(t, "first")
		last := rapid.IntRange(first, len(keys)-1).Draw(t, "last")
		x := elements(keys)
		Sort(x, first, last, byKey)
		want := slices.Sorted(slices.Values(keys))
		seen := make(map[int]bool)
		for i, e := range x {
			if i >= first && i <= last && e.key != want[i] || keys[e.at] != e.key || seen[e.at] {
				t.Fatalf("element %d is %v, want key %d", i, e, want[i])
			}
			seen[e.at] = true
		}
	})
}

func ExampleSort() {
	x := []int{5, 2, 9, 1, 7, 3, 8, 4, 6, 0}
	Sort(x, 0, 2, cmp.Compare[int])
	fmt.Println(x[:3])
	// Output: [0 1 2]
}

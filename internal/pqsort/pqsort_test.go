package pqsort

import (
	"cmp"
	"fmt"
	"math"
	"math/bits"
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

// adversary makes up the keys of n elements while they are sorted, so that each partition is as
// uneven as can be (McIlroy, "A Killer Adversary for Quicksort", 1999).
type adversary struct {
	keys     []int // by element; gas of those that have none yet
	solid    int   // the next key
	likely   int   // that may be the pivot
	compared int
}

func newAdversary(n int) (a *adversary, x []int) {
	a = &adversary{keys: make([]int, n)}
	for i := range n {
		a.keys[i] = n // gas: above all keys
		x = append(x, i)
	}
	return a, x
}

func (a *adversary) freeze(i int) {
	a.keys[i] = a.solid
	a.solid++
}

func (a *adversary) cmp(i, j int) int {
	a.compared++
	gas := len(a.keys)
	if a.keys[i] == gas && a.keys[j] == gas {
		if i == a.likely {
			a.freeze(i)
		} else {
			a.freeze(j)
		}
	}
	if a.keys[i] == gas {
		a.likely = i
	} else if a.keys[j] == gas {
		a.likely = j
	}
	return cmp.Compare(a.keys[i], a.keys[j])
}

// TestAdversary counts what the worst order costs.
func TestAdversary(t *testing.T) {
	for _, n := range []int{1000, 30000} {
		a, x := newAdversary(n)
		Sort(x, 0, n-2, a.cmp)
		if most := 40 * n * bits.Len(uint(n)); a.compared > most {
			t.Errorf("%d elements took %d comparisons, want at most %d", n, a.compared, most)
		}
		keys, sorted := a.keys, slices.Sorted(slices.Values(a.keys))
		for _, window := range [][2]int{{0, n - 2}, {n - 10, n - 1}, {n / 2, n/2 + 5}} {
			x, compared := elements(keys), 0
			Sort(x, window[0], window[1], func(a, b element) int { compared++; return byKey(a, b) })
			for i := window[0]; i <= window[1]; i++ {
				if x[i].key != sorted[i] {
					t.Fatalf("element %d has key %d, want %d", i, x[i].key, sorted[i])
				}
			}
			if most := 40 * n * bits.Len(uint(n)); compared > most {
				t.Errorf("%v of %d elements took %d comparisons, want at most %d", window, n, compared, most)
			}
		}
	}
}

// TestFewElementsAsRedis says that a few elements come out as in Redis even in the worst order.
func TestFewElementsAsRedis(t *testing.T) {
	for n := 2; n <= 300; n++ {
		a, x := newAdversary(n)
		Sort(x, 0, n-2, a.cmp)
		for i := range a.keys {
			a.keys[i] /= 3 // so that some are equal
		}
		got, want := elements(a.keys), elements(a.keys)
		Sort(got, 0, n-2, byKey)
		patient := sorter[element]{byKey, math.MaxInt}
		patient.sort(want, 0, n-2)
		if !slices.Equal(got, want) {
			t.Fatalf("%d elements:\ngot  %v\nwant %v", n, got, want)
		}
	}
}

func ExampleSort() {
	x := []int{5, 2, 9, 1, 7, 3, 8, 4, 6, 0}
	Sort(x, 0, 2, cmp.Compare[int])
	fmt.Println(x[:3])
	// Output: [0 1 2]
}

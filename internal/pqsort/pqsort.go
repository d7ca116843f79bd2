// Package pqsort answers: which elements come first, if the others need no order? It is the
// quicksort of Bentley and McIlroy ("Engineering a Sort Function", 1993), which leaves parts alone
// that nobody asks for, as Redis uses it: elements that compare equal come out in the same order
// as there. It imports nothing of this module.
package pqsort

import (
	"math/bits"
	"slices"
)

// Sort puts the elements of x with the indices from first to last, both included, where they would
// stand if all of x were in order. Elsewhere the order is of no use. cmp is below 0 if a comes
// before b, above 0 if it comes behind, and 0 if they may stand either way.
//
// Whatever the order of x, it takes some n log n comparisons. Elements that are arranged so that
// Redis would take many times as long, which chance does not do, come out in another order where
// they compare equal.
func Sort[T any](x []T, first, last int, cmp func(a, b T) int) {
	s := sorter[T]{cmp, patience * len(x) * bits.Len(uint(len(x)))}
	s.sort(x, first, last)
}

// patience is how many times n log n steps are taken before a part is sorted in another way. Without
// luck or malice it takes less than two; a few hundred elements can never take so many.
const patience = 16

type sorter[T any] struct {
	cmp  func(a, b T) int
	left int // elements that may still be compared with pivots
}

func (s *sorter[T]) sort(x []T, first, last int) {
	for {
		n := len(x)
		if n < 7 {
			insertion(x, s.cmp)
			return
		}
		if s.left -= n; s.left < 0 {
			slices.SortStableFunc(x, s.cmp)
			return
		}
		less, more := partition(x, s.cmp)
		if less > 1 && first < less && last >= 0 {
			s.sort(x[:less], first, last)
		}
		begin := n - more
		if more <= 1 || last < begin || first >= n {
			return
		}
		x, first, last = x[begin:], first-begin, last-begin
	}
}

func insertion[T any](x []T, cmp func(a, b T) int) {
	for i := 1; i < len(x); i++ {
		for j := i; j > 0 && cmp(x[j-1], x[j]) > 0; j-- {
			x[j-1], x[j] = x[j], x[j-1]
		}
	}
}

// partition moves elements so that those below a pivot come first, then those equal to it, then
// those above. It returns the numbers of those below and above.
func partition[T any](x []T, cmp func(a, b T) int) (less, more int) {
	n := len(x)
	p := pivot(x, cmp)
	x[0], x[p] = x[p], x[0]
	// x[:a] and x[d+1:] are equal to the pivot, x[a:b] is below it, x[c+1:d+1] above.
	a, b, c, d := 1, 1, n-1, n-1
	for {
		for ; b <= c; b++ {
			r := cmp(x[b], x[0])
			if r > 0 {
				break
			}
			if r == 0 {
				x[a], x[b] = x[b], x[a]
				a++
			}
		}
		for ; b <= c; c-- {
			r := cmp(x[c], x[0])
			if r < 0 {
				break
			}
			if r == 0 {
				x[c], x[d] = x[d], x[c]
				d--
			}
		}
		if b > c {
			break
		}
		x[b], x[c] = x[c], x[b]
		b++
		c--
	}
	exchange(x[:b], min(a, b-a))
	exchange(x[b:], min(d-c, n-1-d))
	return b - a, d - c
}

// exchange swaps the first k elements with the last k.
func exchange[T any](x []T, k int) {
	tail := x[len(x)-k:]
	for i := range k {
		x[i], tail[i] = tail[i], x[i]
	}
}

// pivot returns the index of an element that is likely to lie near the middle.
func pivot[T any](x []T, cmp func(a, b T) int) int {
	n := len(x)
	low, middle, high := 0, n/2, n-1
	if n == 7 {
		return middle
	}
	if n > 40 {
		d := n / 8
		low = median(x, cmp, [3]int{0, d, 2 * d})
		middle = median(x, cmp, [3]int{middle - d, middle, middle + d})
		high = median(x, cmp, [3]int{high - 2*d, high - d, high})
	}
	return median(x, cmp, [3]int{low, middle, high})
}

// median returns the index of the element in the middle of three.
func median[T any](x []T, cmp func(a, b T) int, at [3]int) int {
	a, b, c := at[0], at[1], at[2]
	if cmp(x[a], x[b]) < 0 {
		switch {
		case cmp(x[b], x[c]) < 0:
			return b
		case cmp(x[a], x[c]) < 0:
			return c
		}
		return a
	}
	switch {
	case cmp(x[b], x[c]) > 0:
		return b
	case cmp(x[a], x[c]) < 0:
		return a
	}
	return c
}

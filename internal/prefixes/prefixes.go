// Package prefixes answers one question: which of many prefixes does a name begin with?
//
// It imports nothing of this module and knows nothing of what the prefixes are for.
package prefixes

import (
	"iter"
	"slices"
)

// Map holds values under prefixes. To find those of a name takes one look-up for each
// length that any prefix has, however many prefixes there are. The zero Map is empty.
type Map[V any] struct {
	values  map[string]V
	lengths []length // shortest first
}

// length is a length that prefixes have, and how many have it.
type length struct{ bytes, count int }

// Len returns the number of prefixes.
func (m *Map[V]) Len() int { return len(m.values) }

// Get returns the value of exactly this prefix.
func (m *Map[V]) Get(prefix string) (V, bool) {
	v, ok := m.values[prefix]
	return v, ok
}

// Put gives a prefix a value.
func (m *Map[V]) Put(prefix string, v V) {
	if _, ok := m.values[prefix]; !ok {
		m.count(len(prefix), 1)
	}
	if m.values == nil {
		m.values = make(map[string]V)
	}
	m.values[prefix] = v
}

// Delete removes a prefix, which need not be there.
func (m *Map[V]) Delete(prefix string) {
	if _, ok := m.values[prefix]; ok {
		delete(m.values, prefix)
		m.count(len(prefix), -1)
	}
}

func (m *Map[V]) count(n, change int) {
	i, ok := slices.BinarySearchFunc(m.lengths, n, func(l length, n int) int { return l.bytes - n })
	if !ok {
		m.lengths = slices.Insert(m.lengths, i, length{bytes: n})
	}
	if m.lengths[i].count += change; m.lengths[i].count == 0 {
		m.lengths = slices.Delete(m.lengths, i, i+1)
	}
}

// Of returns the prefixes that name begins with, shortest first, and their values. The Map
// must not change meanwhile.
func (m *Map[V]) Of(name []byte) iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		for _, l := range m.lengths {
			if l.bytes > len(name) {
				return
			}
			if v, ok := m.values[string(name[:l.bytes])]; ok && !yield(string(name[:l.bytes]), v) {
				return
			}
		}
	}
}

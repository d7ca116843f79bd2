package store

import (
	"fmt"
	"testing"
)

// However many keys share a slot, none has a row above its bound.
func TestCommitBounds(t *testing.T) {
	var b commitBounds
	b.note([]Commit{{TS: 9, Mutations: []*KVPairMutation{{Key: []byte("before")}}}}) // nobody asks yet
	b.begin(10)
	newest := map[string]uint64{}
	for i := range 4 * boundSlots {
		key := fmt.Sprint(i % (3 * boundSlots))
		ts := 11 + uint64(i*7919%1000)
		newest[key] = max(newest[key], ts)
		b.note([]Commit{{TS: ts, Mutations: []*KVPairMutation{{Key: []byte(key)}}}})
	}
	for key, ts := range newest {
		if got := b.of([]byte(key)); got < ts {
			t.Fatalf("bound of %s is %d, a row is at %d", key, got, ts)
		}
	}
	b.begin(5)
	if got := b.of([]byte("1")); got != 5 {
		t.Errorf("bound after a new beginning is %d, want 5", got)
	}
}

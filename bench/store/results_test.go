package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestTable(t *testing.T) {
	r := &results{rows: []row{
		{name: "Get", kind: ratio, base: "pebble", target: 0.9},
		{name: "Get", kind: allocs, target: 2},
		{name: "Drop", kind: rate, target: 1000},
		{name: "Drop", kind: ratio, base: "before", target: 0.7},
	}}
	for _, s := range []sample{
		{name: "Get", by: "ours", ops: 10, elapsed: 30 * time.Microsecond, cpu: 20 * time.Microsecond, mallocs: 21},
		{name: "Get", by: "ours", ops: 10, elapsed: 20 * time.Microsecond, cpu: 20 * time.Microsecond, mallocs: 29},
		{name: "Get", by: "ours", ops: 10, elapsed: 10 * time.Microsecond, cpu: 20 * time.Microsecond, mallocs: 40},
		{name: "Get", by: "pebble", ops: 10, elapsed: 18 * time.Microsecond, cpu: 10 * time.Microsecond},
		{name: "Get", by: "badger", ops: 1, elapsed: 1500 * time.Millisecond},
		{name: "Drop", by: "ours", ops: 1000, elapsed: 2 * time.Second},
		{name: "Drop", by: "before", ops: 1000, elapsed: time.Second},
	} {
		r.add(job{}, turn{}, s)
	}
	var b strings.Builder
	if err := r.table(&b); err != nil {
		t.Fatal(err)
	}
	want := `
  ours    ±   base   ±  badger   ±  figure  by cpu      target  met  row (base)
   2µs  50%  1.8µs  0%    1.5s  0%   0.90x   0.50x       0.90x  yes  Get (pebble)
                                         2          <=2 allocs  yes  Get
   2ms   0%                          500/s              1000/s   NO  Drop
   2ms   0%    1ms  0%               0.50x               0.70x   NO  Drop (before)
`
	if got := "\n" + b.String(); got != want {
		t.Errorf("got%swant%s", got, want)
	}
}

// TestAdd names what a sample does not name itself.
func TestAdd(t *testing.T) {
	var r results
	r.add(job{name: "J"}, turn{by: "t"}, sample{ops: 1})
	r.add(job{name: "J"}, turn{by: "t"}, sample{name: "K", by: "u", ops: 2})
	if s := r.samples; s[0].name != "J" || s[0].by != "t" || s[1].name != "K" || s[1].by != "u" {
		t.Errorf("got %+v", s)
	}
}

// TestKeys says what keys and values must be for the rows to mean what they say.
func TestKeys(t *testing.T) {
	const n = 1000
	var keys [][]byte
	for _, i := range sortedNumbers(n) {
		keys = append(keys, appendKey(nil, i), appendMissingKey(nil, i))
	}
	if !slices.IsSortedFunc(keys, bytes.Compare) {
		t.Error("keys and the missing ones behind them are not in order")
	}
	for i, key := range keys {
		if len(key) != keySize || i > 0 && bytes.Equal(key, keys[i-1]) {
			t.Fatalf("key %d is %s, of %d bytes", i, key, len(key))
		}
	}
	for i := range n {
		if len(value(i)) != valueSize || i > 0 && bytes.Equal(value(i), value(i-1)) {
			t.Fatalf("value %d is %x", i, value(i))
		}
	}
}

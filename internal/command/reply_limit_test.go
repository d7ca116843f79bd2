package command

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/elastickv/elastickv/internal/resp"
)

// TestReplyLimit asks for the same large value again and again. The reply is an error, and what
// was to be removed with it is still there.
func TestReplyLimit(t *testing.T) {
	c := newCaller(t)
	c.env.MaxBulk = 1 << 30 // so that a value may be larger than a reply
	large := strings.Repeat("v", 1<<18)
	c.call("SET", "k", large)
	for i := range 5 {
		c.call("RPUSH", "l", large)
		c.call("RPUSH", "same", "k")
		c.call("SADD", "s", strconv.Itoa(i)+large)
		c.call("HSET", "h", strconv.Itoa(i), large)
		c.call("ZADD", "z", "1", strconv.Itoa(i)+large)
		c.call("XADD", "x", strconv.Itoa(i+1), "f", large)
	}
	c.call("XGROUP", "CREATE", "x", "g", "0")
	c.call("XREADGROUP", "GROUP", "g", "c", "COUNT", "1", "STREAMS", "x", ">")
	gets := []string{"SORT", "same", "BY", "nosort"}
	for range 1000 {
		gets = append(gets, "GET", "nosuch*")
	}
	c.call("SETRANGE", "huge", strconv.Itoa(1<<20), "x")
	for _, args := range [][]string{
		append([]string{"MGET"}, slices.Repeat([]string{"k"}, 5)...), {"GET", "huge"}, {"GETDEL", "huge"}, {"LRANGE", "l", "0", "-1"}, {"LPOP", "l", "5"}, {"SMEMBERS", "s"},
		{"SPOP", "s", "5"}, {"HGETALL", "h"}, {"HVALS", "h"}, {"ZRANGE", "z", "0", "-1"}, {"ZPOPMIN", "z", "5"}, {"XRANGE", "x", "-", "+"},
		{"SRANDMEMBER", "s", "-5"}, {"SRANDMEMBER", "s", "-9000000000000"}, {"HRANDFIELD", "h", "-9000000", "WITHVALUES"}, {"ZRANDMEMBER", "z", "-5"},
		append([]string{"HMGET", "h"}, slices.Repeat([]string{"1"}, 5)...), append([]string{"HGETEX", "h", "FIELDS", "5"}, slices.Repeat([]string{"1"}, 5)...),
		{"XREAD", "STREAMS", "x", "x", "0", "0"}, append([]string{"XCLAIM", "x", "g", "c", "0"}, slices.Repeat([]string{"1"}, 5)...),
		{"SORT", "same", "BY", "nosort", "GET", "*"}, {"SUNION", "s", "s"}, {"GETRANGE", "huge", "0", "-1"},
	} {
		before := c.call("DBSIZE")
		if v := c.call(args...); v.Kind != resp.KindError || v.Str != string(ErrReplyTooLong) {
			t.Errorf("%q: %.100s, want an error", args[:2], v)
		}
		if after := c.call("DBSIZE"); after.Int != before.Int {
			t.Errorf("%q: there are %d keys, there were %d", args[:2], after.Int, before.Int)
		}
	}
	for key, n := range map[string]int64{"l": c.call("LLEN", "l").Int, "s": c.call("SCARD", "s").Int, "z": c.call("ZCARD", "z").Int} {
		if n != 5 {
			t.Errorf("%s has %d elements left, want 5", key, n)
		}
	}
	if v := c.call(append([]string{"MGET"}, slices.Repeat([]string{"k"}, 3)...)...); len(v.Elems) != 3 {
		t.Errorf("a reply that fits: %.100s", v)
	}
	if v := c.call(gets...); len(v.Elems) != 5000 {
		t.Errorf("%d nothings, want 5000", len(v.Elems))
	}
}

// TestSortLimit sorts by, and stores, one large value for each of many elements.
func TestSortLimit(t *testing.T) {
	c := newCaller(t)
	c.call("SET", "w", strings.Repeat("v", 1<<20))
	add := []string{"RPUSH", "l"}
	for range 1200 {
		add = append(add, "w")
	}
	c.call(add...)
	for _, args := range [][]string{
		{"SORT", "l", "BY", "*", "ALPHA"}, {"SORT", "l", "BY", "nosort", "GET", "*", "STORE", "d"},
	} {
		if v := c.call(args...); v.Str != string(ErrSortTooLarge) {
			t.Errorf("%q: %.100s, want an error", args, v)
		}
	}
	if v := c.call("SORT", "l", "BY", "*", "ALPHA", "LIMIT", "0", "1"); v.Kind == resp.KindError && v.Str != string(ErrSortTooLarge) {
		t.Errorf("got %.100s", v)
	}
}

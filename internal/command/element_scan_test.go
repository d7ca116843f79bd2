package command

import (
	"fmt"
	"testing"

	"github.com/elastickv/elastickv/internal/resp"
)

// TestElementScans goes through large collections, page by page, while elements come
// and go: what is there all the time is returned.
func TestElementScans(t *testing.T) {
	for _, scan := range []struct {
		name   string
		add    func(c *caller, name string)
		remove func(c *caller, name string)
		page   int // strings in a reply for each element
	}{
		{"HSCAN", func(c *caller, name string) { c.call("HSET", "k", name, "v:"+name) },
			func(c *caller, name string) { c.call("HDEL", "k", name) }, 2},
		{"SSCAN", func(c *caller, name string) { c.call("SADD", "k", name) },
			func(c *caller, name string) { c.call("SREM", "k", name) }, 1},
	} {
		t.Run(scan.name, func(t *testing.T) {
			c := newCaller(t)
			for i := range 600 {
				scan.add(c, fmt.Sprint("n", i))
			}
			seen := map[string]bool{}
			cursor, pages := "0", 0
			for cursor != "0" || pages == 0 {
				reply := c.call(scan.name, "k", cursor, "COUNT", "37")
				cursor = reply.Elems[0].Str
				if n := len(reply.Elems[1].Elems); n > 37*scan.page {
					t.Errorf("a page has %d strings", n)
				}
				takePage(t, reply.Elems[1].Elems, scan.page, seen)
				scan.remove(c, fmt.Sprint("n", 500+pages))
				scan.add(c, fmt.Sprint("m", pages))
				if pages++; pages > 100 {
					t.Fatal("the scan does not end")
				}
			}
			for i := range 500 {
				if name := fmt.Sprint("n", i); !seen[name] {
					t.Errorf("%s was left out", name)
				}
			}
			if pages < 10 {
				t.Errorf("only %d pages", pages)
			}
		})
	}
}

// takePage notes the names on a page and checks that values belong to them.
func takePage(t *testing.T, elems []resp.Value, width int, seen map[string]bool) {
	t.Helper()
	for i := 0; i < len(elems); i += width {
		name := elems[i].Str
		if seen[name] {
			t.Errorf("%s came twice", name)
		}
		seen[name] = true
		if width == 2 && elems[i+1].Str != "v:"+name {
			t.Errorf("%s has the value %q", name, elems[i+1].Str)
		}
	}
}

// TestRandomRepliesAreBounded checks the replies whose size a count chooses.
func TestRandomRepliesAreBounded(t *testing.T) {
	c := newCaller(t) // MaxBulk is 1 MiB
	c.call("SADD", "s", "a", "b")
	c.call("HSET", "h", "a", "1", "b", "2")
	for _, call := range [][]string{
		{"SRANDMEMBER", "s", "-10000"},
		{"HRANDFIELD", "h", "-10000"},
		{"HRANDFIELD", "h", "-10000", "WITHVALUES"},
	} {
		n := 10000
		if len(call) == 4 {
			n *= 2
		}
		if v := c.call(call...); len(v.Elems) != n {
			t.Errorf("%q: %d elements, want %d", call, len(v.Elems), n)
		}
		for _, count := range []string{"-1000000", "-2000000", "-4000000000000000000"} {
			call[2] = count
			if v := c.call(call...); v.Kind != resp.KindError || v.Str != string(ErrReplyTooLong) {
				t.Errorf("%q answered %.100s", call, v)
			}
		}
	}
}

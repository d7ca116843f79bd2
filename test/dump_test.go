package test

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/elastickv/elastickv/internal/resp"
	"github.com/elastickv/elastickv/internal/testkit"
)

// TestDumpBothWays makes random values in a real redis-server, carries them to ours by
// DUMP and RESTORE and back again, and has the real one compare what returns with what
// it had.
func TestDumpBothWays(t *testing.T) {
	redis := testkit.Dial(t, testkit.Redis(t, "--sanitize-dump-payload", "yes").Addr, 2)
	ours := testkit.Dial(t, testkit.Memory(t), 2)
	rapid.Check(t, func(t *rapid.T) {
		for _, c := range []*testkit.Client{redis, ours} {
			if v, err := c.Do("FLUSHALL"); err != nil || v.Kind == resp.KindError {
				t.Fatalf("FLUSHALL: %v %v", v, err)
			}
		}
		value := drawValue(t)
		for _, args := range value {
			if v, err := redis.Do(args...); err != nil || v.Kind == resp.KindError && args[0] != "XCLAIM" && args[0] != "XREADGROUP" {
				t.Fatalf("%.200q: %v %v", args, v, err) // of these, there may be no group
			}
		}
		carry(t, redis, "k", ours, "k")
		if got, want := do(t, ours, "DEBUG", "DIGEST").Str, do(t, redis, "DEBUG", "DIGEST").Str; got != want {
			t.Fatalf("%.200q has the digest %s here, %s there", value, got, want)
		}
		carry(t, ours, "k", redis, "back")
		digests := do(t, redis, "DEBUG", "DIGEST-VALUE", "k", "back")
		if digests.Elems[0].Str != digests.Elems[1].Str {
			t.Fatalf("%.200q came back different", value)
		}
		kind := do(t, redis, "TYPE", "k").Str
		if kind == "stream" {
			compareStreams(t, redis)
		}
		got, want := do(t, ours, "OBJECT", "ENCODING", "k").Str, do(t, redis, "OBJECT", "ENCODING", "back").Str
		if got != want && kind != "set" && kind != "list" { // sets have listpacks since 7.2, and so have short lists
			t.Fatalf("%.200q is %s here, %s there", value, got, want)
		}
	})
}

// TestDumpOfExpiringFields carries hashes with fields that expire, some as late as can be, from ours to ours.
func TestDumpOfExpiringFields(t *testing.T) {
	ours := testkit.Dial(t, testkit.Memory(t), 2)
	rapid.Check(t, func(t *rapid.T) {
		do(t, ours, "FLUSHALL")
		const last = 1<<46 - 1
		n := rapid.SampledFrom([]int{1, 3, 600}).Draw(t, "fields")
		names := []string{"FIELDS", strconv.Itoa(n)}
		for i := range n {
			field := fmt.Sprint("f", i)
			names = append(names, field)
			do(t, ours, "HSET", "k", field, "v")
			if at := rapid.OneOf(rapid.Just(int64(0)), rapid.Int64Range(last-2, last), rapid.Int64Range(1<<45, last)).Draw(t, "at"); at > 0 {
				do(t, ours, "HPEXPIREAT", "k", strconv.FormatInt(at, 10), "FIELDS", "1", field)
			}
		}
		carry(t, ours, "k", ours, "back")
		got, want := do(t, ours, append([]string{"HPEXPIRETIME", "back"}, names...)...), do(t, ours, append([]string{"HPEXPIRETIME", "k"}, names...)...)
		if got.String() != want.String() {
			t.Fatalf("expires at %s, want %s", got, want)
		}
	})
}

// compareStreams compares all that XINFO tells of two streams, but how Redis keeps their entries.
func compareStreams(t *rapid.T, redis *testkit.Client) {
	t.Helper()
	a, b := do(t, redis, "XINFO", "STREAM", "k", "FULL", "COUNT", "0"), do(t, redis, "XINFO", "STREAM", "back", "FULL", "COUNT", "0")
	for i := 0; i < len(a.Elems); i += 2 {
		name := a.Elems[i].Str
		if got, want := b.Elems[i+1].String(), a.Elems[i+1].String(); got != want && name != "radix-tree-keys" && name != "radix-tree-nodes" {
			t.Fatalf("%s of the stream came back as %s, was %s", name, got, want)
		}
	}
}

// drawStream returns the commands that make a stream with groups.
func drawStream(t *rapid.T, kind string) (commands [][]string) {
	n := rapid.SampledFrom([]int{1, 5, 250}).Draw(t, "entries")
	for i := range n {
		args := []string{"XADD", "k", fmt.Sprintf("%d-%d", 5+i/3, 1+i%3)}
		for f := range rapid.IntRange(1, 3).Draw(t, "fields") {
			args = append(args, fmt.Sprint("field", f), drawElement(t, kind, i))
		}
		commands = append(commands, args)
	}
	for g := range rapid.IntRange(0, 2).Draw(t, "groups") {
		group := fmt.Sprint("g", g)
		commands = append(commands, []string{"XGROUP", "CREATE", "k", group, rapid.SampledFrom([]string{"0", "6-1", "$"}).Draw(t, "from")})
		if rapid.Bool().Draw(t, "has read a number") {
			commands = append(commands, []string{"XGROUP", "SETID", "k", group, "0", "ENTRIESREAD", drawCount(t, "read")})
		}
		for c := range rapid.IntRange(0, 2).Draw(t, "consumers") {
			commands = append(commands, []string{"XREADGROUP", "GROUP", group, fmt.Sprint("c", c), "COUNT", "3", "STREAMS", "k", ">"})
		}
	}
	for range rapid.IntRange(0, 2).Draw(t, "claims") {
		commands = append(commands, []string{"XCLAIM", "k", "g0", "c0", "0", "5-1", "RETRYCOUNT", drawCount(t, "deliveries"), "FORCE", "TIME", drawCount(t, "time")},
			[]string{"XREADGROUP", "GROUP", "g0", "c0", "STREAMS", "k", "0"}) // once more each
	}
	if rapid.Bool().Draw(t, "set ID") {
		id := rapid.SampledFrom([]string{"1000-1", "18446744073709551615-18446744073709551614"}).Draw(t, "ID")
		set := []string{"XSETID", "k", id}
		if rapid.Bool().Draw(t, "more") {
			set = append(set, "ENTRIESADDED", drawCount(t, "added"), "MAXDELETEDID", rapid.SampledFrom([]string{"0-0", "5-2", id}).Draw(t, "max deleted"))
		}
		commands = append(commands, set, []string{"XADD", "k", "18446744073709551615-18446744073709551615", "f", "v"})
	}
	for range rapid.IntRange(0, 3).Draw(t, "deleted") {
		i := rapid.IntRange(0, n-1).Draw(t, "which")
		commands = append(commands, []string{"XDEL", "k", fmt.Sprintf("%d-%d", 5+i/3, 1+i%3)})
	}
	return commands
}

// drawCount draws a number that a stream counts on from: extremes, too.
func drawCount(t *rapid.T, what string) string {
	return strconv.FormatInt(rapid.OneOf(rapid.SampledFrom([]int64{math.MaxInt64, math.MaxInt64 - 1, 1 << 62}), rapid.Int64Range(1000, 1<<40)).Draw(t, what), 10)
}

func do(t *rapid.T, c *testkit.Client, args ...string) resp.Value {
	t.Helper()
	v, err := c.Do(args...)
	if err != nil || v.Kind == resp.KindError {
		t.Fatalf("%.200q: %v %v", args, v, err)
	}
	return v
}

func carry(t *rapid.T, from *testkit.Client, src string, to *testkit.Client, dst string) {
	t.Helper()
	payload := do(t, from, "DUMP", src)
	if payload.IsNull() {
		t.Fatalf("%s is not there", src)
	}
	do(t, to, "RESTORE", dst, "0", payload.Str)
}

// drawValue returns the commands that make the key k.
func drawValue(t *rapid.T) (commands [][]string) {
	kind := rapid.SampledFrom([]string{"SET", "RPUSH", "SADD", "HSET", "ZADD", "XADD"}).Draw(t, "kind")
	n := rapid.SampledFrom([]int{1, 2, 5, 130, 600}).Draw(t, "elements")
	kindOfElement := rapid.SampledFrom([]string{"words", "integers", "mixed", "long"}).Draw(t, "content")
	if kind == "SET" {
		return [][]string{{"SET", "k", drawElement(t, kindOfElement, 0)}}
	}
	if kind == "XADD" {
		return drawStream(t, kindOfElement)
	}
	for i := range n {
		args := []string{kind, "k"}
		e := drawElement(t, kindOfElement, i)
		switch kind {
		case "HSET":
			args = append(args, e, drawElement(t, kindOfElement, i+1))
		case "ZADD":
			args = append(args, strconv.FormatFloat(drawScore(t), 'g', -1, 64), e)
		default:
			args = append(args, e)
		}
		commands = append(commands, args)
	}
	return commands
}

func drawElement(t *rapid.T, kind string, i int) string {
	switch kind {
	case "integers":
		return strconv.FormatInt(rapid.Int64().Draw(t, "n")>>rapid.IntRange(0, 60).Draw(t, "shift"), 10)
	case "mixed":
		return rapid.OneOf(rapid.StringN(0, 40, -1), rapid.Map(rapid.Int(), strconv.Itoa)).Draw(t, "s")
	case "long":
		return fmt.Sprintf("%d", i) + strings.Repeat(rapid.StringN(1, 20, -1).Draw(t, "s"), rapid.IntRange(1, 400).Draw(t, "times"))
	}
	return rapid.StringMatching(`[a-z]{0,10}`).Draw(t, "word")
}

func drawScore(t *rapid.T) float64 {
	return rapid.OneOf(rapid.Float64(), rapid.Map(rapid.Int64Range(-1000, 1000), func(n int64) float64 { return float64(n) })).Draw(t, "score")
}

package main

import (
	"slices"
	"strings"
)

// test is one workload of redis-benchmark.
type test struct {
	name string
	// args choose it: options of redis-benchmark, or a command that it repeats.
	args []string
	// fill, if there is one, is carried out fillTimes before the first round.
	fill []string
	// refill, if there is one, is carried out before each round, as often as the test: what takes something away
	// has to find something.
	refill []string
	hot    bool // one key for all
	fewer  int  // if above 0, so many times fewer requests than other tests have: each costs as much as many
}

const fillTimes = 1000

// suite is every test, in the order in which they run: later ones find the keys of earlier ones. The
// ranges of lists are commands of their own, since -t would time the filling of the list as well.
var suite = []test{
	{name: "PING_INLINE", args: []string{"-t", "ping_inline"}},
	{name: "PING_MBULK", args: []string{"-t", "ping_mbulk"}},
	{name: "SET", args: []string{"-t", "set"}},
	{name: "GET", args: []string{"-t", "get"}},
	{name: "INCR", args: []string{"-t", "incr"}},
	{name: "LPUSH", args: []string{"-t", "lpush"}},
	{name: "RPUSH", args: []string{"-t", "rpush"}},
	{name: "LPOP", args: []string{"-t", "lpop"}},
	{name: "RPOP", args: []string{"-t", "rpop"}},
	{name: "SADD", args: []string{"-t", "sadd"}},
	{name: "HSET", args: []string{"-t", "hset"}},
	{name: "SPOP", args: []string{"-t", "spop"}, refill: []string{"-r", manyMembers, "-t", "sadd"}},
	{name: "ZADD", args: []string{"-t", "zadd"}},
	{name: "ZPOPMIN", args: []string{"-t", "zpopmin"}, refill: []string{"-r", manyMembers, "-t", "zadd"}},
	{name: "LRANGE_100", fewer: 5, args: []string{"lrange", "rangelist", "0", "99"}, fill: []string{"rpush", "rangelist", filler}},
	{name: "LRANGE_300", fewer: 5, args: []string{"lrange", "rangelist", "0", "299"}},
	{name: "LRANGE_500", fewer: 5, args: []string{"lrange", "rangelist", "0", "499"}},
	{name: "LRANGE_600", fewer: 5, args: []string{"lrange", "rangelist", "0", "599"}},
	{name: "MSET (10 keys)", args: []string{"-t", "mset"}},
	{name: "INCR, one key", args: []string{"incr", "hot:counter"}, hot: true},
	{name: "RPUSH, one list", args: []string{"rpush", "hot:list", filler}, hot: true},
	{name: "ZINCRBY, one sorted set", args: []string{"zincrby", "hot:zset", "1", "member:__rand_int__"}, hot: true},
}

// manyMembers is a keyspace from which hardly any member is drawn twice.
const manyMembers = "1000000000"

// filler is an element of the size of other values.
const filler = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

// testsNamed returns the tests whose names begin with one of a list, in any case.
func testsNamed(list string) []test {
	var out []test
	for _, t := range suite {
		if beginsWithOne(t.name, list) {
			out = append(out, t)
		}
	}
	return out
}

// beginsWithOne reports whether a name begins with one of a list that commas separate, in any case.
func beginsWithOne(name, list string) bool {
	return slices.ContainsFunc(strings.Split(list, ","), func(prefix string) bool {
		return strings.HasPrefix(strings.ToLower(name), strings.ToLower(prefix))
	})
}

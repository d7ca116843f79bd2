package script_test

import (
	"fmt"
	"testing"

	"github.com/elastickv/elastickv/internal/resp"
	"github.com/elastickv/elastickv/internal/testkit"
)

// everyday are scripts as applications have them, with the keys and arguments of call i.
var everyday = map[string]struct {
	source string
	call   func(i int) []string
}{
	"nothing": {"return 1", func(int) []string { return []string{"0"} }},
	"rate limiter": {`
		local count = redis.call('INCR', KEYS[1])
		if count == 1 then redis.call('EXPIRE', KEYS[1], ARGV[2]) end
		local left = redis.call('TTL', KEYS[1])
		if count > tonumber(ARGV[1]) then return {0, left} end
		return {1, left}`,
		func(i int) []string { return []string{"1", fmt.Sprintf("limit:{%d}", i%1000), "1000000", "3600"} }},
	"leaderboard": {`
		local score = tonumber(ARGV[2]) + (tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1])) or 0)
		redis.call('ZADD', KEYS[1], score, ARGV[1])
		local rank = redis.call('ZREVRANK', KEYS[1], ARGV[1])
		return {rank, tostring(score), redis.call('ZREVRANGE', KEYS[1], 0, 4, 'WITHSCORES')}`,
		func(i int) []string {
			return []string{"1", "board", fmt.Sprintf("player:%d", i*7919%5000), fmt.Sprint(i % 100)}
		}},
	"job queue": {`
		local opts = cmsgpack.unpack(cmsgpack.pack({attempts = 3, delay = 0, backoff = {type = 'exponential', delay = 1000}}))
		local id = redis.call('INCR', KEYS[3])
		local job = KEYS[2] .. id
		redis.call('HMSET', job, 'name', ARGV[1], 'data', ARGV[2], 'opts', cjson.encode(opts), 'timestamp', ARGV[3], 'delay', opts.delay or 0)
		redis.call('LPUSH', KEYS[1], id)
		local next = redis.call('RPOP', KEYS[1])
		local fields = redis.call('HGETALL', KEYS[2] .. next)
		local data = {}
		for i = 1, #fields, 2 do data[fields[i]] = fields[i + 1] end
		redis.call('DEL', KEYS[2] .. next)
		return {id .. '', data.name, cjson.decode(data.data).user}`,
		func(i int) []string {
			return []string{"3", "q:wait", "q:job:", "q:id", "mail", fmt.Sprintf(`{"user":%d,"address":"a@example.com","items":[1,2,3]}`, i), "1700000000000"}
		}},
}

// BenchmarkEvery calls everyday scripts over a folder, in pipelines of a hundred.
func BenchmarkEvery(b *testing.B) {
	c := testkit.Dial(b, testkit.Folder(b, b.TempDir()), 2)
	for name, script := range everyday {
		b.Run(name, func(b *testing.B) {
			sha := c.MustDo(b, "SCRIPT", "LOAD", script.source).Str
			b.ReportAllocs()
			for i := 0; i < b.N; {
				sent := 0
				for ; sent < 100 && i < b.N; sent++ {
					if err := c.Send(append([]string{"EVALSHA", sha}, script.call(i)...)...); err != nil {
						b.Fatal(err)
					}
					i++
				}
				if err := c.Flush(); err != nil {
					b.Fatal(err)
				}
				for range sent {
					if v, err := c.Receive(); err != nil || v.Kind == resp.KindError {
						b.Fatal(v, err)
					}
				}
			}
		})
	}
}

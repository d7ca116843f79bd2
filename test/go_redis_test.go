package test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/elastickv/elastickv/internal/testkit"
)

// TestGoRedis does the everyday work of a Go program, in both protocols.
func TestGoRedis(t *testing.T) {
	addr := testkit.Folder(t, t.TempDir())
	for _, protocol := range []int{2, 3} {
		t.Run(fmt.Sprintf("protocol %d", protocol), func(t *testing.T) {
			c := goRedis(t, &redis.Options{Addr: addr, Protocol: protocol, DB: protocol, ClientName: "suite"})
			for _, part := range []struct {
				name string
				run  func(t *testing.T, c *redis.Client)
			}{
				{"connection", goRedisConnection},
				{"strings", goRedisStrings},
				{"collections", goRedisCollections},
				{"fields that expire", goRedisFields},
				{"payloads", goRedisPayloads},
				{"pipelines", goRedisPipelines},
				{"scans", goRedisScans},
				{"watch", goRedisWatch},
			} {
				t.Run(part.name, func(t *testing.T) {
					ok(t, c.FlushDB(t.Context()).Err())
					part.run(t, c)
				})
			}
		})
	}
}

func goRedis(t *testing.T, o *redis.Options) *redis.Client {
	t.Helper()
	c := redis.NewClient(o)
	t.Cleanup(func() { ok(t, c.Close()) })
	ok(t, c.Ping(t.Context()).Err())
	return c
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// same compares what a command returned with what it should have, both as Go prints them.
func same[T any](t *testing.T, what string, got T, err error, want T) {
	t.Helper()
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s: got %v (%v), want %v", what, got, err, want)
	}
}

func goRedisConnection(t *testing.T, c *redis.Client) {
	ctx := t.Context()
	name, err := c.ClientGetName(ctx).Result()
	same(t, "CLIENT GETNAME", name, err, "suite")
	info, err := c.ClientInfo(ctx).Result()
	ok(t, err)
	if info.Name != "suite" || !strings.HasPrefix(info.LibName, "go-redis") || info.LibVer == "" {
		t.Errorf("CLIENT INFO: got name %q, library %q %q", info.Name, info.LibName, info.LibVer)
	}
	conf, err := c.ConfigGet(ctx, "appendonly").Result()
	same(t, "CONFIG GET", conf["appendonly"], err, "yes")
	now, err := c.Time(ctx).Result()
	if ok(t, err); time.Since(now).Abs() > time.Hour {
		t.Errorf("TIME: got %v", now)
	}
	text, err := c.Info(ctx, "server", "keyspace").Result()
	if ok(t, err); !strings.Contains(text, "redis_version:7.") {
		t.Errorf("INFO: got %q", text)
	}
	cmds, err := c.Command(ctx).Result()
	ok(t, err)
	if get := cmds["get"]; get == nil || get.Arity != 2 || !get.ReadOnly || get.FirstKeyPos != 1 {
		t.Errorf("COMMAND: get is %+v", get)
	}
}

func goRedisStrings(t *testing.T, c *redis.Client) {
	ctx := t.Context()
	binary := "\x00\r\n\xff" + strings.Repeat("x", 1<<20)
	ok(t, c.Set(ctx, "k", binary, 0).Err())
	got, err := c.Get(ctx, "k").Result()
	if err != nil || got != binary {
		t.Errorf("a value of %d bytes came back as %d bytes (%v)", len(binary), len(got), err)
	}
	if err := c.Get(ctx, "nosuch").Err(); !errors.Is(err, redis.Nil) {
		t.Errorf("GET of nothing: got %v, want redis.Nil", err)
	}
	set, err := c.SetNX(ctx, "k", "other", time.Hour).Result()
	same(t, "SETNX", set, err, false)
	ok(t, c.Set(ctx, "ttl", "v", time.Hour).Err())
	ttl, err := c.TTL(ctx, "ttl").Result()
	if ok(t, err); ttl <= 59*time.Minute || ttl > time.Hour {
		t.Errorf("TTL: got %v, want an hour", ttl)
	}
	n, err := c.IncrBy(ctx, "n", 41).Result()
	same(t, "INCRBY", n, err, 41)
	f, err := c.IncrByFloat(ctx, "f", 1.5).Result()
	same(t, "INCRBYFLOAT", f, err, 1.5)
	ok(t, c.MSet(ctx, "a", "1", "b", "2").Err())
	many, err := c.MGet(ctx, "a", "nosuch", "b").Result()
	same(t, "MGET", many, err, []any{"1", nil, "2"})
	if err := c.Incr(ctx, "k").Err(); err == nil || err.Error() != "ERR value is not an integer or out of range" {
		t.Errorf("INCR of text: got %v", err)
	}
	if err := c.LPush(ctx, "k", "x").Err(); err == nil || !strings.HasPrefix(err.Error(), "WRONGTYPE") {
		t.Errorf("LPUSH to a string: got %v", err)
	}
}

func goRedisCollections(t *testing.T, c *redis.Client) {
	ctx := t.Context()
	ok(t, c.HSet(ctx, "h", map[string]any{"f": "v", "n": 1}).Err())
	hash, err := c.HGetAll(ctx, "h").Result()
	same(t, "HGETALL", hash, err, map[string]string{"f": "v", "n": "1"})
	ok(t, c.RPush(ctx, "l", "a", "b", "c").Err())
	list, err := c.LRange(ctx, "l", 0, -1).Result()
	same(t, "LRANGE", list, err, []string{"a", "b", "c"})
	ok(t, c.SAdd(ctx, "s", "x", "y").Err())
	member, err := c.SIsMember(ctx, "s", "x").Result()
	same(t, "SISMEMBER", member, err, true)
	members, err := c.SMembersMap(ctx, "s").Result()
	same(t, "SMEMBERS", members, err, map[string]struct{}{"x": {}, "y": {}})
	ok(t, c.ZAdd(ctx, "z", redis.Z{Score: 2.5, Member: "b"}, redis.Z{Score: -1, Member: "a"}).Err())
	ranked, err := c.ZRangeWithScores(ctx, "z", 0, -1).Result()
	same(t, "ZRANGE", ranked, err, []redis.Z{{Score: -1, Member: "a"}, {Score: 2.5, Member: "b"}})
	score, err := c.ZScore(ctx, "z", "b").Result()
	same(t, "ZSCORE", score, err, 2.5)
	popped, err := c.ZPopMin(ctx, "z").Result()
	same(t, "ZPOPMIN", popped, err, []redis.Z{{Score: -1, Member: "a"}})
}

func goRedisPipelines(t *testing.T, c *redis.Client) {
	ctx := t.Context()
	const n = 2000
	sums := make([]*redis.IntCmd, n)
	_, err := c.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i := range n {
			sums[i] = p.Incr(ctx, "n")
		}
		return nil
	})
	ok(t, err)
	for i, s := range sums {
		same(t, "INCR in a pipeline", s.Val(), s.Err(), int64(i+1))
	}
	// Replies of more bytes than the sockets hold, none of which the client reads before
	// it has sent everything.
	ok(t, c.Set(ctx, "big", strings.Repeat("v", 20_000), 0).Err())
	cmds, err := c.Pipelined(ctx, func(p redis.Pipeliner) error {
		for range n {
			p.Get(ctx, "big")
		}
		return nil
	})
	ok(t, err)
	for _, cmd := range cmds {
		if got := cmd.(*redis.StringCmd).Val(); len(got) != 20_000 {
			t.Fatalf("GET in a pipeline: got %d bytes", len(got))
		}
	}
	var size *redis.IntCmd
	_, err = c.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.RPush(ctx, "l", 1, 2)
		p.LPop(ctx, "l")
		size = p.LLen(ctx, "l")
		return nil
	})
	same(t, "LLEN in a transaction", size.Val(), err, 1)
}

func goRedisScans(t *testing.T, c *redis.Client) {
	ctx := t.Context()
	const n = 500
	want := make(map[string]bool)
	_, err := c.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i := range n {
			p.Set(ctx, "scan:"+strconv.Itoa(i), i, 0)
			want["scan:"+strconv.Itoa(i)] = true
			p.Set(ctx, "other:"+strconv.Itoa(i), i, 0)
		}
		return nil
	})
	ok(t, err)
	iter := c.Scan(ctx, 0, "scan:*", 17).Iterator()
	for iter.Next(ctx) {
		if !want[iter.Val()] {
			t.Errorf("SCAN: got %q twice, or it does not match", iter.Val())
		}
		delete(want, iter.Val())
	}
	if ok(t, iter.Err()); len(want) > 0 {
		t.Errorf("SCAN has left out %d keys", len(want))
	}
}

// goRedisWatch counts under WATCH with many clients at once: every count that was
// committed is there, and no other.
func goRedisWatch(t *testing.T, c *redis.Client) {
	const clients, each = 8, 25
	add := func(ctx context.Context, key string) error {
		return c.Watch(ctx, func(tx *redis.Tx) error {
			n, err := tx.Get(ctx, key).Int()
			if err != nil && !errors.Is(err, redis.Nil) {
				return err
			}
			_, err = tx.TxPipelined(ctx, func(p redis.Pipeliner) error {
				p.Set(ctx, key, n+1, 0)
				p.RPush(ctx, key+":log", n+1)
				return nil
			})
			return err
		}, key)
	}
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for done := 0; done < each; {
				err := add(t.Context(), "count")
				if errors.Is(err, redis.TxFailedErr) {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				done++
			}
		})
	}
	all.Wait()
	n, err := c.Get(t.Context(), "count").Int()
	same(t, "the count", n, err, clients*each)
	log, err := c.LRange(t.Context(), "count:log", 0, -1).Result()
	ok(t, err)
	for i, entry := range log {
		if entry != strconv.Itoa(i+1) {
			t.Fatalf("entry %d of the log is %s", i, entry)
		}
	}
	if len(log) != clients*each {
		t.Errorf("the log has %d entries, want %d", len(log), clients*each)
	}
}

func goRedisFields(t *testing.T, c *redis.Client) {
	ctx := t.Context()
	ok(t, c.HSet(ctx, "h", "a", 1, "b", 2, "c", 3).Err())
	set, err := c.HExpire(ctx, "h", time.Minute, "a", "nosuch").Result()
	same(t, "HEXPIRE", set, err, []int64{1, -2})
	set, err = c.HExpireWithArgs(ctx, "h", time.Hour, redis.HExpireArgs{NX: true}, "a", "b").Result()
	same(t, "HEXPIRE NX", set, err, []int64{0, 1})
	left, err := c.HTTL(ctx, "h", "a", "b", "c").Result()
	same(t, "HTTL", left, err, []int64{60, 3600, -1})
	set, err = c.HPersist(ctx, "h", "a", "c").Result()
	same(t, "HPERSIST", set, err, []int64{1, -1})
	values, err := c.HGetEXWithArgs(ctx, "h", &redis.HGetEXOptions{ExpirationType: redis.HGetEXExpirationPX, ExpirationVal: 60000}, "a", "b").Result()
	same(t, "HGETEX", values, err, []string{"1", "2"})
	n, err := c.HSetEXWithArgs(ctx, "h", &redis.HSetEXOptions{Condition: redis.HSetEXFXX, ExpirationType: redis.HSetEXExpirationEX, ExpirationVal: 100}, "a", "5").Result()
	same(t, "HSETEX", n, err, int64(1))
	values, err = c.HGetDel(ctx, "h", "a").Result()
	same(t, "HGETDEL", values, err, []string{"5"})
	names, _, err := c.HScanNoValues(ctx, "h", 0, "", 0).Result()
	same(t, "HSCAN NOVALUES", names, err, []string{"b", "c"})
}

func goRedisPayloads(t *testing.T, c *redis.Client) {
	ctx := t.Context()
	ok(t, c.RPush(ctx, "l", "a", "b").Err())
	payload, err := c.Dump(ctx, "l").Result()
	ok(t, err)
	ok(t, c.Restore(ctx, "copy", time.Minute, payload).Err())
	got, err := c.LRange(ctx, "copy", 0, -1).Result()
	same(t, "RESTORE", got, err, []string{"a", "b"})
	if err := c.Restore(ctx, "copy", 0, payload).Err(); err == nil || !strings.HasPrefix(err.Error(), "BUSYKEY") {
		t.Errorf("RESTORE of a key that is there: %v", err)
	}
	ok(t, c.RestoreReplace(ctx, "copy", 0, payload).Err())
}

package rdb_test

import (
	"bytes"
	"encoding/hex"
	"flag"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/elastickv/elastickv/internal/rdb"
	"github.com/elastickv/elastickv/internal/resp"
	"github.com/elastickv/elastickv/internal/testkit"
)

// TestPayloads parses what a real redis-server has answered to DUMP, and compares it
// with what Append makes of the same value. With -rewrite the server is asked anew for
// the key k, after the commands of each block.
func TestPayloads(t *testing.T) {
	var redis *testkit.Client
	if flag.Lookup("rewrite").Value.String() == "true" {
		redis = testkit.Dial(t, testkit.Redis(t).Addr, 2)
	}
	datadriven.RunTest(t, "testdata/payloads.txt", func(t *testing.T, d *datadriven.TestData) string {
		var payload []byte
		if redis != nil {
			payload = dump(t, redis, d.Input)
		} else {
			payload = rdb.Unhex(t, d.Expected)
		}
		v, err := rdb.Parse(payload)
		if err != nil {
			t.Fatalf("%s: %v", d.Pos, err)
		}
		again := rdb.Append(nil, v)
		back, err := rdb.Parse(again)
		if err != nil || rdb.Show(back) != rdb.Show(v) {
			t.Errorf("%s: written and read again: %v\n%s\nwant %s", d.Pos, err, rdb.Show(back), rdb.Show(v))
		}
		same := "other bytes than ours"
		if bytes.Equal(again, payload) {
			same = "our bytes"
		}
		return hex.EncodeToString(payload) + "\n" + rdb.Show(v) + "\n" + same + "\n"
	})
}

// dump runs commands and returns the payload of the key k.
func dump(t *testing.T, redis *testkit.Client, commands string) []byte {
	t.Helper()
	redis.MustDo(t, "FLUSHALL")
	for line := range strings.Lines(commands) {
		args, err := testkit.Split(strings.TrimSuffix(line, "\n"))
		if err != nil {
			t.Fatal(err)
		}
		redis.MustDo(t, args...)
	}
	return []byte(redis.MustDo(t, "DUMP", "k").Str)
}

// stricter are the bad payloads that Redis takes: it reads on into the footer, ignores
// what is left over, and reads a score up to what is no digit.
var stricter = map[string]bool{
	"a string cut off": true, "bytes left over": true, "stream, entry above the last": true, "listpack with a word as score": true,
}

// TestPayloadsAgainstRedis hands the payloads of other versions, and the bad ones, to a
// real server.
func TestPayloadsAgainstRedis(t *testing.T) {
	redis := testkit.Dial(t, testkit.Redis(t, "--sanitize-dump-payload", "yes").Addr, 2)
	for _, c := range rdb.OlderPayloads {
		if c.Newer {
			continue
		}
		redis.MustDo(t, "RESTORE", "k", "0", reseal(c.Payload), "REPLACE")
		v, err := rdb.Parse([]byte(redis.MustDo(t, "DUMP", "k").Str))
		if err != nil || rdb.Show(v) != c.Want {
			t.Errorf("%s: Redis has %v, %s\nwant %s", c.Name, err, rdb.Show(v), c.Want)
		}
	}
	for name, p := range rdb.BadPayloads {
		reply, err := redis.Do("RESTORE", "k", "0", reseal(p), "REPLACE")
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if refused := reply.Kind == resp.KindError; refused == stricter[name] {
			t.Errorf("%s: Redis says %s", name, reply)
		}
	}
}

// reseal gives a payload the version that Redis 7.0 reads.
func reseal(payload []byte) string {
	return string(rdb.Seal(rdb.Unseal(payload)))
}

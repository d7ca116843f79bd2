package test

import (
	"cmp"
	"flag"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/elastickv/elastickv/internal/resp"
	"github.com/elastickv/elastickv/internal/testkit"
)

var keysFlag = flag.Int("keys", 0, "number of keys that TestRecovery loads; 0: 20000, or 2000 with -short")

// farAway is when the keys that expire do so: in the year 2100, in milliseconds.
const farAway = "4102444800000"

// TestRecovery loads keys of every type, kills the server with SIGKILL and reads every
// one of them back. Then it does the same with a server that is asked to end.
func TestRecovery(t *testing.T) {
	n := cmp.Or(*keysFlag, 20_000)
	if testing.Short() && *keysFlag == 0 {
		n = 2000
	}
	dir := t.TempDir()
	s := testkit.Elastickv(t, dir)
	inShares(t, s, n, func(c *testkit.Client, lo, hi int) error { return load(c, lo, hi) })
	s.Kill()

	s = testkit.Elastickv(t, dir)
	checkDataset(t, s, n)
	if err := s.Stop(); err != nil {
		t.Fatalf("asked to end, the server answered %v:\n%s", err, s.Log())
	}

	s = testkit.Elastickv(t, dir)
	checkDataset(t, s, n)
}

func checkDataset(t *testing.T, s *testkit.Server, n int) {
	t.Helper()
	if got := testkit.Dial(t, s.Addr, 2).MustDo(t, "DBSIZE").Int; got != int64(n) {
		t.Errorf("DBSIZE: got %d, want %d", got, n)
	}
	inShares(t, s, n, verify)
}

// inShares divides the keys [0, n) among a few connections at once.
func inShares(t *testing.T, s *testkit.Server, n int, fn func(c *testkit.Client, lo, hi int) error) {
	t.Helper()
	const shares = 4
	var wg sync.WaitGroup
	for i := range shares {
		c := testkit.Dial(t, s.Addr, 2)
		wg.Go(func() {
			if err := fn(c, n*i/shares, n*(i+1)/shares); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		t.Fatalf("the server's output:\n%s", s.Log())
	}
}

// pipelined is how many keys go into one pipeline.
const pipelined = 200

// load writes the keys [lo, hi).
func load(c *testkit.Client, lo, hi int) error {
	for ; lo < hi; lo += pipelined {
		var sent [][]string
		for i := lo; i < min(lo+pipelined, hi); i++ {
			sent = append(sent, sample(i).write...)
		}
		if err := exchange(c, sent, func(i int, v resp.Value) error {
			if v.Kind == resp.KindError {
				return fmt.Errorf("%.100q: %s", sent[i], v)
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// verify reads the keys [lo, hi) and compares.
func verify(c *testkit.Client, lo, hi int) error {
	for ; lo < hi; lo += pipelined {
		var sent [][]string
		var want []string
		for i := lo; i < min(lo+pipelined, hi); i++ {
			k := sample(i)
			sent = append(sent, k.read, []string{"PEXPIRETIME", k.read[1]})
			want = append(want, k.want, k.expiry())
		}
		if err := exchange(c, sent, func(i int, v resp.Value) error {
			if sent[i][0] == "HGETALL" || sent[i][0] == "SMEMBERS" {
				v = sorted(v, sent[i][0] == "HGETALL") // elements are made in rising order
			}
			if got := flat(v); got != want[i] {
				return fmt.Errorf("%q: got %.200q, want %.200q", sent[i], got, want[i])
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// exchange sends commands as one pipeline and calls fn with each reply.
func exchange(c *testkit.Client, cmds [][]string, fn func(i int, v resp.Value) error) error {
	for _, cmd := range cmds {
		if err := c.Send(cmd...); err != nil {
			return err
		}
	}
	for i := range cmds {
		v, err := c.Receive()
		if err != nil {
			return fmt.Errorf("%.100q: %w", cmds[i], err)
		}
		if err := fn(i, v); err != nil {
			return err
		}
	}
	return nil
}

// flat turns a reply into words that can be compared, in the order of the reply.
func flat(v resp.Value) string {
	switch v.Kind {
	case resp.KindArray:
		words := make([]string, len(v.Elems))
		for i, e := range v.Elems {
			words[i] = flat(e)
		}
		return strings.Join(words, " ")
	case resp.KindInt:
		return strconv.FormatInt(v.Int, 10)
	}
	return v.Str
}

// testKey is one key of the dataset: how it is written, how it is read, and what is there
// then.
type testKey struct {
	write   [][]string
	read    []string
	want    string
	expires bool
}

func (k testKey) expiry() string {
	if k.expires {
		return farAway
	}
	return "-1"
}

// sample makes key number i. Types take turns; every thousandth key of a type is a large
// one, and one key in ten expires.
func sample(i int) testKey {
	key := fmt.Sprintf("key:%08d", i)
	n := 1 + i/8%5
	if i/8%1000 == 999 {
		n = 700
	}
	k := testKey{expires: i%10 == 3}
	switch i % 8 {
	case 0, 1:
		k.string(key, strings.Repeat(strconv.Itoa(i)+"\x00", n))
	case 2: // so large that most of them stand apart from their keys on the disk
		k.string(key, strings.Repeat(strconv.Itoa(i)+"\x00", 200*n))
	case 3:
		k.string(key, strconv.Itoa(i))
	case 4:
		k.collect(key, "HSET", []string{"HGETALL", key}, n, func(j int) (string, []string) {
			f, v := fmt.Sprintf("f%04d", j), strconv.Itoa(i*j)
			return f + " " + v, []string{f, v}
		})
	case 5:
		k.collect(key, "RPUSH", []string{"LRANGE", key, "0", "-1"}, n, func(j int) (string, []string) {
			e := strconv.Itoa(i ^ j)
			return e, []string{e}
		})
	case 6:
		k.collect(key, "SADD", []string{"SMEMBERS", key}, n, func(j int) (string, []string) {
			m := fmt.Sprintf("m%04d", j)
			return m, []string{m}
		})
	case 7:
		k.collect(key, "ZADD", []string{"ZRANGE", key, "0", "-1", "WITHSCORES"}, n, func(j int) (string, []string) {
			m, score := fmt.Sprintf("m%04d", j), strconv.Itoa(j-i%3)
			return m + " " + score, []string{score, m}
		})
	}
	if k.expires {
		k.write = append(k.write, []string{"PEXPIREAT", key, farAway})
	}
	return k
}

func (k *testKey) string(key, value string) {
	k.write = [][]string{{"SET", key, value}}
	k.read = []string{"GET", key}
	k.want = value
}

// collect makes a collection of n elements; element returns how one is read and how it is
// written.
func (k *testKey) collect(key, write string, read []string, n int, element func(j int) (string, []string)) {
	cmd := []string{write, key}
	words := make([]string, n)
	for j := range n {
		var args []string
		words[j], args = element(j)
		cmd = append(cmd, args...)
	}
	k.write, k.read, k.want = [][]string{cmd}, read, strings.Join(words, " ")
}

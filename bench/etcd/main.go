// Command etcd answers: how long does what bench cluster measures take an etcd? Its clients do the same as those of bench,
// through etcd's own client, and it prints how long each operation has taken. It measures nothing else, and starts no etcd.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// load is what clients do, each again and again.
type load struct {
	endpoint       string
	op             string
	clients, depth int
	keys, size     int
	seconds        float64
	seed           uint64
	share          int
}

// Report is what is printed of a load: how long it took, and how long each operation, in nanoseconds.
type Report struct {
	Elapsed int64   `json:"elapsed"`
	Took    []int64 `json:"took"`
}

func main() {
	if err := run(context.Background(), os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench etcd:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	l, err := parse(args)
	if err != nil {
		return err
	}
	conns, err := l.connect()
	if err != nil {
		return err
	}
	defer closeAll(conns)
	if l.op == "fill" {
		return l.fill(ctx, conns[0])
	}
	report, err := l.take(ctx, conns)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(out)
	return errors.Join(json.NewEncoder(w).Encode(report), w.Flush())
}

func parse(args []string) (l load, err error) {
	fs := flag.NewFlagSet("etcd", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.StringVar(&l.endpoint, "endpoint", "", "URL of the member that is asked")
	fs.StringVar(&l.op, "op", "put", "put, get, or fill")
	fs.IntVar(&l.clients, "c", 50, "clients")
	fs.IntVar(&l.share, "share", 10, "clients that share a connection")
	fs.IntVar(&l.depth, "P", 1, "puts or gets at once: in one transaction, if above 1")
	fs.IntVar(&l.keys, "r", 100_000, "different keys")
	fs.IntVar(&l.size, "d", 100, "bytes of a value")
	fs.Float64Var(&l.seconds, "seconds", 2, "seconds of the load")
	fs.Uint64Var(&l.seed, "seed", 1, "what chance begins with")
	if err := fs.Parse(args); err != nil {
		return l, err
	}
	known := l.op == "put" || l.op == "get" || l.op == "fill"
	if !known || l.endpoint == "" || min(l.clients, l.share, l.depth, l.keys, l.size) < 1 || l.depth > txnMost || l.seconds <= 0 || fs.NArg() > 0 {
		return l, fmt.Errorf("want -endpoint, -op put, get or fill, numbers above 0, -P to %d", txnMost)
	}
	return l, nil
}

// txnMost is how many operations an etcd allows in a transaction, by default.
const txnMost = 128

// connect makes as many connections as the clients need.
func (l load) connect() (conns []*clientv3.Client, err error) {
	for range (l.clients + l.share - 1) / l.share {
		c, err := clientv3.New(clientv3.Config{Endpoints: []string{l.endpoint}, DialTimeout: 5 * time.Second, Logger: zap.NewNop()})
		if err != nil {
			closeAll(conns)
			return nil, err
		}
		conns = append(conns, c)
	}
	return conns, nil
}

func closeAll(conns []*clientv3.Client) {
	for _, c := range conns {
		_ = c.Close() // nothing is under way
	}
}

// key is named as bench names its keys.
func key(i int) string { return fmt.Sprintf("data:%012d", i) }

// value returns bytes that cannot be compressed.
func (l load) value(rng *rand.Rand) string {
	b := make([]byte, l.size)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return string(b)
}

// fill puts a value under every key.
func (l load) fill(ctx context.Context, c *clientv3.Client) error {
	rng := rand.New(rand.NewPCG(l.seed, 0))
	for from := 0; from < l.keys; from += txnMost {
		var ops []clientv3.Op
		for i := from; i < min(from+txnMost, l.keys); i++ {
			ops = append(ops, clientv3.OpPut(key(i), l.value(rng)))
		}
		if _, err := c.Txn(ctx).Then(ops...).Commit(); err != nil {
			return err
		}
	}
	return nil
}

// take has all clients work.
func (l load) take(ctx context.Context, conns []*clientv3.Client) (Report, error) {
	for _, c := range conns { // the first request of a connection makes it
		if _, err := c.Get(ctx, key(0)); err != nil {
			return Report{}, err
		}
	}
	took, errs := make([][]int64, l.clients), make([]error, l.clients)
	began := time.Now()
	end := began.Add(time.Duration(l.seconds * float64(time.Second)))
	var all sync.WaitGroup
	var failed atomic.Bool
	for id := range l.clients {
		c, rng := conns[id/l.share], rand.New(rand.NewPCG(l.seed, uint64(id)))
		all.Go(func() {
			for !failed.Load() && (len(took[id]) == 0 || time.Now().Before(end)) {
				start := time.Now()
				if errs[id] = l.once(ctx, c, rng); errs[id] != nil {
					failed.Store(true)
				}
				took[id] = append(took[id], int64(time.Since(start)))
			}
		})
	}
	all.Wait()
	r := Report{Elapsed: int64(time.Since(began))}
	for _, t := range took {
		r.Took = append(r.Took, t...)
	}
	return r, errors.Join(errs...)
}

// once does what is measured. Reads are linearizable, which is etcd's default.
func (l load) once(ctx context.Context, c *clientv3.Client, rng *rand.Rand) error {
	ops := make([]clientv3.Op, 0, l.depth)
	for range l.depth {
		k := key(rng.IntN(l.keys))
		switch {
		case l.op == "get":
			ops = append(ops, clientv3.OpGet(k))
		case !has(ops, k): // etcd refuses a transaction that puts a key twice
			ops = append(ops, clientv3.OpPut(k, l.value(rng)))
		}
	}
	if len(ops) == 1 {
		r, err := c.Do(ctx, ops[0])
		if err == nil && l.op == "get" {
			err = l.found(r.Get())
		}
		return err
	}
	r, err := c.Txn(ctx).Then(ops...).Commit()
	if err != nil || l.op != "get" {
		return err
	}
	for _, one := range r.OpResponse().Txn().Responses {
		if err := l.found((*clientv3.GetResponse)(one.GetResponseRange())); err != nil {
			return err
		}
	}
	return nil
}

func has(ops []clientv3.Op, k string) bool {
	for _, o := range ops {
		if string(o.KeyBytes()) == k {
			return true
		}
	}
	return false
}

// found fails if a read has not found what fill has put there.
func (l load) found(r *clientv3.GetResponse) error {
	if len(r.Kvs) != 1 || len(r.Kvs[0].Value) != l.size {
		return fmt.Errorf("a key has no value of %d bytes", l.size)
	}
	return nil
}

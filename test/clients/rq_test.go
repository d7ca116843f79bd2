package clients

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// TestGoRedisQueue kills the server under queues of go-redis that send what the workers of RQ,
// Celery and Sidekiq do: a job is a hash, taken by BLMOVE into a list of what is at work, or when
// it is due by WATCH and MULTI from a sorted set; its end is a transaction and a message.
func TestGoRedisQueue(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a while")
	}
	for _, protocol := range []int{2, 3} {
		t.Run(fmt.Sprintf("protocol %d", protocol), func(t *testing.T) {
			t.Parallel()
			v := newVictim(t)
			q := &ownQueue{
				t: t, v: v, jobs: newBooks(),
				c: redis.NewClient(&redis.Options{Addr: v.Addr, Protocol: protocol, MaxRetries: -1}),
			}
			t.Cleanup(func() { q.c.Close() })
			q.run()
		})
	}
}

type ownQueue struct {
	t      *testing.T
	v      *victim
	c      *redis.Client
	jobs   *books
	heard  atomic.Int64
	halted atomic.Bool // the workers are to end
}

const ownWorkers = 3

func (q *ownQueue) run() {
	var producers, workers sync.WaitGroup
	stop := make(chan struct{})
	producers.Go(func() { q.produce("now", stop, q.push) })
	producers.Go(func() { q.produce("later", stop, q.pushLater) })
	for i := range ownWorkers {
		workers.Go(func() { q.work(fmt.Sprintf("rq:working:%d", i)) })
	}
	workers.Go(q.move)
	news := q.c.PSubscribe(q.t.Context(), "rq:done:*")
	go func() {
		for range news.Channel() {
			q.heard.Add(1)
		}
	}()
	ended := make(chan struct{})
	go func() {
		producers.Wait()
		close(ended)
	}()
	defer workers.Wait()
	defer q.halted.Store(true)
	defer producers.Wait()
	q.t.Cleanup(func() { news.Close() })
	finish := sync.OnceFunc(func() { close(stop) })
	defer finish()
	q.v.killAll(q.t, ended)
	finish()
	producers.Wait()
	until(q.t, "the end of all jobs", func() (bool, error) { return len(q.jobs.missing()) == 0, nil }, func() any { return q.jobs.missing() })
	q.compare()
	if q.heard.Load() == 0 {
		q.t.Error("no message about the end of a job has come")
	}
}

func (q *ownQueue) produce(kind string, stop <-chan struct{}, add func(name string) error) {
	tick := time.NewTicker(4 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		name := fmt.Sprintf("%s-%d", kind, i)
		if err := q.jobs.promise(q.v, name, func() error { return add(name) }); err != nil {
			q.t.Errorf("add %s: %v", name, err)
			return
		}
	}
}

func (q *ownQueue) push(name string) error {
	ctx := context.Background()
	_, err := q.c.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.HSet(ctx, "rq:job:"+name, "status", "queued", "created", time.Now().UnixMilli())
		p.SAdd(ctx, "rq:queues", "rq:queue")
		p.RPush(ctx, "rq:queue", name)
		return nil
	})
	return err
}

func (q *ownQueue) pushLater(name string) error {
	ctx := context.Background()
	_, err := q.c.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.HSet(ctx, "rq:job:"+name, "status", "scheduled")
		p.ZAdd(ctx, "rq:scheduled", redis.Z{Score: float64(time.Now().Add(50 * time.Millisecond).UnixMilli()), Member: name})
		return nil
	})
	return err
}

// move brings jobs that are due to the queue, if nobody else touches the sorted set meanwhile.
func (q *ownQueue) move() {
	ctx := context.Background()
	for !q.halted.Load() {
		err := persist(func() error {
			return q.c.Watch(ctx, func(tx *redis.Tx) error {
				due, err := tx.ZRangeArgs(ctx, redis.ZRangeArgs{
					Key: "rq:scheduled", Start: "-inf", Stop: time.Now().UnixMilli(), ByScore: true, Count: 20,
				}).Result()
				if err != nil || len(due) == 0 {
					return err
				}
				_, err = tx.TxPipelined(ctx, func(p redis.Pipeliner) error {
					for _, name := range due {
						p.ZRem(ctx, "rq:scheduled", name)
						p.RPush(ctx, "rq:queue", name)
					}
					return nil
				})
				return err
			}, "rq:scheduled")
		})
		if err != nil && !errors.Is(err, redis.TxFailedErr) {
			q.t.Errorf("move what is due: %v", err)
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// work takes jobs and does them. Those that it had taken when the connection was lost it does first.
func (q *ownQueue) work(taken string) {
	ctx := context.Background()
	for !q.halted.Load() {
		err := persist(func() error {
			names, err := q.c.LRange(ctx, taken, 0, -1).Result()
			for _, name := range names {
				if err := q.do(taken, name); err != nil {
					return err
				}
			}
			for err == nil && !q.halted.Load() {
				var name string
				name, err = q.c.BLMove(ctx, "rq:queue", taken, "LEFT", "RIGHT", time.Second).Result()
				switch {
				case errors.Is(err, redis.Nil):
					err = nil
				case err == nil:
					err = q.do(taken, name)
				}
			}
			return err
		})
		if err != nil {
			q.t.Errorf("%s: %v", taken, err)
			return
		}
	}
}

func (q *ownQueue) do(taken, name string) error {
	ctx := context.Background()
	q.jobs.finish(q.v, name)
	_, err := q.c.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.HSet(ctx, "rq:job:"+name, "status", "finished")
		p.HDel(ctx, "rq:job:"+name, "created")
		p.ZAdd(ctx, "rq:finished", redis.Z{Score: float64(time.Now().UnixMilli()), Member: name})
		p.LRem(ctx, taken, 1, name)
		p.Publish(ctx, "rq:done:"+name, name)
		return nil
	})
	return err
}

// compare wants the server to hold what the books have, and nothing under way.
func (q *ownQueue) compare() {
	ctx := context.Background()
	under := []string{"rq:queue", "rq:scheduled"}
	for i := range ownWorkers {
		under = append(under, fmt.Sprintf("rq:working:%d", i))
	}
	until(q.t, "nothing under way", func() (bool, error) {
		n, err := q.c.Exists(ctx, under...).Result()
		return n == 0, err
	}, func() any { return q.c.Keys(ctx, "rq:[qsw]*").Val() })
	finished, err := q.c.ZRange(ctx, "rq:finished", 0, -1).Result()
	if err != nil {
		q.t.Fatal(err)
	}
	slices.Sort(finished)
	// A job whose acknowledgement was lost may have been done as well: it was sent again.
	if names := q.jobs.names(); !slices.Equal(finished, names) {
		q.t.Errorf("%d jobs are finished, want %d", len(finished), len(names))
	}
	for _, name := range finished {
		job, err := q.c.HGetAll(ctx, "rq:job:"+name).Result()
		if err != nil || len(job) != 1 || job["status"] != "finished" {
			q.t.Errorf("%s: %v (%v)", name, job, err)
		}
	}
	q.jobs.balance(q.t, "jobs")
}

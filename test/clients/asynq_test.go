package clients

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

// asynqQueues are the queues of TestAsynq, with the share of the workers that each gets.
var asynqQueues = map[string]int{"critical": 6, "default": 3, "low": 1, "grouped": 1, "paused": 1}

// TestAsynq kills the server under asynq: tasks at once, later, unique, in groups, by a schedule,
// that fail at first and for ever, in queues of several priorities, one of them paused.
func TestAsynq(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a while")
	}
	t.Parallel()
	a := newAsynqWork(t)
	stop := make(chan struct{})
	var producers sync.WaitGroup
	for name, options := range map[string][]asynq.Option{
		"critical": {asynq.Queue("critical")},
		"plain":    {},
		"low":      {asynq.Queue("low")},
		"later":    {asynq.ProcessIn(time.Second), asynq.Queue("low")},
		"flaky":    {asynq.MaxRetry(5)},
		"hopeless": {asynq.MaxRetry(1)},
		"grouped":  {asynq.Queue("grouped"), asynq.Group("g")},
	} {
		producers.Go(func() { a.produce(name, options, stop) })
	}
	ended := make(chan struct{})
	go func() {
		producers.Wait()
		close(ended)
	}()
	a.v.killAll(t, ended)
	close(stop)
	<-ended
	if t.Failed() {
		return
	}
	a.settle()
}

// asynqWork is what TestAsynq runs: a client, workers, a schedule, and the books of it all.
type asynqWork struct {
	t         *testing.T
	v         *victim
	opt       asynq.RedisClientOpt
	client    *asynq.Client
	inspector *asynq.Inspector
	schedule  *asynq.Scheduler
	workers   *asynq.Server

	jobs, hopeless, held *books

	mu    sync.Mutex
	ticks int
}

func newAsynqWork(t *testing.T) *asynqWork {
	t.Helper()
	v := newVictim(t)
	opt := asynq.RedisClientOpt{Addr: v.Addr, DB: 3}
	a := &asynqWork{
		t: t, v: v, opt: opt, client: asynq.NewClient(opt), inspector: asynq.NewInspector(opt),
		jobs: newBooks(), hopeless: newBooks(), held: newBooks(),
	}
	t.Cleanup(func() { a.client.Close(); a.inspector.Close() })
	for i := range 20 {
		a.enqueue(a.held, "paused", fmt.Sprintf("paused-%d", i), []asynq.Option{asynq.Queue("paused"), asynq.Unique(time.Hour)})
	}
	if err := a.inspector.PauseQueue("paused"); err != nil {
		t.Fatal(err)
	}
	a.workers = a.start()
	a.schedule = asynq.NewScheduler(opt, &asynq.SchedulerOpts{LogLevel: asynq.FatalLevel})
	if _, err := a.schedule.Register("@every 1s", asynq.NewTask("tick", nil), asynq.Queue("critical")); err != nil {
		t.Fatal(err)
	}
	if err := a.schedule.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if a.schedule != nil {
			a.schedule.Shutdown()
		}
		if a.workers != nil {
			a.workers.Shutdown()
		}
	})
	return a
}

// start returns workers that are at work.
func (a *asynqWork) start() *asynq.Server {
	a.t.Helper()
	workers := asynq.NewServer(a.opt, asynq.Config{
		Concurrency: 8, Queues: asynqQueues, LogLevel: asynq.FatalLevel,
		TaskCheckInterval: 20 * time.Millisecond, DelayedTaskCheckInterval: 100 * time.Millisecond,
		RetryDelayFunc:   func(int, error, *asynq.Task) time.Duration { return time.Second },
		GroupGracePeriod: time.Second, GroupMaxSize: 20,
		GroupAggregator: asynq.GroupAggregatorFunc(func(_ string, tasks []*asynq.Task) *asynq.Task {
			var all []string
			for _, task := range tasks {
				all = append(all, string(task.Payload()))
			}
			return asynq.NewTask("group", []byte(strings.Join(all, " ")), asynq.Retention(time.Hour))
		}),
	})
	if err := workers.Start(asynq.HandlerFunc(a.handle)); err != nil {
		a.t.Fatal(err)
	}
	return workers
}

func (a *asynqWork) handle(ctx context.Context, task *asynq.Task) error {
	name := string(task.Payload())
	retried, _ := asynq.GetRetryCount(ctx)
	switch task.Type() {
	case "tick":
		a.mu.Lock()
		a.ticks++
		a.mu.Unlock()
		return nil
	case "flaky":
		if retried < 1 {
			return errors.New("not yet")
		}
	case "hopeless":
		return errors.New("no hope")
	case "paused":
		a.held.finish(a.v, name)
		return nil
	case "group":
		for _, each := range strings.Fields(name) {
			a.jobs.finish(a.v, each)
		}
		return nil
	}
	a.jobs.finish(a.v, name)
	_, err := task.ResultWriter().Write([]byte("done " + name))
	return err
}

// produce enqueues tasks of one kind until stop is closed.
func (a *asynqWork) produce(kind string, options []asynq.Option, stop <-chan struct{}) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	book := a.jobs
	if kind == "hopeless" {
		book = a.hopeless
	}
	for i := 0; !a.t.Failed(); i++ {
		select {
		case <-stop:
			return
		case <-tick.C:
			a.enqueue(book, kind, fmt.Sprintf("%s-%d", kind, i), options)
		}
	}
}

// enqueue promises a task in a book.
func (a *asynqWork) enqueue(book *books, kind, name string, options []asynq.Option) {
	options = append([]asynq.Option{asynq.TaskID(name), asynq.Retention(time.Hour)}, options...)
	err := book.promise(a.v, name, func() error {
		_, err := a.client.Enqueue(asynq.NewTask(kind, []byte(name)), options...)
		// Acknowledged after all, but the answer was lost.
		if errors.Is(err, asynq.ErrTaskIDConflict) {
			return nil
		}
		return err
	})
	if err != nil {
		a.t.Errorf("enqueue %s: %v", name, err)
	}
}

// settle waits for the end of all tasks and compares the queues with the books.
func (a *asynqWork) settle() {
	a.t.Helper()
	before := a.tickCount()
	a.waitFor("a schedule that has outlived the kills", func() (bool, error) { return a.tickCount() > before, nil })
	a.schedule.Shutdown()
	a.schedule = nil
	info, err := a.inspector.GetQueueInfo("paused")
	if err != nil || !info.Paused || info.Pending != len(a.held.names()) || info.Active != 0 {
		a.t.Errorf("the paused queue: %+v, %v", info, err)
	}
	for _, name := range a.held.names() {
		_, err := a.client.Enqueue(asynq.NewTask("paused", []byte(name)), asynq.Queue("paused"), asynq.Unique(time.Hour))
		if !errors.Is(err, asynq.ErrDuplicateTask) {
			a.t.Errorf("%s a second time: %v, want %v", name, err, asynq.ErrDuplicateTask)
		}
	}
	if err := a.inspector.UnpauseQueue("paused"); err != nil {
		a.t.Fatal(err)
	}
	a.takeOver()
	a.waitFor("the end of all tasks", func() (bool, error) {
		for name := range asynqQueues {
			info, err := a.inspector.GetQueueInfo(name)
			if err != nil || info.Pending+info.Active+info.Scheduled+info.Retry+info.Aggregating > 0 {
				return false, err
			}
		}
		return len(a.jobs.missing()) == 0, nil // those of a group that are just being put together are in no queue
	})
	a.workers.Shutdown()
	a.workers = nil
	a.compare()
	a.jobs.balance(a.t, "tasks")
	a.hopeless.balance(a.t, "tasks that fail for ever")
	a.held.balance(a.t, "tasks of a paused queue")
	a.t.Logf("schedule: %d ticks", a.ticks)
}

func (a *asynqWork) tickCount() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.ticks
}

// takeOver starts other workers on what the first have left. A task whose hand-over the kill has
// cut off stays active until its lease lapses, which takes half a minute, and those of a group that were being put together stay
// apart for two: we make the leases of workers that have gone lapse at once.
func (a *asynqWork) takeOver() {
	a.t.Helper()
	a.workers.Shutdown()
	ctx := context.Background()
	c := redis.NewClient(&redis.Options{Addr: a.opt.Addr, DB: a.opt.DB})
	defer c.Close()
	for name := range asynqQueues {
		for _, leases := range []string{"lease", "aggregation_sets"} {
			key := "asynq:{" + name + "}:" + leases
			held, err := c.ZRange(ctx, key, 0, -1).Result()
			if err != nil {
				a.t.Fatal(err)
			}
			for _, id := range held {
				if err := c.ZAddXX(ctx, key, redis.Z{Score: 1, Member: id}).Err(); err != nil {
					a.t.Fatal(err)
				}
			}
		}
	}
	a.workers = a.start()
}

func (a *asynqWork) waitFor(what string, condition func() (bool, error)) {
	a.t.Helper()
	until(a.t, what, condition, func() any {
		var all []string
		for name := range asynqQueues {
			info, err := a.inspector.GetQueueInfo(name)
			all = append(all, fmt.Sprintf("%s: %+v, %v", name, info, err))
		}
		return strings.Join(append(all, fmt.Sprintf("acknowledged, and not done: %q", a.jobs.missing())), "\n")
	})
}

// compare wants the queues to hold, as completed and archived, what the books have.
func (a *asynqWork) compare() {
	a.t.Helper()
	var completed, archived []string
	for name := range asynqQueues {
		completed = append(completed, listTasks(a.t, name, a.inspector.ListCompletedTasks)...)
		archived = append(archived, listTasks(a.t, name, a.inspector.ListArchivedTasks)...)
	}
	// A task is done with when it is archived; where a kill has cut off its last hand-over, no worker sees that.
	for _, name := range archived {
		a.hopeless.finish(a.v, name)
	}
	// Groups are done under the name of the group.
	want := slices.DeleteFunc(append(a.jobs.names(), a.held.names()...), func(name string) bool { return strings.HasPrefix(name, "grouped-") })
	slices.Sort(want)
	slices.Sort(completed)
	slices.Sort(archived)
	if !slices.Equal(completed, want) {
		a.t.Errorf("%d tasks are completed, want %d", len(completed), len(want))
	}
	if want := a.hopeless.names(); !slices.Equal(archived, want) {
		a.t.Errorf("%d tasks are archived, want %d", len(archived), len(want))
	}
}

// listTasks returns the names of the tasks that list shows, but for groups and ticks.
func listTasks(t *testing.T, queue string, list func(string, ...asynq.ListOption) ([]*asynq.TaskInfo, error)) []string {
	t.Helper()
	var names []string
	for page := 1; ; page++ {
		tasks, err := list(queue, asynq.Page(page), asynq.PageSize(500))
		if err != nil {
			t.Fatal(err)
		}
		for _, task := range tasks {
			if task.Type != "group" && task.Type != "tick" {
				names = append(names, task.ID)
			}
		}
		if len(tasks) < 500 {
			return names
		}
	}
}

package txn_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/elastickv/elastickv/hlc"
	"github.com/elastickv/elastickv/internal/txn"
	"github.com/elastickv/elastickv/store"
)

// Who gives up before their turn has come is answered at once, and their function is
// never called; who has begun is waited for.
func TestWithdraw(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := txn.NewLocal(store.NewMVCCStore().(store.Engine), hlc.New(time.Now), txn.Options{})
		impatient, giveUp := context.WithCancelCause(context.Background())
		release := make(chan struct{})
		results := make(map[string]chan error)
		submit := func(name string, ctx context.Context, fn func(*txn.Seq)) {
			results[name] = make(chan error, 1)
			go func() { results[name] <- db.Sequence(ctx, fn) }()
			synctest.Wait()
		}
		slow := func(seq *txn.Seq) {
			<-release
			_ = seq.Do(put("slow", "done"))
		}
		ran := make(map[string]bool)
		mark := func(name string) func(*txn.Seq) { return func(*txn.Seq) { ran[name] = true } }

		submit("slow", impatient, slow)
		submit("impatient", impatient, mark("impatient"))
		submit("patient", context.Background(), mark("patient"))
		why := errors.New("busy")
		giveUp(why)
		synctest.Wait()

		if err := <-results["impatient"]; !errors.Is(err, why) {
			t.Errorf("taken back with %v, want %v", err, why)
		}
		select {
		case err := <-results["slow"]:
			t.Errorf("what had begun was answered with %v before it ended", err)
		default:
		}
		if err := db.Sequence(impatient, mark("late")); !errors.Is(err, why) {
			t.Errorf("with a context that had ended: %v, want %v", err, why)
		}
		close(release)
		for _, name := range []string{"slow", "patient"} {
			if err := <-results[name]; err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if ran["impatient"] || ran["late"] || !ran["patient"] {
			t.Errorf("ran %v, want only patient", ran)
		}
		if got := seen(t, db, "slow"); got != "done" {
			t.Errorf("slow has written %q", got)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
}

// Enqueued tasks run in order and are answered when they are durable; those whose context ends before
// are taken back by Withdraw, or as they come; and a task can be used again.
func TestEnqueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := txn.NewLocal(store.NewMVCCStore().(store.Engine), hlc.New(time.Now), txn.Options{})
		ctx, giveUp := context.WithCancelCause(context.Background())
		var ran []string
		results := make(map[string]chan error)
		task := func(name string, run func(*txn.Seq)) *txn.Task {
			result := make(chan error, 2) // a second answer would be found
			results[name] = result
			return &txn.Task{
				Run:  func(seq *txn.Seq) { ran = append(ran, name); run(seq) },
				Then: func(err error) { result <- err },
			}
		}
		write := func(key string) func(*txn.Seq) {
			return func(seq *txn.Seq) { _ = seq.Do(put(key, "done")) }
		}
		answered := func(name string, want error) {
			t.Helper()
			synctest.Wait()
			if len(results[name]) != 1 {
				t.Fatalf("%s: %d answers, want 1", name, len(results[name]))
			}
			if err := <-results[name]; !errors.Is(err, want) {
				t.Errorf("%s: got %v, want %v", name, err, want)
			}
		}

		a := task("a", write("a"))
		for range 3 {
			db.Enqueue(ctx, a, task("b", write("b")))
			answered("a", nil)
			answered("b", nil)
			if got := seen(t, db, "a") + seen(t, db, "b"); got != "donedone" {
				t.Errorf("after the answers: got %q", got)
			}
		}
		release := make(chan struct{})
		db.Enqueue(context.Background(), task("slow", func(*txn.Seq) { <-release }))
		synctest.Wait()
		db.Enqueue(ctx, task("early", write("x")))
		db.Enqueue(context.Background(), task("patient", write("x")))
		why := errors.New("busy")
		giveUp(why)
		synctest.Wait()
		if len(results["early"]) > 0 {
			t.Error("it was taken back before Withdraw")
		}
		db.Withdraw()
		answered("early", why)
		db.Enqueue(ctx, task("late", write("x")))
		answered("late", why)
		close(release)
		answered("slow", nil)
		answered("patient", nil)
		if got, want := strings.Join(ran, " "), "a b a b a b slow patient"; got != want {
			t.Errorf("ran %q, want %q", got, want)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
		db.Enqueue(context.Background(), task("closed", write("x")))
		answered("closed", txn.ErrClosed)
	})
}

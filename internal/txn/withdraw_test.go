package txn_test

import (
	"context"
	"errors"
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

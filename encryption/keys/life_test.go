package keys

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"github.com/elastickv/elastickv/encryption"
)

// world is every machine that a data folder has come to, by copies and restored backups, and
// every nonce that was ever made.
type world struct {
	chance   *chance
	machines []*machine
	running  map[*machine]*Ring
	made     map[string]bool // digest of the key and nonce
	begun    int
	stale    int
}

func newWorld(t fataler, seed uint64) *world {
	return &world{chance: newChance(seed), machines: []*machine{newMachine(t)}, running: map[*machine]*Ring{}, made: map[string]bool{}}
}

// begin starts a process on m, which may crash on the way. It reports whether it runs.
func (w *world) begin(m *machine) (bool, error) {
	r, err := begin(testOptions(m, w.chance), m)
	switch {
	case err == nil:
		w.running[m] = r
		w.begun++
		return true, w.use(r)
	case errors.Is(err, ErrStale):
		w.stale++
		return false, nil
	case errors.Is(err, errCrash):
		return false, nil
	}
	return false, err
}

// use makes nonces under the active key, as a store does that seals values.
func (w *world) use(r *Ring) error {
	id, ok := r.ActiveKeyID()
	if !ok || !r.Sealing() || !r.Registered() {
		return fmt.Errorf("a process that has begun does not seal: key %d", id)
	}
	key := sha256.Sum256(r.change.keys[id].bytes())
	for range 3 {
		nonce, err := r.Nonces().Next()
		if err != nil {
			return err
		}
		made := fmt.Sprintf("%x %x", key, nonce)
		if w.made[made] {
			return fmt.Errorf("nonce %x was made before under key %d", nonce, id)
		}
		w.made[made] = true
	}
	return nil
}

// crash ends what runs on machine i and brings it up again.
func (w *world) crash(i int, rng *rand.Rand) {
	delete(w.running, w.machines[i])
	w.machines[i] = w.machines[i].crashed(rng)
}

// Whatever is restarted, killed in the middle of anything, copied while it runs, or put back to
// what it was at some time, in whole or in part: no nonce is made twice under one key.
func TestNoncesModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		rng := rand.New(rand.NewPCG(seed, 2))
		w := newWorld(t, seed)
		var backups []*machine
		at := func() int { return rapid.IntRange(0, len(w.machines)-1).Draw(t, "machine") }
		fail := func(err error) {
			if err != nil && !errors.Is(err, errCrash) {
				t.Fatal(err)
			}
		}
		for range rapid.IntRange(5, 40).Draw(t, "steps") {
			switch rapid.IntRange(0, 8).Draw(t, "step") {
			case 0, 1: // start, or end and start
				i := at()
				w.crash(i, nil)
				_, err := w.begin(w.machines[i])
				fail(err)
			case 2: // start and crash in the middle
				i := at()
				w.crash(i, rng)
				w.machines[i].left = rapid.IntRange(0, 9).Draw(t, "left")
				_, err := w.begin(w.machines[i])
				fail(err)
				w.crash(i, rng)
			case 3, 4: // change keys, perhaps crashing
				i := at()
				r := w.running[w.machines[i]]
				if r == nil {
					continue
				}
				w.machines[i].left = rapid.IntRange(-1, 8).Draw(t, "left")
				_, err := r.Rotate()
				fail(err)
				if err == nil {
					fail(w.use(r))
				}
				w.machines[i].left = -1
				if err != nil {
					// The process may live on after a failed rotation.
					fail(w.use(r))
				}
			case 5: // seal again, and retire
				if r := w.running[w.machines[at()]]; r != nil {
					due, _ := r.Due()
					fail(r.Rewritten(due))
					for _, k := range r.Status().Keys {
						if k.State == "retirable" {
							fail(r.Retire(k.ID, due))
						}
					}
					fail(w.use(r))
				}
			case 6: // copy the folder, while it is in use or not
				if len(w.machines) < 6 {
					w.machines = append(w.machines, w.machines[at()].crashed(nil))
				}
			case 7:
				backups = append(backups, w.machines[at()].crashed(nil))
			case 8: // put back a backup, or half of one
				if len(backups) == 0 {
					continue
				}
				i, b := at(), backups[rapid.IntRange(0, len(backups)-1).Draw(t, "backup")].crashed(nil)
				w.crash(i, nil)
				switch rapid.IntRange(0, 2).Draw(t, "half") {
				case 0:
					w.machines[i].rows = b.rows
				case 1:
					w.machines[i].disk = b.disk
				case 2:
					w.machines[i] = b
				}
			}
		}
	})
}

// A process is ended before every single operation by which it begins or rotates. The next
// one begins, and sees either the keys before or those after.
func TestCrashBetweenAnyTwoSteps(t *testing.T) {
	for _, what := range []string{"begin", "begin again", "rotate", "rewrap", "rewritten", "retire"} {
		for left := 0; ; left++ {
			w := newWorld(t, uint64(left))
			m := w.machines[0]
			if what != "begin" {
				_, err := w.begin(m)
				must(t, err)
			}
			r := w.running[m]
			if what == "retire" {
				_, err := r.Rotate()
				must(t, err)
				must(t, r.Rewritten(2))
			}
			m.left = left
			err := error(nil)
			kek := testKEK(1)
			switch what {
			case "begin", "begin again":
				_, err = begin(testOptions(m, w.chance), m)
			case "rotate":
				_, err = r.Rotate()
			case "rewrap":
				err = r.Rewrap(context.Background(), testKEK(2))
			case "rewritten":
				err = r.Rewritten(1)
			case "retire":
				err = r.Retire(1, 2)
			}
			if err != nil && !errors.Is(err, errCrash) {
				t.Fatalf("%s, %d: %v", what, left, err)
			}
			for seed := range uint64(4) {
				after := m.crashed(rand.New(rand.NewPCG(seed, 3)))
				o := testOptions(after, w.chance)
				o.KEK = kek
				again, loadErr := begin(o, after)
				if errors.Is(loadErr, ErrWrongKEK) && what == "rewrap" {
					o.KEK = testKEK(2)
					again, loadErr = begin(o, after)
				} else if what == "rewrap" && err == nil {
					t.Errorf("rewrap: undone by a crash")
				}
				if loadErr != nil {
					t.Fatalf("%s, ended after %d operations: %v", what, left, loadErr)
				}
				must(t, w.use(again))
				if err == nil && (what == "retire" && again.Cipher().HasKey(1) || what == "rewritten" && !again.SealedOnly()) {
					t.Errorf("%s: undone by a crash", what)
				}
			}
			if err == nil {
				if left < 6 && what != "rewritten" && what != "retire" || left < 5 {
					t.Errorf("%s has %d operations only", what, left)
				}
				break
			}
		}
	}
}

// A copy of a folder, taken at any moment, that is started beside the first: both have the same
// node id and reach the same epoch, so what keeps their nonces apart is the key.
func TestCloneHasItsOwnKey(t *testing.T) {
	w := newWorld(t, 7)
	_, err := w.begin(w.machines[0])
	must(t, err)
	clone := w.machines[0].crashed(nil)
	w.crash(0, nil)
	for _, m := range []*machine{w.machines[0], clone} {
		_, err := w.begin(m)
		must(t, err)
	}
	a, b := w.running[w.machines[0]], w.running[clone]
	if a.Status().Node != b.Status().Node || a.Status().Epoch != b.Status().Epoch {
		t.Fatal("they differ already; the test is about nothing")
	}
	var writers []encryption.Writer
	for _, r := range []*Ring{a, b} {
		writers = append(writers, r.change.writer)
	}
	if writers[0] != writers[1] {
		t.Errorf("%+v and %+v", writers[0], writers[1])
	}
	if string(a.change.keys[2].bytes()) == string(b.change.keys[2].bytes()) {
		t.Error("both seal under the same key")
	}
}

package store

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/elastickv/elastickv/internal/testkit/crashable"
)

// crashStep is one call of a scenario.
type crashStep struct {
	name string
	run  func(e Engine) error
	// durable says that when run has returned no crash takes it back, nor anything
	// before it.
	durable bool
	// engine steps move rows about and change no answer; they get the store itself.
	engine func(s *pebbleStore) error
}

// crashImage is a disk as a crash would have left it, and how far the scenario was.
type crashImage struct {
	fs           *vfs.MemFS
	op           string
	acknowledged int // so many steps had returned and were durable
	begun        int // so many steps had begun
}

// crashRecorder takes an image before every operation that changes the disk.
type crashRecorder struct {
	mem *vfs.MemFS
	rng *rand.Rand

	mu           sync.Mutex
	acknowledged int
	begun        int
	images       []crashImage
}

func (c *crashRecorder) op(op errorfs.Op) error {
	switch op.Kind {
	case errorfs.OpFileClose, errorfs.OpFilePreallocate, errorfs.OpLock:
		return nil // they change nothing that a crash could take back
	}
	if op.Kind.ReadOrWrite() == errorfs.OpIsRead {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	image := crashImage{op: fmt.Sprintf("%v of %s", op.Kind, op.Path), acknowledged: c.acknowledged, begun: c.begun}
	image.fs = c.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: []int{0, 30, 70, 100}[c.rng.IntN(4)], RNG: c.rng})
	c.images = append(c.images, image)
	return nil
}

func (c *crashRecorder) begin(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.begun = n
}

func (c *crashRecorder) acknowledge(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.acknowledged = n
}

// testCrashEverywhere runs a scenario once, from the creation of the folder to its
// closing, crashes before every operation that changes the disk, and finds after each
// crash the state that the scenario had after one of its steps: at least after the
// last that was acknowledged, at most after the one that had begun. The memory store
// says what these states are.
func testCrashEverywhere(t *testing.T, steps []crashStep, opts ...PebbleStoreOption) {
	t.Helper()
	seed := crashSeed()
	mem := vfs.NewCrashableMem()
	recorder := &crashRecorder{mem: mem, rng: rand.New(rand.NewPCG(seed, 0))}
	states := crashStates(t, steps)
	s := openTest(t, "data/db", append(opts, WithFS(errorfs.Wrap(crashable.FS{MemFS: mem}, errorfs.InjectorFunc(recorder.op))))...)
	for i, step := range steps {
		recorder.begin(i + 1)
		err := error(nil)
		if step.engine != nil {
			err = step.engine(s)
		} else {
			err = step.run(s)
		}
		if err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if step.durable {
			recorder.acknowledge(i + 1)
		}
	}
	must(t, s.Close())
	if len(recorder.images) < len(steps) {
		t.Errorf("%d crashes only", len(recorder.images))
	}
	for i, image := range recorder.images {
		if testing.Short() && i%8 != 0 {
			continue
		}
		if !checkCrashImage(t, image, states, opts) {
			t.Fatalf("seed %d: crash %d of %d, before %s", seed, i, len(recorder.images), image.op)
		}
	}
}

// crashStates returns what can be seen of the memory store before the first step
// and after each.
func crashStates(t *testing.T, steps []crashStep) []string {
	t.Helper()
	memory := NewMVCCStore().(Engine)
	states := []string{retainedContents(t, memory)}
	for _, step := range steps {
		if step.run != nil {
			must(t, step.run(memory))
		}
		states = append(states, retainedContents(t, memory))
	}
	return states
}

// checkCrashImage opens what a crash has left, compares, and goes on writing.
func checkCrashImage(t *testing.T, image crashImage, states []string, opts []PebbleStoreOption) bool {
	t.Helper()
	opts = append(opts[:len(opts):len(opts)], WithFS(image.fs))
	opened, err := NewPebbleStore("data/db", opts...)
	if err != nil {
		t.Errorf("open: %v", err)
		return false
	}
	s := opened.(*pebbleStore)
	got := retainedContents(t, s)
	must(t, s.Compact(context.Background(), s.MinRetainedTS()+1))
	if all, kept := contents(t, s), retainedContents(t, s); all != kept {
		t.Errorf("a compaction after the crash has left garbage behind: %s", difference(all, kept))
	}
	must(t, s.PutAt(context.Background(), []byte("after the crash"), nil, maxTS-1, 0))
	again := openTest(t, "data/db", append(opts, WithFS(image.fs.CrashClone(vfs.CrashCloneCfg{})))...)
	wantValue(t, again, "after the crash", maxTS, "")
	must(t, again.Close())
	must(t, s.Close())
	for _, want := range states[image.acknowledged : image.begun+1] {
		if got == want {
			return true
		}
	}
	t.Errorf("acknowledged %d steps, begun %d; of the former %s\nof the latter %s", image.acknowledged, image.begun,
		difference(got, states[image.acknowledged]), difference(got, states[image.begun]))
	return false
}

// retainedContents returns all that a store has promised to keep: what a compaction
// has not got round to deleting is left out.
func retainedContents(t *testing.T, e Engine) string {
	t.Helper()
	memory := NewMVCCStore()
	must(t, memory.Restore(bytes.NewReader(imageOf(t, e))))
	h, entries, err := readEntries(bytes.NewReader(imageOf(t, memory)))
	must(t, err)
	var text strings.Builder
	fmt.Fprintf(&text, "%+v, shows %d %d %d\n", h, e.LastCommitTS(), e.MinRetainedTS(), e.LastAppliedIndex())
	for len(entries) > 0 {
		n := 1
		for n < len(entries) && entries[n].key == entries[0].key {
			n++
		}
		var versions []VersionedValue // rising, as retained has them
		for _, entry := range entries[:n] {
			versions = append([]VersionedValue{entry.v}, versions...)
		}
		for _, v := range slices.Backward(retained(versions, h.Floor)) {
			fmt.Fprintln(&text, snapshotEntry{key: entries[0].key, v: v})
		}
		entries = entries[n:]
	}
	return text.String()
}

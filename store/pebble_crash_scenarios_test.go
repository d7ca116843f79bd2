package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// direct is a step that is durable when it returns.
func direct(name string, run func(e Engine) error) crashStep {
	return crashStep{name: name, run: run, durable: true}
}

// engineSteps move rows about.
var (
	flushStep = crashStep{name: "flush", engine: func(s *pebbleStore) error { return s.db.Flush() }}
	sinkStep  = crashStep{name: "compact the engine", engine: func(s *pebbleStore) error { return CompactEngine(s) }}
)

// directScenario has every call of the direct path, over and over.
func directScenario() []crashStep {
	ctx := context.Background()
	var steps []crashStep
	add := func(name string, run func(e Engine) error) { steps = append(steps, direct(name, run)) }
	for round := range uint64(4) {
		ts := round*100 + 1
		key := func(i uint64) []byte { return fmt.Appendf(nil, "k%d", i) }
		add("put", func(e Engine) error { return e.PutAt(ctx, key(round), fmt.Append(nil, ts), ts, 0) })
		add("put with expiry", func(e Engine) error { return e.PutWithTTLAt(ctx, key(9), []byte("v"), ts+1, ts+50) })
		add("expire", func(e Engine) error { return e.ExpireAt(ctx, key(9), ts+500, ts+2) })
		add("apply", func(e Engine) error {
			return e.ApplyMutations(ctx, crashMutations(1, int(ts)), [][]byte{key(9)}, ts+2, ts+3)
		})
		add("delete", func(e Engine) error { return e.DeleteAt(ctx, []byte("w1-0"), ts+4) })
		add("stage", func(e Engine) error {
			return stageAndWait(e,
				Commit{TS: ts + 5, Mutations: crashMutations(2, int(ts))},
				Commit{TS: ts + 6, Mutations: crashMutations(3, int(ts))},
				Commit{TS: ts + 7})
		})
		steps = append(steps, flushStep)
		add("delete prefix", func(e Engine) error { return e.DeletePrefixAt(ctx, []byte("w2"), []byte("w2-1"), ts+8) })
		add("delete spans", func(e Engine) error {
			return stageAndWait(e, Commit{TS: ts + 9, Deleted: []Span{{Start: []byte("w3-1")}, {End: []byte("k1")}}, Mutations: crashMutations(3, int(ts))[2:]})
		})
		add("put under a deletion", func(e Engine) error { return e.PutAt(ctx, []byte("k0"), []byte("late"), ts+8, 0) })
		add("put in the past", func(e Engine) error { return e.PutAt(ctx, key(7), []byte("past"), ts-1, 0) })
		add("raise floor", func(e Engine) error { e.SetMinRetainedTS(ts); return nil })
		add("compact", func(e Engine) error { return e.Compact(ctx, ts+5) })
		steps = append(steps, sinkStep)
	}
	return steps
}

func TestCrashEverywhereOnTheDirectPath(t *testing.T) { testCrashEverywhere(t, directScenario()) }

func TestCrashEverywhereWithTinyTables(t *testing.T) {
	testCrashEverywhere(t, directScenario(), WithTinyTables(), WithEagerRanges())
}

func TestCrashEverywhereSealed(t *testing.T) {
	testCrashEverywhere(t, raftScenario(false), append(newSealer(t).options(), WithFSMSyncMode(FSMNoSync), WithEagerRanges())...)
}

// raftScenario applies entries of a log; durable is whether each is when it returns.
func raftScenario(durable bool) []crashStep {
	ctx := context.Background()
	var steps []crashStep
	for index := uint64(1); index <= 24; index++ {
		step := crashStep{name: fmt.Sprint("entry ", index), durable: durable}
		switch index % 6 {
		case 5:
			step.run = func(e Engine) error {
				return e.DeletePrefixAtRaftAt(ctx, []byte("w0"), []byte("w0-1"), index*10, index)
			}
		case 3:
			step.run = func(e Engine) error {
				return e.ApplyMutationsRaft(ctx, crashMutations(5, int(index)), nil, maxTS, index*10)
			}
		default:
			step.run = func(e Engine) error {
				return e.ApplyMutationsRaftAt(ctx, crashMutations(int(index%3), int(index)), nil, maxTS, index*10, index)
			}
		}
		steps = append(steps, step)
		switch index {
		case 7, 19:
			steps = append(steps, flushStep)
		case 12:
			steps = append(steps, direct("compact", func(e Engine) error { return e.Compact(ctx, 70) }))
		case 15:
			steps = append(steps, sinkStep)
		case 17:
			steps = append(steps, direct("put", func(e Engine) error { return e.PutAt(ctx, []byte("direct"), nil, 171, 0) }))
		}
	}
	return steps
}

func TestCrashEverywhereOnTheRaftPath(t *testing.T) {
	t.Run("sync", func(t *testing.T) { testCrashEverywhere(t, raftScenario(true), WithFSMSyncMode(FSMSync)) })
	t.Run("nosync", func(t *testing.T) { testCrashEverywhere(t, raftScenario(false), WithFSMSyncMode(FSMNoSync)) })
	t.Run("nosync, tiny tables", func(t *testing.T) {
		testCrashEverywhere(t, raftScenario(false), WithFSMSyncMode(FSMNoSync), WithTinyTables(), WithEagerRanges())
	})
}

// Restores replace everything, amid writes of both paths.
func TestCrashEverywhereAroundRestores(t *testing.T) {
	ctx := context.Background()
	stream, _ := sampleImage(t)
	put := func(key string, ts uint64) crashStep {
		return direct("put "+key, func(e Engine) error { return e.PutAt(ctx, []byte(key), []byte(key), ts, 0) })
	}
	restore := direct("restore", func(e Engine) error { return e.Restore(bytes.NewReader(stream)) })
	entry := crashStep{name: "entry", run: func(e Engine) error {
		return e.ApplyMutationsRaftAt(ctx, crashMutations(0, 1), nil, maxTS, 5000, 50)
	}}
	testCrashEverywhere(t, []crashStep{
		put("old", 300), entry, restore, put("new5", 301), entry, flushStep, put("late", 302),
		direct("compact", func(e Engine) error { return e.Compact(ctx, 302) }), restore, sinkStep, put("last", 303),
	}, WithFSMSyncMode(FSMNoSync))
}

// A compaction of several batches is cut short between any two of them, and a second
// one to a higher floor goes on where it has stopped.
func TestCrashEverywhereDuringCompactions(t *testing.T) {
	ctx := context.Background()
	var steps []crashStep
	for ts := uint64(1); ts <= 4; ts++ {
		var m []*KVPairMutation
		for k := range compactDeletesMost {
			op := OpTypePut
			if k%5 == 0 && ts == 3 {
				op = OpTypeDelete
			}
			m = append(m, &KVPairMutation{Op: op, Key: fmt.Appendf(nil, "k%03d", k)})
		}
		steps = append(steps, direct("apply", func(e Engine) error { return e.ApplyMutations(ctx, m, nil, maxTS, ts) }))
	}
	for _, floor := range []uint64{2, 3, 5} {
		steps = append(steps, direct("compact", func(e Engine) error { return e.Compact(ctx, floor) }), flushStep)
	}
	testCrashEverywhere(t, steps)
}

// Of a log that is not synced any part of the end may be missing, down to nothing: what is
// left is the entries up to the index that the store reports, whole.
func TestCrashCutsLogAnywhere(t *testing.T) {
	skipUnderRace(t)
	steps := slices.DeleteFunc(raftScenario(false), func(step crashStep) bool { return step.run == nil || step.durable })
	states := crashStates(t, steps)
	mem := vfs.NewMem()
	s := openTest(t, "db", WithFS(mem), WithFSMSyncMode(FSMNoSync))
	for _, step := range steps {
		must(t, step.run(s))
	}
	must(t, s.Close())
	path, log := lastLog(t, mem)
	seen := map[int]bool{}
	for size, last := len(log), len(states)-1; size >= 0; size -= 9 {
		fs := vfs.NewMem()
		if _, err := vfs.Clone(mem, fs, "db", "db"); err != nil {
			t.Fatal(err)
		}
		writeMem(t, fs, path, log[:size])
		cut := openTest(t, "db", WithFS(fs))
		got := retainedContents(t, cut)
		must(t, cut.Close())
		n := slices.Index(states[:last+1], got)
		if n < 0 {
			t.Fatalf("cut to %d of %d bytes: none of the states, compared with the last that was left %s", size, len(log), difference(got, states[last]))
		}
		last, seen[n] = n, true
	}
	if len(seen) != len(states) {
		t.Errorf("the cuts have left %d states, want %d", len(seen), len(states))
	}
}

// lastLog returns the log that the engine wrote to last.
func lastLog(t *testing.T, fs vfs.FS) (path string, text []byte) {
	t.Helper()
	names, err := fs.List("db")
	must(t, err)
	slices.Sort(names)
	for _, name := range names {
		if strings.HasSuffix(name, ".log") {
			path = fs.PathJoin("db", name)
		}
	}
	file, err := fs.Open(path)
	must(t, err)
	text, err = io.ReadAll(file)
	must(t, errors.Join(err, file.Close()))
	return path, text
}

func writeMem(t *testing.T, fs vfs.FS, path string, text []byte) {
	t.Helper()
	file, err := fs.Create(path, vfs.WriteCategoryUnspecified)
	must(t, err)
	_, err = file.Write(bytes.Clone(text)) // a file may scramble what it is given
	must(t, errors.Join(err, file.Close()))
}

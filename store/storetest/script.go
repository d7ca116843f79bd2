package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/elastickv/elastickv/store"
)

// A script is a sequence of blocks. Each line of a block is one command; what
// the commands of the block print follows the dashes. A write that succeeds
// prints nothing, and a command that fails prints its error.
//
//	put k=a v=1 ts=10
//	put k=a v=2 ts=20
//	get k=a ts=15
//	----
//	a = 1 @10
//
// Bytes are written as in a Go string literal, without the quotes. An argument
// that is left out is nil, "k=" is empty, and "x*1000" is x a thousand times.
// The timestamp "max" is the highest. A timestamp behind @ is a commit
// timestamp, one behind ! an expiry.
//
//	new                                          goes on with an empty store
//	put|putttl k v ts [exp] · del k ts · expire k exp ts
//	get|exists|version k ts · latest k · committed k ts · versions k
//	scan|rscan [start] [end] [limit=100] ts
//	walk|rwalk [start] [end] [prefix] [stop] ts
//	apply start ts [read=(k, …)] [raft] [index] MUTATION…
//	stage commit=TS MUTATION… [deleted=(start, end)] [start] [read=(k, …)] [range=(start, end)] commit=…
//	delprefix [prefix] [exclude] ts [raft] [index]
//	compact ts · setfloor ts · floor · last · index · conflicts
//	snapshot name · restore name
//
// collectionCommands has those of collections.
//
// A MUTATION is put=k:v, put=k:v!exp, del=k, op=k (an unknown kind) or nil.
type script struct {
	open      Open
	e         store.Engine
	snapshots map[string][]byte
	clock     counter

	t *testing.T
	c command
	b *strings.Builder
}

func newScript(t *testing.T, open Open) *script {
	return &script{open: open, e: open(t), snapshots: map[string][]byte{}}
}

// command is one line of a script.
type command struct {
	name string
	args []datadriven.CmdArg
}

// run runs one block and returns what it has printed.
func (s *script) run(t *testing.T, d *datadriven.TestData) string {
	s.t, s.b = t, &strings.Builder{}
	commands := []command{{d.Cmd, d.CmdArgs}}
	for line := range strings.Lines(d.Input) {
		name, args, err := datadriven.ParseLine(line)
		if err != nil {
			d.Fatalf(t, "%v", err)
		}
		commands = append(commands, command{name, args})
	}
	for _, s.c = range commands {
		run, ok := scriptCommands[s.c.name]
		if !ok {
			run, ok = collectionCommands[s.c.name]
		}
		if !ok {
			d.Fatalf(t, "unknown command %q", s.c.name)
		}
		s.checkArgs(d)
		run(s)
	}
	return s.b.String()
}

var scriptCommands = map[string]func(*script){
	"new":       func(s *script) { s.e, s.clock = s.open(s.t), counter{} },
	"put":       func(s *script) { s.report(s.e.PutAt(ctx, s.bytes("k"), s.bytes("v"), s.ts("ts"), s.optional("exp"))) },
	"putttl":    func(s *script) { s.report(s.e.PutWithTTLAt(ctx, s.bytes("k"), s.bytes("v"), s.ts("ts"), s.ts("exp"))) },
	"del":       func(s *script) { s.report(s.e.DeleteAt(ctx, s.bytes("k"), s.ts("ts"))) },
	"expire":    func(s *script) { s.report(s.e.ExpireAt(ctx, s.bytes("k"), s.ts("exp"), s.ts("ts"))) },
	"get":       (*script).get,
	"exists":    func(s *script) { s.answer(s.e.ExistsAt(ctx, s.bytes("k"), s.ts("ts"))) },
	"committed": func(s *script) { s.answer(s.e.CommittedVersionAt(ctx, s.bytes("k"), s.ts("ts"))) },
	"version":   (*script).version,
	"versions":  (*script).versions,
	"latest":    (*script).latest,
	"scan":      func(s *script) { s.scan(s.e.ScanAt) },
	"rscan":     func(s *script) { s.scan(s.e.ReverseScanAt) },
	"walk":      func(s *script) { s.walk(store.Ascending) },
	"rwalk":     func(s *script) { s.walk(store.Descending) },
	"apply":     (*script).apply,
	"stage":     (*script).stage,
	"delprefix": (*script).deletePrefix,
	"compact":   func(s *script) { s.report(s.e.Compact(ctx, s.ts("ts"))) },
	"setfloor":  func(s *script) { s.e.SetMinRetainedTS(s.ts("ts")) },
	"floor":     func(s *script) { s.printf("floor %s", showTS(s.e.MinRetainedTS())) },
	"last":      func(s *script) { s.printf("last %s", showTS(s.e.LastCommitTS())) },
	"index":     func(s *script) { s.printf("index %d", s.e.LastAppliedIndex()) },
	"conflicts": (*script).conflicts,
	"snapshot":  (*script).snapshot,
	"restore":   func(s *script) { s.report(s.e.Restore(bytes.NewReader(s.snapshots[s.string("name")]))) },
}

var ctx = context.Background()

func (s *script) get() {
	key, ts := s.bytes("k"), s.ts("ts")
	value, err := s.e.GetAt(ctx, key, ts)
	exists, existsErr := s.e.ExistsAt(ctx, key, ts)
	if exists != (err == nil) || existsErr != nil && !errors.Is(existsErr, err) {
		s.t.Errorf("GetAt(%q, %d) fails with %v, ExistsAt answers %v, %v", key, ts, err, exists, existsErr)
	}
	if err != nil {
		s.printf("%s: %s", show(key), s.errorText(err))
		return
	}
	v, _, err := s.e.VersionAt(ctx, key, ts)
	if err != nil || !bytes.Equal(v.Value, value) {
		s.t.Errorf("GetAt(%q, %d) = %q, VersionAt has %q, %v", key, ts, value, v.Value, err)
	}
	if value == nil {
		s.t.Errorf("GetAt(%q, %d) = nil", key, ts)
	}
	s.printf("%s = %s", show(key), showVersion(v))
}

func (s *script) version() {
	key := s.bytes("k")
	v, ok, err := s.e.VersionAt(ctx, key, s.ts("ts"))
	switch {
	case err != nil:
		s.printf("%s: %s", show(key), s.errorText(err))
	case !ok:
		s.printf("%s: no version", show(key))
	default:
		s.printf("%s = %s", show(key), showVersion(v))
	}
}

// versions lists the history from the newest version down to the floor.
func (s *script) versions() {
	key := s.bytes("k")
	for ts := uint64(math.MaxUint64); ; {
		v, ok, err := s.e.VersionAt(ctx, key, ts)
		if err != nil {
			s.printf("%s: %s", show(key), s.errorText(err))
		}
		if err != nil || !ok {
			return
		}
		s.printf("%s = %s", show(key), showVersion(v))
		if v.TS == 0 {
			return
		}
		ts = v.TS - 1
	}
}

func (s *script) latest() {
	ts, ok, err := s.e.LatestCommitTS(ctx, s.bytes("k"))
	switch {
	case err != nil:
		s.report(err)
	case !ok:
		s.printf("none")
	default:
		s.printf("@%s", showTS(ts))
	}
}

type scanFunc func(ctx context.Context, start, end []byte, limit int, ts uint64) ([]*store.KVPair, error)

func (s *script) scan(scan scanFunc) {
	limit := 100
	if s.has("limit") {
		n, err := strconv.Atoi(s.string("limit"))
		if err != nil {
			s.t.Fatal(err)
		}
		limit = n
	}
	pairs, err := scan(ctx, s.bytes("start"), s.bytes("end"), limit, s.ts("ts"))
	if err != nil {
		s.report(err)
		return
	}
	if pairs == nil {
		s.t.Error("the scan returned nil, want an empty slice")
	}
	if len(pairs) == 0 {
		s.printf("nothing")
	}
	for _, p := range pairs {
		if p.Key == nil || p.Value == nil {
			s.t.Errorf("the scan returned nil in the row %q = %q", p.Key, p.Value)
		}
		s.printf("%s = %s", show(p.Key), show(p.Value))
	}
}

func (s *script) walk(order store.Order) {
	span := store.Span{Start: s.bytes("start"), End: s.bytes("end")}
	if s.has("prefix") {
		span = store.PrefixSpan(s.bytes("prefix"))
	}
	n, stop := uint64(0), s.optional("stop")
	err := s.e.WalkAt(ctx, span, order, s.ts("ts"), func(key []byte, v store.VersionedValue) bool {
		n++
		s.printf("%s = %s", show(key), showVersion(v))
		return n != stop
	})
	s.report(err)
	if n == 0 && err == nil {
		s.printf("nothing")
	}
}

func (s *script) apply() {
	var mutations []*store.KVPairMutation
	var readKeys [][]byte
	for _, arg := range s.c.args {
		if arg.Key == "read" {
			readKeys = append(readKeys, s.unquoteAll(arg.Vals)...)
		} else if m, ok := s.mutation(arg); ok {
			mutations = append(mutations, m)
		}
	}
	start, ts := s.ts("start"), s.ts("ts")
	switch {
	case s.has("index"):
		s.report(s.e.ApplyMutationsRaftAt(ctx, mutations, readKeys, start, ts, s.ts("index")))
	case s.has("raft"):
		s.report(s.e.ApplyMutationsRaft(ctx, mutations, readKeys, start, ts))
	default:
		s.report(s.e.ApplyMutations(ctx, mutations, readKeys, start, ts))
	}
}

func (s *script) stage() {
	var commits []store.Commit
	for _, arg := range s.c.args {
		if arg.Key == "commit" {
			commits = append(commits, store.Commit{TS: s.parseTS(arg.Vals[0])})
			continue
		}
		c := &commits[len(commits)-1]
		if m, ok := s.mutation(arg); ok {
			c.Mutations = append(c.Mutations, m)
			continue
		}
		if arg.Key == "deleted" {
			c.Deleted = append(c.Deleted, s.span(arg.Vals))
			continue
		}
		if c.Check == nil {
			c.Check = &store.Check{}
		}
		switch arg.Key {
		case "start":
			c.Check.StartTS = s.parseTS(arg.Vals[0])
		case "read":
			c.Check.ReadKeys = append(c.Check.ReadKeys, s.unquoteAll(arg.Vals)...)
		case "range":
			c.Check.ReadRanges = append(c.Check.ReadRanges, s.span(arg.Vals))
		}
	}
	staged, err := s.e.Stage(ctx, commits)
	if err == nil {
		err = staged.Wait()
	}
	s.report(err)
}

func (s *script) deletePrefix() {
	prefix, exclude, ts := s.bytes("prefix"), s.bytes("exclude"), s.ts("ts")
	switch {
	case s.has("index"):
		s.report(s.e.DeletePrefixAtRaftAt(ctx, prefix, exclude, ts, s.ts("index")))
	case s.has("raft"):
		s.report(s.e.DeletePrefixAtRaft(ctx, prefix, exclude, ts))
	default:
		s.report(s.e.DeletePrefixAt(ctx, prefix, exclude, ts))
	}
}

func (s *script) conflicts() {
	counts := s.e.WriteConflictCountsByPrefix()
	labels := make([]string, 0, len(counts))
	for label := range counts {
		labels = append(labels, label)
	}
	slices.Sort(labels)
	for _, label := range labels {
		s.printf("%s %d", label, counts[label])
	}
	if len(labels) == 0 {
		s.printf("none")
	}
}

func (s *script) snapshot() {
	image, err := takeSnapshot(s.e)
	s.report(err)
	s.snapshots[s.string("name")] = image
}

func (s *script) printf(format string, args ...any) { fmt.Fprintf(s.b, format+"\n", args...) }

// report prints what went wrong, if anything has.
func (s *script) report(err error) {
	if err != nil {
		s.printf("%s", s.errorText(err))
	}
}

// errorText names the sentinel that err is. The words around it are the
// implementation's own.
func (s *script) errorText(err error) string {
	if _, ok := store.WriteConflictKey(err); ok && !errors.Is(err, store.ErrWriteConflict) {
		s.t.Errorf("%v is not ErrWriteConflict", err)
	}
	return errorName(err)
}

func errorName(err error) string {
	if key, ok := store.WriteConflictKey(err); ok {
		return store.ErrWriteConflict.Error() + " on " + show(key)
	}
	for _, sentinel := range sentinels {
		if errors.Is(err, sentinel) {
			return sentinel.Error()
		}
	}
	return "refused"
}

// sentinels are the errors that scripts show by name. Of any other it counts
// only that there is one.
var sentinels = []error{
	store.ErrKeyNotFound, store.ErrReadTSCompacted, store.ErrUnknownOp, store.ErrValueTooLarge,
	store.ErrSnapshotKeyTooLarge, store.ErrInvalidChecksum, store.ErrDeletedNotNewest, store.ErrClosed, context.Canceled,
}

func (s *script) answer(yes bool, err error) {
	switch {
	case err != nil:
		s.report(err)
	case yes:
		s.printf("yes")
	default:
		s.printf("no")
	}
}

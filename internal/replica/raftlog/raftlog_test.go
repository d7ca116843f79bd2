package raftlog

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"pgregory.net/rapid"
)

func must(t fataler, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func openLog(t testing.TB, fs vfs.FS) *Log {
	t.Helper()
	l, err := Open("log", Options{FS: fs, TailBytes: 200})
	must(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// newGroup makes a group whose log begins behind entry 10 of term 5.
func newGroup(t fataler, l *Log, id GroupID) *Group {
	t.Helper()
	must(t, l.Create(id, Mark{10, 5}, hardState(5, 0, 10)))
	g, err := l.Open(id, 10)
	must(t, err)
	return g
}

func entry(index, term uint64, data string) *pb.Entry {
	e := &pb.Entry{Index: new(index), Term: new(term), Type: pb.EntryNormal.Enum()}
	if data != "" {
		e.Data = []byte(data)
	}
	return e
}

// fataler is a testing.TB or a rapid.T.
type fataler interface {
	Helper()
	Fatal(...any)
}

func rows(t fataler, l *Log) string {
	t.Helper()
	iter, err := l.db.NewIter(nil)
	must(t, err)
	var b strings.Builder
	for ok := iter.First(); ok; ok = iter.Next() {
		v, err := iter.ValueAndErr()
		must(t, err)
		fmt.Fprintf(&b, "%s %s\n", hex.EncodeToString(iter.Key()), hex.EncodeToString(v))
	}
	must(t, iter.Close())
	return b.String()
}

// The bytes of the format.
func TestBytes(t *testing.T) {
	l := openLog(t, vfs.NewMem())
	g := newGroup(t, l, 7)
	change := entry(12, 6, "c")
	change.Type = pb.EntryConfChangeV2.Enum()
	must(t, l.Write([]Write{{Group: g, Entries: []*pb.Entry{entry(11, 5, "ab"), change}, Hard: hardState(6, 2, 11)}}))
	must(t, l.BeginInstall(g, Mark{20, 6}))
	const want = `00000000666f726d6174 01
0000000765000000000000000b 0000000000000005006162
0000000765000000000000000c 00000000000000060263
0000000768 00000000000000060000000000000002000000000000000b
0000000769 00000000000000140000000000000006
0000000774 000000000000000a0000000000000005
`
	if got := groupRows(t, l); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// groupRows are the rows but for that of the writes, which has a name in it that is made by chance.
func groupRows(t fataler, l *Log) string {
	var kept strings.Builder
	for line := range strings.Lines(rows(t, l)) {
		if !strings.HasPrefix(line, hex.EncodeToString(writesKey)) {
			kept.WriteString(line)
		}
	}
	return kept.String()
}

// model is what a group should be.
type model struct {
	truncated Mark
	entries   []*pb.Entry // from truncated.Index+1 on
	hard      *pb.HardState
}

func (m *model) last() uint64 { return m.truncated.Index + uint64(len(m.entries)) }

// check compares everything that raft can ask.
func (m *model) check(t *rapid.T, g *Group) {
	first, _ := g.FirstIndex()
	last, _ := g.LastIndex()
	if first != m.truncated.Index+1 || last != m.last() {
		t.Fatalf("group %d: entries %d to %d, want %d to %d", g.id, first, last, m.truncated.Index+1, m.last())
	}
	if got := g.HardState(); got.String() != m.hard.String() {
		t.Fatalf("group %d: %v, want %v", g.id, got, m.hard)
	}
	for i := m.truncated.Index; i <= m.last(); i++ {
		want := m.truncated.Term
		if i > m.truncated.Index {
			want = m.entries[i-first].GetTerm()
		}
		if got, err := g.Term(i); got != want || err != nil {
			t.Fatalf("group %d: term of %d: %d, %v, want %d", g.id, i, got, err, want)
		}
	}
	lo := rapid.Uint64Range(first, last+1).Draw(t, "lo")
	hi := rapid.Uint64Range(lo, last+1).Draw(t, "hi")
	most := rapid.Uint64Range(0, 400).Draw(t, "most")
	got, err := g.Entries(lo, hi, most)
	if err != nil {
		t.Fatalf("group %d: entries %d to %d: %v", g.id, lo, hi, err)
	}
	size := uint64(0)
	for i, want := range m.entries[lo-first : hi-first] {
		if size += uint64(entrySize(want)); i > 0 && size > most {
			if len(got) != i {
				t.Fatalf("group %d: %d entries, want %d", g.id, len(got), i)
			}
			return
		}
		if i >= len(got) || got[i].String() != want.String() {
			t.Fatalf("group %d: entry %d of %v, want %v", g.id, i, got, want)
		}
	}
	if _, err := g.Term(m.last() + 1); !errors.Is(err, raft.ErrUnavailable) {
		t.Fatalf("behind the end: %v", err)
	}
	if m.truncated.Index > 0 {
		if _, err := g.Entries(m.truncated.Index, first, 1); !errors.Is(err, raft.ErrCompacted) {
			t.Fatalf("before the beginning: %v", err)
		}
	}
}

// Random histories of three groups in one log, with crashes: after one the log is as it was after some
// write, and none before the last that was synced.
func TestModel(t *testing.T) { checkModel(t, Seal{}) }

func TestModelSealed(t *testing.T) { checkModel(t, newVault(t, 1).seal()) }

func checkModel(t *testing.T, seal Seal) {
	rapid.Check(t, func(t *rapid.T) {
		fs := vfs.NewCrashableMem()
		open := func() *Log {
			l, err := Open("log", Options{FS: fs, TailBytes: rapid.IntRange(1, 300).Draw(t, "tail"), Seal: seal})
			if err != nil {
				t.Fatal(err)
			}
			return l
		}
		l := open()
		defer func() { _ = l.Close() }()
		now := map[GroupID]*model{}
		var since []string // all rows, after the last sync and after each write since
		groups := map[GroupID]*Group{}
		term := uint64(5)
		openGroups := func() {
			for id, m := range now {
				var err error
				if groups[id], err = l.Open(id, m.truncated.Index); err != nil {
					t.Fatal(err)
				}
			}
		}
		wrote := func(synced bool) {
			if synced {
				since = nil
			}
			since = append(since, rows(t, l))
		}
		for id := range GroupID(3) {
			if err := l.Create(id, Mark{10, 5}, hardState(5, 0, 10)); err != nil {
				t.Fatal(err)
			}
			now[id] = &model{truncated: Mark{10, 5}, hard: hardState(5, 0, 10)}
		}
		openGroups()
		wrote(true)
		draw := func() Write {
			id := GroupID(rapid.IntRange(0, 2).Draw(t, "group"))
			m := now[id]
			w := Write{Group: groups[id]}
			if n := rapid.IntRange(0, 4).Draw(t, "entries"); n > 0 {
				from := rapid.Uint64Range(max(m.truncated.Index+1, min(m.last(), m.last()-3)), m.last()+1).Draw(t, "from")
				term++
				for i := range uint64(n) {
					w.Entries = append(w.Entries, entry(from+i, term, strings.Repeat("x", rapid.IntRange(0, 60).Draw(t, "size"))))
				}
				m.entries = append(m.entries[:from-m.truncated.Index-1:from-m.truncated.Index-1], w.Entries...)
			}
			if rapid.Bool().Draw(t, "hard") {
				w.Hard = hardState(term, rapid.Uint64Range(0, 3).Draw(t, "vote"), rapid.Uint64Range(m.hard.GetCommit(), max(m.hard.GetCommit(), m.last())).Draw(t, "commit"))
				m.hard = w.Hard
			}
			return w
		}
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			switch rapid.IntRange(0, 9).Draw(t, "what") {
			case 0, 1, 2, 3, 4:
				var writes []Write
				for range rapid.IntRange(1, 3).Draw(t, "writes") {
					writes = append(writes, draw())
				}
				write, later := l.Write, rapid.Bool().Draw(t, "later")
				if later {
					write = l.WriteLater
				}
				if err := write(writes); err != nil {
					t.Fatal(err)
				}
				wrote(!later)
			case 5, 6:
				marks := map[*Group]Mark{}
				for id, m := range now {
					// What is cut off is committed; a model that is not keeps its hard state.
					at := rapid.Uint64Range(m.truncated.Index, m.last()).Draw(t, "cut")
					if at > m.truncated.Index {
						mark := Mark{at, m.entries[at-m.truncated.Index-1].GetTerm()}
						m.entries = append([]*pb.Entry(nil), m.entries[at-m.truncated.Index:]...)
						m.truncated = mark
						marks[groups[id]] = mark
					}
				}
				if err := l.Truncate(marks); err != nil {
					t.Fatal(err)
				}
				wrote(false)
			case 7:
				id := GroupID(rapid.IntRange(0, 2).Draw(t, "group"))
				m := now[id]
				term++
				mark := Mark{m.last() + rapid.Uint64Range(1, 5).Draw(t, "ahead"), term}
				hard := hardState(term, 0, mark.Index)
				if err := errors.Join(l.BeginInstall(groups[id], mark), l.FinishInstall(groups[id], mark, hard)); err != nil {
					t.Fatal(err)
				}
				*m = model{truncated: mark, hard: hard}
				wrote(true)
			case 8, 9:
				if err := l.Close(); err != nil {
					t.Fatal(err)
				}
				fs = fs.CrashClone(vfs.CrashCloneCfg{})
				// To close a log syncs it; what a crash loses is seen at the end.
				l = open()
				openGroups()
				wrote(true)
			}
			for id, m := range now {
				want := *m
				if want.hard.GetCommit() < want.truncated.Index {
					want.hard = groups[id].HardState() // raised when it is opened
				}
				want.check(t, groups[id])
			}
		}
		// The crash.
		after := fs.CrashClone(vfs.CrashCloneCfg{})
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		fs = after
		l = open()
		if got := rows(t, l); !slices.Contains(since, got) {
			t.Fatalf("after a crash\n%swhich was so at no time since the last sync:\n%s", got, strings.Join(since, "\n"))
		}
	})
}

// What was not synced is gone after a crash, and what was is there to the last byte.
func TestCrash(t *testing.T) {
	fs := vfs.NewCrashableMem()
	l := openLog(t, fs)
	g := newGroup(t, l, 1)
	must(t, l.Write([]Write{{Group: g, Entries: []*pb.Entry{entry(11, 5, "synced")}, Hard: hardState(5, 1, 10)}}))
	must(t, l.WriteLater([]Write{{Group: g, Entries: []*pb.Entry{entry(12, 5, "not")}, Hard: hardState(6, 2, 12)}}))
	after := openLog(t, fs.CrashClone(vfs.CrashCloneCfg{}))
	g, err := after.Open(1, 10)
	must(t, err)
	got, err := g.Entries(11, 12, 100)
	last, _ := g.LastIndex()
	if err != nil || last != 11 || len(got) != 1 || string(got[0].GetData()) != "synced" || g.HardState().String() != hardState(5, 1, 10).String() {
		t.Errorf("got %v to %d, %v, %v", got, last, g.HardState(), err)
	}
}

func TestOpenSettlesInstall(t *testing.T) {
	for _, tc := range []struct {
		name    string
		applied uint64 // of the data, after a crash
		first   uint64
		hard    *pb.HardState
		want    error
	}{
		{"before the data", 10, 11, hardState(7, 3, 12), nil},
		{"before the data, which has more", 12, 11, hardState(7, 3, 12), nil},
		{"behind the data", 20, 21, hardState(9, 0, 20), nil},
		{"with data of another time", 21, 0, nil, ErrLogLost},
	} {
		t.Run(tc.name, func(t *testing.T) {
			fs := vfs.NewCrashableMem()
			l := openLog(t, fs)
			g := newGroup(t, l, 1)
			must(t, l.Write([]Write{{Group: g, Entries: []*pb.Entry{entry(11, 5, "a"), entry(12, 5, "b")}, Hard: hardState(7, 3, 12)}}))
			must(t, l.BeginInstall(g, Mark{20, 9}))
			for range 2 { // settled once and for all
				fs = fs.CrashClone(vfs.CrashCloneCfg{})
				l = openLog(t, fs)
				g, err := l.Open(1, tc.applied)
				if !errors.Is(err, tc.want) || (err == nil) != (tc.want == nil) {
					t.Fatalf("got %v, want %v", err, tc.want)
				}
				if err != nil {
					return
				}
				if first, _ := g.FirstIndex(); first != tc.first || g.HardState().String() != tc.hard.String() {
					t.Errorf("the log begins at %d, %v, want %d, %v", first, g.HardState(), tc.first, tc.hard)
				}
			}
		})
	}
}

// A vote of the term that a snapshot is of counts on.
func TestInstalledKeepsVote(t *testing.T) {
	if got := installed(hardState(9, 3, 5), Mark{20, 9}).String(); got != hardState(9, 3, 20).String() {
		t.Errorf("got %v", got)
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, tc := range []struct {
		name    string
		harm    func(l *Log) error
		applied uint64
		want    error
	}{
		{"whole", func(*Log) error { return nil }, 12, nil},
		{"an older log", func(*Log) error { return nil }, 14, ErrLogLost},
		{"older data", func(*Log) error { return nil }, 9, ErrStateLost},
		{"a gap", func(l *Log) error { return l.db.Delete(appendEntryKey(nil, 1, 12), pebble.Sync) }, 11, ErrDamaged},
		{"no first entry", func(l *Log) error { return l.db.Delete(appendEntryKey(nil, 1, 11), pebble.Sync) }, 11, ErrDamaged},
		{"no hard state", func(l *Log) error { return l.db.Delete(appendKey(nil, 1, rowHard), pebble.Sync) }, 11, ErrDamaged},
		{"half a hard state", func(l *Log) error { return l.db.Set(appendKey(nil, 1, rowHard), []byte("x"), pebble.Sync) }, 11, ErrDamaged},
		{"half a mark", func(l *Log) error { return l.db.Set(appendKey(nil, 1, rowTruncated), []byte("x"), pebble.Sync) }, 11, ErrDamaged},
		{"half an intent", func(l *Log) error { return l.db.Set(appendKey(nil, 1, rowIntent), []byte("x"), pebble.Sync) }, 11, ErrDamaged},
		{"no group", func(l *Log) error { return l.db.Delete(appendKey(nil, 1, rowTruncated), pebble.Sync) }, 11, ErrNoGroup},
	} {
		t.Run(tc.name, func(t *testing.T) {
			fs := vfs.NewCrashableMem()
			l := openLog(t, fs)
			g := newGroup(t, l, 1)
			must(t, l.Write([]Write{{Group: g, Entries: []*pb.Entry{entry(11, 5, "a"), entry(12, 5, "b"), entry(13, 5, "c")}}}))
			must(t, tc.harm(l))
			l = openLog(t, fs.CrashClone(vfs.CrashCloneCfg{}))
			if _, err := l.Open(1, tc.applied); !errors.Is(err, tc.want) || (err == nil) != (tc.want == nil) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
		})
	}
	l := openLog(t, vfs.NewMem())
	newGroup(t, l, 1)
	if err := l.Create(1, Mark{}, hardState(0, 0, 0)); !errors.Is(err, ErrGroupExists) {
		t.Errorf("created twice: %v", err)
	}
}

func TestNewerFormat(t *testing.T) {
	fs := vfs.NewCrashableMem()
	l := openLog(t, fs)
	must(t, l.db.Set(formatKey, []byte{formatSealed + 1}, pebble.Sync))
	if _, err := Open("log", Options{FS: fs.CrashClone(vfs.CrashCloneCfg{})}); !errors.Is(err, ErrNewerFormat) {
		t.Errorf("got %v", err)
	}
}

// A damaged row is an error of the read that finds it.
func TestDamagedEntry(t *testing.T) {
	fs := vfs.NewCrashableMem()
	l := openLog(t, fs)
	g := newGroup(t, l, 1)
	var entries []*pb.Entry
	for i := range uint64(20) {
		entries = append(entries, entry(11+i, 5, strings.Repeat("x", 50)))
	}
	must(t, l.Write([]Write{{Group: g, Entries: entries}}))
	for _, row := range []string{"", "12345678", "12345678\x7f"} {
		must(t, l.db.Set(appendEntryKey(nil, 1, 12), []byte(row), pebble.NoSync))
		if _, err := g.Entries(11, 20, 10000); !errors.Is(err, ErrDamaged) {
			t.Errorf("%q: entries: %v", row, err)
		}
	}
	must(t, l.db.Set(appendEntryKey(nil, 1, 12), nil, pebble.NoSync))
	if _, err := g.Term(12); !errors.Is(err, ErrDamaged) {
		t.Errorf("term: %v", err)
	}
	must(t, l.db.Delete(appendEntryKey(nil, 1, 12), pebble.NoSync))
	if _, err := g.Entries(11, 20, 10000); !errors.Is(err, ErrDamaged) {
		t.Errorf("a gap: %v", err)
	}
}

// The first write that fails ends the log: nobody knows what is on the disk.
func TestFailedWrite(t *testing.T) {
	broken := errorfs.Toggle{Injector: errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData || op.Kind == errorfs.OpFileSyncTo {
			return errorfs.ErrInjected
		}
		return nil
	})}
	l := openLog(t, errorfs.Wrap(vfs.NewMem(), &broken))
	g := newGroup(t, l, 1)
	w := []Write{{Group: g, Entries: []*pb.Entry{entry(11, 5, "a")}}}
	broken.On()
	defer broken.Off()
	func() {
		defer func() { _ = recover() }() // the engine panics; a process ends by that, too
		if err := l.Write(w); err == nil {
			t.Error("a write without a sync is durable")
		}
	}()
	if last, _ := g.LastIndex(); last != 10 {
		t.Errorf("the entry is shown: %d", last)
	}
}

func FuzzParseEntry(f *testing.F) {
	f.Add(appendEntry(nil, entry(1, 2, "abc")))
	f.Add([]byte("12345678\x03"))
	f.Fuzz(func(t *testing.T, row []byte) {
		e, err := parseEntry(7, row)
		if err != nil {
			return
		}
		if got := appendEntry(nil, e); !bytes.Equal(got, row) {
			t.Errorf("%x became %x", row, got)
		}
	})
}

// Whoever has entries on the disk has with them the commit index that was known when they came, though it needed no sync by itself.
func TestEntriesHaveCommitIndex(t *testing.T) {
	for _, alone := range []bool{true, false} {
		mem := vfs.NewCrashableMem()
		l := openLog(t, mem)
		g := newGroup(t, l, 1)
		must(t, l.Write([]Write{{Group: g, Entries: []*pb.Entry{entry(11, 5, "a change of members")}}}))
		known, next := Write{Group: g, Hard: hardState(5, 0, 11)}, Write{Group: g, Entries: []*pb.Entry{entry(12, 5, "another")}}
		if alone {
			must(t, l.Write([]Write{known}))
			must(t, l.Write([]Write{next}))
		} else {
			must(t, l.Write([]Write{known, next}))
		}
		must(t, l.Write([]Write{{Group: g, Entries: []*pb.Entry{entry(13, 5, "and another")}}}))
		after, err := openLog(t, mem.CrashClone(vfs.CrashCloneCfg{})).Open(1, 10)
		must(t, err)
		if last, commit := after.lastIndex(), after.HardState().GetCommit(); last != 13 || commit != 11 {
			t.Errorf("alone %v: it has entries up to %d, and knows %d to be committed, want 13 and 11", alone, last, commit)
		}
	}
}

// A commit index costs no sync; what is a promise, and what was written behind one that was not synced yet, does.
func TestSyncs(t *testing.T) {
	syncs := 0
	count := errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData || op.Kind == errorfs.OpFileSyncTo {
			syncs++
		}
		return nil
	})
	l := openLog(t, errorfs.Wrap(vfs.NewMem(), count))
	g := newGroup(t, l, 1)
	for _, tc := range []struct {
		name  string
		write func([]Write) error
		w     []Write
		want  int
	}{
		{"entries", l.Write, []Write{{Group: g, Entries: []*pb.Entry{entry(11, 5, "a")}, Hard: hardState(5, 0, 10)}}, 1},
		{"a commit index", l.Write, []Write{{Group: g, Hard: hardState(5, 0, 11)}}, 0},
		{"nothing", l.Write, []Write{{Group: g}}, 0},
		{"a vote, later", l.WriteLater, []Write{{Group: g, Hard: hardState(5, 2, 11)}}, 0},
		{"nothing, behind a vote that was not synced", l.Write, []Write{{Group: g}}, 1},
		{"nothing, behind a vote that was", l.Write, nil, 0},
		{"entries, later", l.WriteLater, []Write{{Group: g, Entries: []*pb.Entry{entry(12, 5, "b")}}}, 0},
		{"a commit index, behind entries that were not synced", l.Write, []Write{{Group: g, Hard: hardState(5, 2, 12)}}, 1},
		{"a term", l.Write, []Write{{Group: g, Hard: hardState(6, 0, 12)}}, 1},
		{"the same term", l.Write, []Write{{Group: g, Hard: hardState(6, 0, 12)}}, 0},
	} {
		before := syncs
		must(t, tc.write(tc.w))
		if got := min(syncs-before, 1); got != tc.want {
			t.Errorf("%s: %d syncs, want %d", tc.name, got, tc.want)
		}
		if len(tc.w) > 0 && tc.w[0].Hard != nil && g.HardState().String() != tc.w[0].Hard.String() {
			t.Errorf("%s: the log shows %v", tc.name, g.HardState())
		}
	}
}

package store

import (
	"bytes"
	"context"
	"encoding/hex"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/elastickv/elastickv/internal/testkit/crashable"
)

// TestEngineFormat writes to a store and compares all that the engine then holds,
// byte for byte: the keys of versions, their values, and the store's own rows.
//
//	put k v ts [exp] · del k ts · apply index ts · floor ts · compact ts
//	deleted start [end] ts                          a range tombstone
//	cursor floor since ranges begin next [wrapped]  the row that an unfinished compaction leaves
//	bounds k                                        the bound below a key's versions, and that above all
//
// Every block starts with an empty store.
func TestEngineFormat(t *testing.T) {
	ctx := context.Background()
	datadriven.RunTest(t, "testdata/format/engine", func(t *testing.T, d *datadriven.TestData) string {
		s := openTest(t, "db", WithFS(vfs.NewMem()), WithEagerRanges())
		var out strings.Builder
		for line := range strings.Lines(d.Cmd + wordsOf(d.CmdArgs) + "\n" + d.Input) {
			a := parseFormatLine(t, line)
			switch a.name {
			case "put":
				must(t, s.PutAt(ctx, a.bytes("k"), a.bytes("v"), a.uint("ts"), a.uint("exp")))
			case "del":
				must(t, s.DeleteAt(ctx, a.bytes("k"), a.uint("ts")))
			case "apply":
				must(t, s.ApplyMutationsRaftAt(ctx, nil, nil, 0, a.uint("ts"), a.uint("index")))
			case "compact":
				must(t, s.Compact(ctx, a.uint("ts")))
			case "deleted":
				span := Span{Start: a.bytes("start")}
				if a.has("end") {
					span.End = a.bytes("end")
				}
				must(t, stageAndWait(s, Commit{TS: a.uint("ts"), Deleted: []Span{span}}))
			case "floor":
				s.SetMinRetainedTS(a.uint("ts"))
			case "cursor":
				p := compactionPass{
					floor: a.uint("floor"), since: a.uint("since"), ranges: a.uint("ranges"),
					begin: a.bytes("begin"), next: a.bytes("next"), wrapped: a.has("wrapped"),
				}
				fmt.Fprintf(&out, "%x\n", p.append(nil))
			case "bounds":
				fmt.Fprintf(&out, "%x\n%x\n", appendKeyBound(nil, a.bytes("k")), appendDataEnd(nil))
			default:
				d.Fatalf(t, "unknown command %q", a.name)
			}
		}
		dumpRows(t, s, &out)
		return out.String()
	})
}

func wordsOf(args []datadriven.CmdArg) string {
	var b strings.Builder
	for _, arg := range args {
		b.WriteString(" " + arg.String())
	}
	return b.String()
}

// formatLine is one command of a format script.
type formatLine struct {
	t    *testing.T
	name string
	args map[string]string
}

func parseFormatLine(t *testing.T, line string) formatLine {
	words := strings.Fields(line)
	a := formatLine{t: t, name: words[0], args: map[string]string{}}
	for _, word := range words[1:] {
		key, value, _ := strings.Cut(word, "=")
		a.args[key] = value
	}
	return a
}

func (a formatLine) has(key string) bool {
	_, ok := a.args[key]
	return ok
}

func (a formatLine) bytes(key string) []byte {
	text, err := strconv.Unquote(`"` + a.args[key] + `"`)
	must(a.t, err)
	return []byte(text)
}

func (a formatLine) uint(key string) uint64 {
	if !a.has(key) {
		return 0
	}
	n, err := strconv.ParseUint(a.args[key], 0, 64)
	must(a.t, err)
	return n
}

// dumpRows prints every row in hexadecimal, with blanks where the parts of a key
// meet.
func dumpRows(t *testing.T, s *pebbleStore, out io.Writer) {
	t.Helper()
	iter, err := s.db.NewIter(nil)
	must(t, err)
	for ok := iter.First(); ok; ok = iter.Next() {
		key, row := iter.Key(), orNone(iter.Value())
		n := len(key)
		switch key[0] {
		case 0x00:
			fmt.Fprintf(out, "%x %q %x = %s\n", key[:1], key[1:n-1], key[n-1:], row)
		case 0x01:
			fmt.Fprintf(out, "%x %x %s %x %x %x = %s\n", key[:1], key[1:5], orNone(key[5:n-10]), key[n-10:n-9], key[n-9:n-1], key[n-1:], row)
		case 0x02:
			fmt.Fprintf(out, "%x %x %x %x %x %s %x = %s\n", key[:1], key[1:5], key[5:13], key[13:14], key[14:18], orNone(key[18:n-1]), key[n-1:], row)
		default:
			fmt.Fprintf(out, "%x %x %x %s %x = %s\n", key[:1], key[1:5], key[5:13], orNone(key[13:n-1]), key[n-1:], row)
		}
	}
	must(t, iter.Close())
}

func orNone(b []byte) string {
	if len(b) == 0 {
		return "-"
	}
	return hex.EncodeToString(b)
}

// goldenContents is what both the golden snapshot and the golden folder hold.
const goldenContents = `{LastCommitTS:72623859790382856 Floor:5 AppliedIndex:7}, shows 72623859790382856 5 7
"" 10 "" false 0
"a" 30 "" true 0
"a" 20 "2" false 50
"a" 10 "1" false 0
"a\x00" 72623859790382856 "v" false 18446744073709551615
"a\xff" 11 "x" false 0
"b" 40 "" true 0
"b" 10 "1" false 0
`

// fillGolden writes the contents, and calls flush halfway.
func fillGolden(t *testing.T, s Engine, flush func() error) {
	t.Helper()
	ctx := context.Background()
	must(t, s.PutAt(ctx, nil, nil, 10, 0))
	must(t, s.PutAt(ctx, []byte("a"), []byte("1"), 10, 0))
	must(t, s.PutAt(ctx, []byte("b"), []byte("1"), 10, 0))
	must(t, s.PutAt(ctx, []byte("a"), []byte("2"), 20, 50))
	must(t, s.DeleteAt(ctx, []byte("a"), 30))
	must(t, flush())
	must(t, s.PutAt(ctx, []byte("a\xff"), []byte("x"), 11, 0))
	must(t, s.ApplyMutationsRaftAt(ctx, nil, nil, 0, 31, 7))
	s.SetMinRetainedTS(5)
	must(t, stageAndWait(s, Commit{TS: 40, Deleted: []Span{{Start: []byte("b")}}}))
	must(t, s.PutAt(ctx, []byte("a\x00"), []byte("v"), 0x0102030405060708, maxTS))
}

// goldenFolders has a folder of each format. Each holds, in tables and in the log, what fillGolden writes.
const goldenFolders = "testdata/format/"

// rewriting reports whether files of testdata are to be written and not compared.
func rewriting() bool { return flag.Lookup("rewrite").Value.String() == "true" }

// TestFormatOfSnapshot holds the stream to golden bytes, which either store reads.
// What is read is written as the same bytes by the one that has made them.
func TestFormatOfSnapshot(t *testing.T) {
	const path = "testdata/format/snapshot1"
	if rewriting() {
		s := openTest(t, "db", WithFS(vfs.NewMem()), WithEagerRanges())
		fillGolden(t, s, s.db.Flush)
		must(t, os.WriteFile(path, []byte(hexLines(imageOf(t, s))), 0o644))
	}
	text, err := os.ReadFile(path)
	must(t, err)
	golden, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
	must(t, err)
	s := openMem(t)
	for _, e := range []MVCCStore{NewMVCCStore(), s} {
		must(t, e.Restore(bytes.NewReader(golden)))
		if got := contents(t, e); got != goldenContents {
			t.Errorf("%T: %s", e, difference(got, goldenContents))
		}
	}
	if again := imageOf(t, s); !bytes.Equal(again, golden) {
		t.Errorf("got\n%x\nwant\n%x", again, golden)
	}
}

func hexLines(b []byte) string {
	var text strings.Builder
	for line := range slices.Chunk(b, 32) {
		fmt.Fprintf(&text, "%x\n", line)
	}
	return text.String()
}

// TestFormatOfFolder opens folders that were written with format 1 and 2, part of it in
// tables and part in the log, and goes on writing to them.
func TestFormatOfFolder(t *testing.T) {
	if newest := goldenFolders + "folder2"; rewriting() {
		must(t, os.RemoveAll(newest))
		s := openTest(t, newest, WithEagerRanges(), func(s *pebbleStore) { s.logAhead = 1 })
		fillGolden(t, s, s.db.Flush)
		must(t, s.Close())
	}
	for _, name := range []string{"folder1", "folder2"} {
		dir := filepath.Join(t.TempDir(), "db")
		must(t, os.CopyFS(dir, os.DirFS(goldenFolders+name)))
		s := openTest(t, dir)
		if got := contents(t, s); got != goldenContents {
			t.Errorf("%s: %s", name, difference(got, goldenContents))
		}
		must(t, s.PutAt(context.Background(), []byte("a"), []byte("new"), maxTS-1, 0))
		must(t, s.Close())
		s = openTest(t, dir)
		wantValue(t, s, "a", maxTS, "new")
		must(t, s.Close())
		if got, err := os.ReadFile(filepath.Join(dir, formatFile)); err != nil || string(got) != formatHead+"2\n" {
			t.Errorf("%s: the folder is now of %q, %v", name, got, err)
		}
	}
	s := openMem(t)
	fillGolden(t, s, s.db.Flush)
	if got := contents(t, s); got != goldenContents {
		t.Errorf("the same written now: %s", difference(got, goldenContents))
	}
}

// A crash before any operation of an upgrade leaves a folder of one format or the other, with all that was in it. The disk then has all of what was
// not synced, or nothing: the engine itself cannot open what a disk has that has kept the second of two names of one folder, and not the first.
func TestCrashEverywhereUpgrading(t *testing.T) {
	mem := vfs.NewCrashableMem()
	cloneGolden(t, mem, "folder1")
	var mu sync.Mutex
	var images []crashImage
	fs := errorfs.Wrap(crashable.FS{MemFS: mem}, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
			mu.Lock()
			defer mu.Unlock()
			for _, percent := range []int{0, 100} {
				crashed := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rand.New(rand.NewPCG(1, 1))})
				images = append(images, crashImage{fs: crashed, op: fmt.Sprintf("%v of %s, %d%%", op.Kind, op.Path, percent)})
			}
		}
		return nil
	}))
	must(t, openTest(t, "data/db", WithFS(fs)).Close())
	if len(images) < 20 {
		t.Errorf("%d crashes only", len(images))
	}
	for i, image := range images {
		s, err := NewPebbleStore("data/db", WithFS(image.fs))
		if err != nil {
			t.Fatalf("crash %d, before %s: %v", i, image.op, err)
		}
		if got := contents(t, s); got != goldenContents {
			t.Fatalf("crash %d, before %s: %s", i, image.op, difference(got, goldenContents))
		}
		must(t, s.Close())
	}
}

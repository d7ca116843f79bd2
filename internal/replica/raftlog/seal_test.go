package raftlog

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	pb "go.etcd.io/raft/v3/raftpb"

	"github.com/elastickv/elastickv/encryption"
)

// vault has keys, of which one is active, and counts nonces.
type vault struct {
	cipher        *encryption.Cipher
	active, floor uint32
	nonces        uint64
	none          error // instead of a nonce
}

func newVault(t testing.TB, active uint32) *vault {
	v := &vault{cipher: encryption.NewCipher(), active: active}
	for id := uint32(1); id <= 9; id++ {
		must(t, v.cipher.AddKey(id, bytes.Repeat([]byte{byte(id)}, encryption.KeySize)))
	}
	return v
}

func (v *vault) seal() Seal {
	return Seal{Cipher: v.cipher, Key: func() uint32 { return v.active }, Floor: func() uint32 { return v.floor },
		Nonce: func() (n [encryption.NonceSize]byte, err error) {
			v.nonces++
			binary.BigEndian.PutUint64(n[4:], v.nonces)
			return n, v.none
		}}
}

func openSealed(t testing.TB, fs vfs.FS, v *vault) *Log {
	t.Helper()
	l, err := Open("log", Options{FS: fs, TailBytes: 1, Seal: v.seal()})
	must(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l
}

const secret = "known value of nobody else"

// files returns everything that is below a folder.
func files(t testing.TB, fs vfs.FS, dir string) (all []byte) {
	t.Helper()
	names, err := fs.List(dir)
	must(t, err)
	for _, name := range names {
		f, err := fs.Open(fs.PathJoin(dir, name))
		must(t, err)
		b, err := io.ReadAll(f)
		must(t, errors.Join(err, f.Close()))
		all = append(all, b...)
	}
	return all
}

// secrets writes entries [from, to] that have the secret.
func secrets(t testing.TB, l *Log, g *Group, from, to uint64) {
	t.Helper()
	for i := from; i <= to; i++ {
		must(t, l.Write([]Write{{Group: g, Entries: []*pb.Entry{entry(i, 5, fmt.Sprint(secret, i))}, Hard: hardState(5, 0, 10)}}))
	}
}

// wantSecrets reads entries [from, to] back from the disk.
func wantSecrets(t testing.TB, g *Group, from, to uint64) {
	t.Helper()
	got, err := g.Entries(from, to+1, 1<<30)
	if err != nil || len(got) != int(to-from+1) {
		t.Fatalf("%d entries, %v", len(got), err)
	}
	for i, e := range got {
		if want := fmt.Sprint(secret, from+uint64(i)); string(e.GetData()) != want || e.GetType() != pb.EntryNormal || e.GetTerm() != 5 {
			t.Errorf("entry %d is %v", from+uint64(i), e)
		}
	}
}

func unthrottled(context.Context, int) error { return nil }

// What was sealed is in no file, and there again after a restart and after a crash.
func TestSealed(t *testing.T) {
	fs, v := vfs.NewCrashableMem(), newVault(t, 3)
	l := openSealed(t, fs, v)
	g := newGroup(t, l, 1)
	secrets(t, l, g, 11, 40)
	v.active = 4
	change := entry(41, 5, secret)
	change.Type = pb.EntryConfChangeV2.Enum()
	must(t, l.Write([]Write{{Group: g, Entries: []*pb.Entry{change, entry(42, 5, "")}}}))
	for _, step := range []string{"written", "crashed", "flushed"} {
		switch step {
		case "crashed":
			fs = fs.CrashClone(vfs.CrashCloneCfg{})
			_ = l.Close()
		case "flushed":
			must(t, errors.Join(l.db.Flush(), l.Close()))
		}
		if bytes.Contains(files(t, fs, "log"), []byte(secret)) {
			t.Fatalf("%s: the secret is in a file", step)
		}
		if step == "written" {
			continue
		}
		l = openSealed(t, fs, v)
		var err error
		g, err = l.Open(1, 10)
		must(t, err)
		wantSecrets(t, g, 11, 40)
		rest, err := g.Entries(41, 43, 1<<20)
		if err != nil || rest[0].GetType() != pb.EntryConfChangeV2 || string(rest[0].GetData()) != secret || len(rest[1].GetData()) != 0 {
			t.Errorf("%s: got %v, %v", step, rest, err)
		}
	}
	must(t, l.Close())
	if clear, err := Open("log", Options{FS: fs}); err != nil {
		t.Error(err)
	} else if _, err := clear.Open(1, 10); !errors.Is(err, ErrSealed) {
		t.Errorf("without keys: got %v", err)
	} else {
		must(t, clear.Close())
	}
	must(t, v.cipher.AddKey(10, bytes.Repeat([]byte{10}, encryption.KeySize)))
	v.cipher.RemoveKey(3)
	if _, err := openSealed(t, fs, v).Open(1, 10); !errors.Is(err, ErrTampered) || !strings.Contains(err.Error(), "no key with id 3") {
		t.Errorf("with a key missing: got %v", err)
	}
}

// The bytes of the format.
func TestSealedBytes(t *testing.T) {
	l := openSealed(t, vfs.NewMem(), newVault(t, 2))
	g := newGroup(t, l, 7)
	must(t, l.Write([]Write{{Group: g, Entries: []*pb.Entry{entry(11, 5, "ab")}}}))
	const want = `00000000666f726d6174 02
0000000765000000000000000b 0000000000000005800100000000020000000000000000000000012d3e2f489165cd00e869b5193b5c140def0a
`
	got := groupRows(t, l)
	if !strings.HasPrefix(got, want) { // what follows are rows of others
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// Every bit of a sealed entry counts, and so does where it stands.
func TestTampered(t *testing.T) {
	fs, v := vfs.NewCrashableMem(), newVault(t, 2)
	l := openSealed(t, fs, v)
	g := newGroup(t, l, 1)
	secrets(t, l, g, 11, 13)
	key := appendEntryKey(nil, 1, 12)
	whole, _, err := l.row(key)
	must(t, err)
	other, _, err := l.row(appendEntryKey(nil, 1, 13))
	must(t, err)
	refused := func(what string, row []byte) {
		t.Helper()
		must(t, l.db.Set(key, row, nil))
		if _, err := g.Entries(12, 13, 1<<20); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: a read says %v", what, err)
		}
		again := &Group{id: 1, db: l.db, seal: &l.o.Seal}
		if err := again.load(l); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: to open it says %v", what, err)
		}
	}
	for bit := range 8 * len(whole) {
		changed := bytes.Clone(whole)
		changed[bit/8] ^= 1 << (bit % 8)
		if changed[8]&sealedType == 0 {
			v.floor = 1 // all are sealed, and this one looks clear
		}
		refused(fmt.Sprint("bit ", bit), changed)
		v.floor = 0
	}
	refused("that of another place", other)
	refused("cut", whole[:len(whole)-1])
	refused("cut to nothing", whole[:9])
	v.floor = 1
	refused("a clear one", appendEntry(nil, entry(12, 5, "planted")))
	v.floor = 3
	refused("one under a key that none should be under", whole)
	if _, err := g.Entries(12, 13, 1<<20); !errors.Is(err, ErrTampered) || !strings.Contains(err.Error(), "entry 12") {
		t.Errorf("got %v", err)
	}
}

// Clear entries become sealed ones, and those under a key ones under another, while more are written. A crash anywhere
// takes nothing.
func TestReseal(t *testing.T) {
	fs, v := vfs.NewCrashableMem(), newVault(t, 0)
	l := openSealed(t, fs, v)
	g := newGroup(t, l, 1)
	secrets(t, l, g, 11, 60)
	big := strings.Repeat("x", resealBatch/2)
	must(t, l.Write([]Write{{Group: g, Entries: []*pb.Entry{entry(61, 5, big), entry(62, 5, big), entry(63, 5, big)}}}))
	if !bytes.Contains(files(t, fs, "log"), []byte(secret)) {
		t.Fatal("nothing was clear")
	}
	v.active = 2
	var crashed []vfs.FS
	next := uint64(64)
	step := func(context.Context, int) error {
		crashed = append(crashed, fs.CrashClone(vfs.CrashCloneCfg{}))
		must(t, l.Write([]Write{{Group: g, Entries: []*pb.Entry{entry(next, 5, "more")}}}))
		next++
		return nil
	}
	must(t, l.Reseal(t.Context(), ResealOptions{Below: 1, Throttle: step, Purge: true}))
	v.floor = 1
	if len(crashed) < 2 {
		t.Fatalf("it was done in %d steps", len(crashed))
	}
	wantSecrets(t, g, 11, 60)
	v.active = 5
	must(t, l.Reseal(t.Context(), ResealOptions{Below: 5, Throttle: unthrottled}))
	v.floor = 5
	wantSecrets(t, g, 11, 60)
	must(t, l.Close())
	l = openSealed(t, fs, v)
	g, err := l.Open(1, 10)
	must(t, err)
	wantSecrets(t, g, 11, 60)
	must(t, l.Close())
	// The engine may keep a file of its own log to use it again, until it is opened anew.
	if bytes.Contains(files(t, fs, "log"), []byte(secret)) {
		t.Error("the secret is still in a file")
	}
	v.floor, v.active = 0, 2
	for i, fs := range crashed {
		l := openSealed(t, fs, v)
		g, err := l.Open(1, 10)
		if err != nil {
			t.Fatalf("crash %d: %v", i, err)
		}
		wantSecrets(t, g, 11, 60)
		must(t, l.Reseal(t.Context(), ResealOptions{Below: 1, Throttle: unthrottled, Purge: true}))
		v.floor = 1
		wantSecrets(t, g, 11, 60)
		v.floor = 0
		must(t, l.Close())
	}
}

// What cannot be sealed again says why, and goes on later.
func TestResealFails(t *testing.T) {
	v := newVault(t, 1)
	l := openSealed(t, vfs.NewMem(), v)
	g := newGroup(t, l, 1)
	secrets(t, l, g, 11, 12)
	if err := l.Reseal(t.Context(), ResealOptions{Below: 2, Throttle: unthrottled}); err == nil || !strings.Contains(err.Error(), "key 1 is in use") {
		t.Errorf("under an old key: got %v", err)
	}
	v.active = 2
	stop := errors.New("stop")
	if err := l.Reseal(t.Context(), ResealOptions{Below: 2, Throttle: func(context.Context, int) error { return stop }}); !errors.Is(err, stop) {
		t.Errorf("stopped: got %v", err)
	}
	must(t, l.db.Delete(appendEntryKey(nil, 1, 12), pebble.NoSync))
	if err := l.Reseal(t.Context(), ResealOptions{Below: 3, Throttle: unthrottled}); !errors.Is(err, ErrDamaged) {
		t.Errorf("with an entry missing: got %v", err)
	}
}

// Without a nonce nothing is written, and nothing more is promised.
func TestNoNonce(t *testing.T) {
	v := newVault(t, 1)
	l := openSealed(t, vfs.NewMem(), v)
	g := newGroup(t, l, 1)
	v.none = errors.New("used up")
	if err := l.Write([]Write{{Group: g, Entries: []*pb.Entry{entry(11, 5, secret)}}}); !errors.Is(err, v.none) {
		t.Errorf("got %v", err)
	}
	if last, _ := g.LastIndex(); last != 10 || !errors.Is(l.Failure(), v.none) {
		t.Errorf("the log ends at %d, failed with %v", last, l.Failure())
	}
}

func FuzzSealedRow(f *testing.F) {
	v := newVault(f, 2)
	s := v.seal()
	row, err := s.appendRow(nil, 1, entry(11, 5, secret), 2)
	must(f, err)
	f.Add(row)
	f.Add(appendEntry(nil, entry(11, 5, secret)))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := s.parseRow(1, 11, b, 0)
		if err == nil && b[8]&sealedType != 0 && string(e.GetData()) != secret {
			t.Errorf("%x opens as %v", b, e)
		}
	})
}

// Who has begun to read goes by what was so then: rows that are sealed again meanwhile are not what he sees.
func TestReadBesideReseal(t *testing.T) {
	v := newVault(t, 2)
	l := openSealed(t, vfs.NewMem(), v)
	g := newGroup(t, l, 1)
	secrets(t, l, g, 11, 14)
	v.active = 5
	read := 0
	more, err := g.read(11, 15, func(*pb.Entry) bool {
		if read++; read == 1 {
			must(t, l.Reseal(t.Context(), ResealOptions{Below: 5, Throttle: unthrottled}))
			v.floor = 5
		}
		return true
	})
	if !more || err != nil || read != 4 {
		t.Errorf("read %d entries, %v, %v", read, more, err)
	}
	wantSecrets(t, g, 11, 14)
}

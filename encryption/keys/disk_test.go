package keys

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/elastickv/elastickv/encryption"
)

// fataler is a testing.TB or a rapid.T.
type fataler interface {
	Helper()
	Fatal(args ...any)
}

func must(t fataler, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// errCrash is what every operation of a machine returns that has crashed.
var errCrash = errors.New("the machine has crashed")

// machine is a disk with a data folder on it and the registry of the store in that. It can
// crash before any operation that changes something.
type machine struct {
	disk *vfs.MemFS
	rows map[[2]uint32]encryption.WriterRow // each durable when it is here
	left int                                // operations until the crash; below 0: there is none
	ops  int                                // operations that were made
}

func newMachine(t fataler) *machine {
	m := &machine{disk: vfs.NewCrashableMem(), rows: map[[2]uint32]encryption.WriterRow{}, left: -1}
	must(t, m.disk.MkdirAll("data", 0o700))
	must(t, m.SyncFolder("."))
	m.ops = 0
	return m
}

// crashed returns the machine as it comes up after a crash at this moment. With rng nil,
// nothing is left of what was not made durable.
func (m *machine) crashed(rng *rand.Rand) *machine {
	cfg := vfs.CrashCloneCfg{}
	if rng != nil {
		cfg = vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng}
	}
	return &machine{disk: m.disk.CrashClone(cfg), rows: maps.Clone(m.rows), left: -1}
}

// step is before every operation that changes something.
func (m *machine) step() error {
	m.ops++
	if m.left == 0 {
		return errCrash
	}
	if m.left > 0 {
		m.left--
	}
	return nil
}

func (m *machine) Read(name string, most int) ([]byte, error) {
	f, err := m.disk.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, int64(most)))
}

func (m *machine) Create(name string) (File, error) {
	if err := m.step(); err != nil {
		return nil, err
	}
	if _, err := m.disk.Stat(name); !errors.Is(err, fs.ErrNotExist) {
		return nil, fs.ErrExist
	}
	f, err := m.disk.Create(name, vfs.WriteCategoryUnspecified)
	return machineFile{f, m}, err
}

func (m *machine) Remove(name string) error {
	if err := m.step(); err != nil {
		return err
	}
	if err := m.disk.Remove(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (m *machine) Rename(from, to string) error {
	if err := m.step(); err != nil {
		return err
	}
	return m.disk.Rename(from, to)
}

func (m *machine) SyncFolder(name string) error {
	if err := m.step(); err != nil {
		return err
	}
	d, err := m.disk.OpenDir(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

type machineFile struct {
	vfs.File
	m *machine
}

func (f machineFile) Write(p []byte) (int, error) {
	if err := f.m.step(); err != nil {
		return 0, err
	}
	return f.File.Write(p)
}

func (f machineFile) Sync() error {
	if err := f.m.step(); err != nil {
		return err
	}
	return f.File.Sync()
}

// WriterRow implements encryption.WriterRegistryStore, as do the next two.
func (m *machine) WriterRow(keyID uint32, folded uint16) (encryption.WriterRow, bool, error) {
	row, ok := m.rows[[2]uint32{keyID, uint32(folded)}]
	return row, ok, nil
}

func (m *machine) PutWriterRow(row encryption.WriterRow) error {
	if err := m.step(); err != nil {
		return err
	}
	m.rows[[2]uint32{row.KeyID, uint32(encryption.FoldNodeID(row.NodeID))}] = row
	return nil
}

func (m *machine) WalkWriterRows(fn func(encryption.WriterRow) error) error {
	ids := slices.SortedFunc(maps.Keys(m.rows), func(a, b [2]uint32) int { return slices.Compare(a[:], b[:]) })
	for _, id := range ids {
		if err := fn(m.rows[id]); err != nil {
			return err
		}
	}
	return nil
}

// chance is a source of bytes that is the same in every run, and never at the same place twice.
type chance struct{ rng *rand.Rand }

func newChance(seed uint64) *chance { return &chance{rand.New(rand.NewPCG(seed, 1))} }

func (c *chance) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(c.rng.Uint32())
	}
	return len(p), nil
}

// testKEK is a provider that has the KEK made of one byte.
func testKEK(b byte) Provider {
	return fixed{fmt.Sprintf("kek %d", b), func() (Secret, error) {
		key := make([]byte, encryption.KeySize)
		for i := range key {
			key[i] = b
		}
		return NewSecret(key)
	}}
}

func testOptions(m *machine, c *chance) Options {
	return Options{Dir: "data", KEK: testKEK(1), Rand: c, FS: m, Now: func() time.Time { return time.UnixMilli(1700000000000) }}
}

// sidecarText is what keys.json of a machine has in it.
func sidecarText(t testing.TB, m *machine) []byte {
	t.Helper()
	text, err := m.Read(filepath.Join("data", FileName), sidecarMost)
	must(t, err)
	return text
}

func (m *machine) setSidecar(t testing.TB, text []byte) {
	t.Helper()
	o := &Options{Dir: "data", FS: m}
	must(t, o.write(text))
}

package encryption_test

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"pgregory.net/rapid"

	"github.com/elastickv/elastickv/encryption"
)

// registry is a WriterRegistryStore in memory.
type registry struct {
	rows    map[[2]uint32]encryption.WriterRow
	failing error // of every call, if not nil
}

func newRegistry() *registry { return &registry{rows: map[[2]uint32]encryption.WriterRow{}} }

func (r *registry) WriterRow(keyID uint32, folded uint16) (encryption.WriterRow, bool, error) {
	row, ok := r.rows[[2]uint32{keyID, uint32(folded)}]
	return row, ok, r.failing
}

func (r *registry) PutWriterRow(row encryption.WriterRow) error {
	if r.failing == nil {
		r.rows[[2]uint32{row.KeyID, uint32(encryption.FoldNodeID(row.NodeID))}] = row
	}
	return r.failing
}

func (r *registry) WalkWriterRows(fn func(encryption.WriterRow) error) error {
	var ids [][2]uint32
	for id := range r.rows {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b [2]uint32) int { return slices.Compare(a[:], b[:]) })
	for _, id := range ids {
		if err := fn(r.rows[id]); err != nil {
			return err
		}
	}
	return r.failing
}

// show lists all rows.
func (r *registry) show() string {
	var b strings.Builder
	_ = r.WalkWriterRows(func(row encryption.WriterRow) error {
		fmt.Fprintf(&b, "key=%d node=%#x epochs=%d-%d\n", row.KeyID, row.NodeID, row.FirstEpoch, row.LastEpoch)
		return nil
	})
	return b.String()
}

// Commands: register key=N node=N epoch=N, which answers with the registry or the
// error; fold node=N.
func TestRegistry(t *testing.T) {
	r := newRegistry()
	datadriven.RunTest(t, "testdata/registry", func(t *testing.T, d *datadriven.TestData) string {
		switch d.Cmd {
		case "register":
			w := encryption.Writer{
				KeyID:  uint32(number(t, d, "key")),
				NodeID: number(t, d, "node"),
				Epoch:  uint16(number(t, d, "epoch")),
			}
			if _, err := encryption.RegisterWriter(r, w); err != nil {
				return err.Error() + "\n" + r.show()
			}
			return r.show()
		case "fold":
			return fmt.Sprintf("%#04x\n", encryption.FoldNodeID(number(t, d, "node")))
		}
		d.Fatalf(t, "unknown command %q", d.Cmd)
		return ""
	})
}

// number returns an argument that is decimal, or hex after 0x.
func number(t *testing.T, d *datadriven.TestData, name string) uint64 {
	t.Helper()
	var text string
	d.ScanArgs(t, name, &text)
	n, err := strconv.ParseUint(text, 0, 64)
	if err != nil {
		d.Fatalf(t, "%v", err)
	}
	return n
}

func TestRegistryErrors(t *testing.T) {
	w := encryption.Writer{KeyID: 1, NodeID: 2, Epoch: 3}
	var collision *encryption.NodeCollisionError
	if _, err := w.Admit(&encryption.WriterRow{KeyID: 1, NodeID: 2 << 16}); !errors.As(err, &collision) || collision.Taken != 2<<16 || collision.Writer != w {
		t.Errorf("collision: got %v", err)
	}
	var epoch *encryption.EpochError
	if _, err := w.Admit(&encryption.WriterRow{KeyID: 1, NodeID: 2, LastEpoch: 3}); !errors.As(err, &epoch) || epoch.Last != 3 || epoch.Writer != w {
		t.Errorf("epoch: got %v", err)
	}
	r := newRegistry()
	r.failing = errors.New("disk on fire")
	if _, err := encryption.RegisterWriter(r, w); !errors.Is(err, r.failing) {
		t.Errorf("failing store: got %v", err)
	}
	if len(r.rows) != 0 {
		t.Errorf("failing store: left %v", r.rows)
	}
}

// Whatever nodes ask for in whatever order, no two admitted writers under one key make
// the same first four bytes of a nonce.
func TestRegistryModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newRegistry()
		lived := map[string]encryption.Writer{}
		for range rapid.IntRange(1, 60).Draw(t, "requests") {
			w := encryption.Writer{
				KeyID:  rapid.Uint32Range(1, 2).Draw(t, "key"),
				NodeID: rapid.SampledFrom([]uint64{1, 2, 3, 1 << 16, 2 << 32, 3 << 48, math.MaxUint64, 0}).Draw(t, "node"),
				Epoch:  rapid.SampledFrom([]uint16{0, 1, 2, 3, 4, math.MaxUint16}).Draw(t, "epoch"),
			}
			row, err := encryption.RegisterWriter(r, w)
			if err != nil {
				continue
			}
			if row.LastEpoch != w.Epoch || row.NodeID != w.NodeID || row.KeyID != w.KeyID || row.FirstEpoch > row.LastEpoch {
				t.Fatalf("%+v got the row %+v", w, row)
			}
			nonce := fmt.Sprint(w.KeyID, encryption.FoldNodeID(w.NodeID), w.Epoch)
			if other, ok := lived[nonce]; ok {
				t.Fatalf("%+v and %+v were both admitted", w, other)
			}
			lived[nonce] = w
		}
	})
}

package zerofill

import (
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// BenchmarkSync writes 6 KiB, what fifty clients send at once, and syncs it, by turns to a file that is filled ahead and to one
// that is not; "speed" is the ratio of the medians, of the bare file to the filled one.
func BenchmarkSync(b *testing.B) {
	dir := b.TempDir()
	bare, filled := create(b, vfs.Default, filepath.Join(dir, "000001.log")), create(b, FS{FS: vfs.Default}, filepath.Join(dir, "000002.log"))
	text := make([]byte, 6<<10)
	var took [2][]time.Duration
	for b.Loop() {
		for i, f := range []vfs.File{bare, filled} {
			began := time.Now()
			write(b, f, text)
			must(b, f.SyncData())
			took[i] = append(took[i], time.Since(began))
		}
	}
	must(b, bare.Close())
	must(b, filled.Close())
	var median [2]float64
	for i, d := range took {
		slices.Sort(d)
		median[i] = float64(d[len(d)/2])
	}
	b.ReportMetric(median[1]/1e3, "filled-µs")
	b.ReportMetric(median[0]/median[1], "speed")
}

package store

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/sstable/blob"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// blobLeast is the size of a row in bytes from which on its value stands in a blob file, and the table only says where.
//
// Compactions move each row several times on its way down the levels: most of them leave what is in a blob file where it is. And tables of
// keys alone are so small that they stay in the cache, so that a read of what memory does not hold still asks the disk once. With rows
// of a few hundred bytes the second look-up costs more than that gains.
const blobLeast = 1 << 10

// blobPolicy has the engine keep large values in blob files.
func blobPolicy() pebble.ValueSeparationPolicy {
	return pebble.ValueSeparationPolicy{
		Enabled:     true,
		MinimumSize: blobLeast,
		// A walk over a table reads from so many blob files at most. A compaction of tables with more of them writes values, too.
		MaxBlobReferenceDepth: 10,
		// While more than this part of what is in blob files is of rows that have gone, those with most of it are written anew. Of
		// many, all rows go, which costs nothing: they get some time for that.
		TargetGarbageRatio: 0.3,
		RewriteMinimumAge:  5 * time.Minute,
	}
}

// wholeBlobs is a file system on which a blob file opens only if its footer can be read. The engine would panic if it could not, or
// if the file was missing: so neither may look to it like damage. Whatever else is damaged in a blob file it reports itself.
type wholeBlobs struct {
	vfs.FS
	log *slog.Logger
}

// Open implements vfs.FS.
func (w wholeBlobs) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	f, err := w.FS.Open(name, opts...)
	if !strings.HasSuffix(name, ".blob") {
		return f, err
	}
	if err == nil {
		if err = checkBlobFooter(f); err == nil {
			return f, nil
		}
		_ = f.Close() // err says more
	}
	if machineFault(err) != nil {
		return nil, err
	}
	logDamage(w.log, name, err)
	return nil, fmt.Errorf("store: blob file %s cannot be read; check the disk, or restore a backup: %v", name, oneLine{err}) //nolint:errorlint // the engine panics at what err is marked with
}

// Unwrap implements vfs.FS.
func (w wholeBlobs) Unwrap() vfs.FS { return w.FS }

// checkBlobFooter reads the footer of a blob file.
func checkBlobFooter(f vfs.File) error {
	r, err := sstable.NewSimpleReadable(f)
	if err != nil {
		return err
	}
	_, err = blob.NewFileReader(context.Background(), r, blob.FileReaderOptions{})
	return err
}

// blobs is what a store knows of its blob files.
type blobs struct {
	policy pebble.ValueSeparationPolicy // immutable
	renew  atomic.Bool                  // every table that is written gets blob files of its own

	// There are not more than this. The engine does not ask at its opening whether the files are there that it has rows in.
	most atomic.Int64
}

// open counts the blob files in a folder, and from then on those that an engine with these options makes.
func (b *blobs) open(fs vfs.FS, dir string, o *pebble.Options) error {
	names, err := fs.List(dir)
	for _, name := range names {
		if strings.HasSuffix(name, ".blob") {
			b.most.Add(1)
		}
	}
	o.EventListener.BlobFileCreated = func(pebble.BlobFileCreateInfo) { b.most.Add(1) }
	o.Experimental.ValueSeparationPolicy = func() pebble.ValueSeparationPolicy {
		p := b.policy
		if b.renew.Load() {
			p.MaxBlobReferenceDepth = 0
		}
		return p
	}
	return err
}

// check fails if blob files are missing. It may not notice while others are in the folder that nobody needs any more.
func (b *blobs) check(db *pebble.DB) error {
	need := int64(db.Metrics().BlobFiles.LiveCount) // first, as there may be more files at any moment
	if most := b.most.Load(); need > most {
		return fmt.Errorf("%d of %d blob files are missing", need-most, need)
	}
	return nil
}

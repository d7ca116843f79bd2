package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// diskProbe writes a small file again and again, and takes down how long its syncs take: what the disk alone makes
// everybody wait for.
type diskProbe struct {
	longest atomic.Int64 // nanoseconds, since the last take
	file    vfs.File
	stop    context.CancelFunc
	done    sync.WaitGroup
}

// probeEvery is the time between two writes: so little that hardly any stall of the disk falls in between.
const probeEvery = 10 * time.Millisecond

func probeDisk(ctx context.Context, dir string) (*diskProbe, error) {
	f, err := vfs.Default.Create(filepath.Join(dir, "probe"), vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, err
	}
	block := make([]byte, 4096)
	_, err = f.WriteAt(block, 0)
	if err := errors.Join(err, f.Sync()); err != nil { // from here on it has its place
		return nil, errors.Join(fmt.Errorf("probe of the disk: %w", err), f.Close())
	}
	p := &diskProbe{file: f}
	ctx, p.stop = context.WithCancel(ctx)
	p.done.Go(func() {
		tick := time.NewTicker(probeEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			began := time.Now()
			block[0]++
			if _, err := f.WriteAt(block, 0); err != nil || f.SyncData() != nil {
				return // the server will tell of it
			}
			if took := int64(time.Since(began)); took > p.longest.Load() {
				p.longest.Store(took)
			}
		}
	})
	return p, nil
}

// take returns the longest sync since the last call.
func (p *diskProbe) take() time.Duration { return time.Duration(p.longest.Swap(0)) }

func (p *diskProbe) end() {
	p.stop()
	p.done.Wait()
	_ = p.file.Close()
}

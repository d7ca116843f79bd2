package txn_test

import (
	"context"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/elastickv/elastickv/hlc"
	"github.com/elastickv/elastickv/internal/txn"
	"github.com/elastickv/elastickv/store"
)

// BenchmarkView is what every GET of a hot key does, on as many goroutines as there
// are processors, and with nothing read.
func BenchmarkView(b *testing.B) {
	s, err := store.NewPebbleStore("bench", store.WithFS(vfs.NewMem()))
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	db := txn.NewLocal(s.(store.Engine), hlc.New(time.Now), txn.Options{})
	defer db.Close()
	ctx, key := context.Background(), []byte("k")
	if err := db.Update(ctx, func(tx *txn.Tx) error { return tx.Put(key, []byte("v"), 0) }); err != nil {
		b.Fatal(err)
	}
	for name, fn := range map[string]func(*txn.Tx) error{
		"get":   func(tx *txn.Tx) error { _, _, err := tx.Get(key); return err },
		"empty": func(tx *txn.Tx) error { return nil },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := db.View(ctx, fn); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

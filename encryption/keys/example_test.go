package keys_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/elastickv/elastickv/encryption/keys"
	"github.com/elastickv/elastickv/store"
)

// A program that embeds a store seals its values under keys that it keeps beside it.
func Example() {
	dir, err := os.MkdirTemp("", "example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	kek := filepath.Join(dir, "kek")
	if err := os.WriteFile(kek, []byte("elastickv keks are 32 bytes long"), 0o600); err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()

	ring, err := keys.Load(ctx, keys.Options{Dir: dir, KEK: keys.FromFile(kek), Rand: rand.Reader, Now: time.Now})
	if err != nil {
		log.Fatal(err)
	}
	s, err := store.NewPebbleStore(filepath.Join(dir, "store"),
		store.WithEncryption(ring.Cipher(), ring.Nonces(), ring.ActiveKeyID),
		store.WithStorageEnvelopeGate(ring.Sealing),
		store.WithStorageRegistrationGate(ring.Registered),
		store.WithSealFloor(ring.Due))
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	rows, err := store.WriterRegistryFor(s)
	if err != nil {
		log.Fatal(err)
	}
	if err := ring.Begin(rows); err != nil {
		log.Fatal(err)
	}
	if err := s.PutAt(ctx, []byte("key"), []byte("value"), 1, 0); err != nil {
		log.Fatal(err)
	}

	// What was clear before, if anything, is sealed now; then no clear row is believed.
	due, _ := ring.Due()
	if err := s.(store.Resealer).Reseal(ctx, store.ResealOptions{Below: due}); err != nil {
		log.Fatal(err)
	}
	if err := ring.Rewritten(due); err != nil {
		log.Fatal(err)
	}
	value, err := s.GetAt(ctx, []byte("key"), 1)
	fmt.Printf("%s %v %s %v\n", value, err, ring.Stage(), ring)
	// Output: value <nil> sealed keys.Ring[1]
}

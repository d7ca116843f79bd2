package store_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/elastickv/elastickv/encryption"
	"github.com/elastickv/elastickv/store"
)

// A store with encryption seals what it writes as soon as there is a key to seal under.
func ExampleWithEncryption() {
	ctx := context.Background()
	disk := vfs.NewMem()
	cipher := encryption.NewCipher()
	check(cipher.AddKey(1, make([]byte, encryption.KeySize))) // a random key in earnest
	nonces := store.NewCounterNonceFactory(1, 1)              // another epoch after each start
	active := func() (uint32, bool) { return 1, true }

	s, err := store.NewPebbleStore("db", store.WithFS(disk), store.WithEncryption(cipher, nonces, active))
	check(err)
	check(s.PutAt(ctx, []byte("card"), []byte("4111 1111"), 100, 0))
	v, err := s.GetAt(ctx, []byte("card"), 100)
	fmt.Printf("%s %v\n", v, err)
	check(s.Close())

	s, err = store.NewPebbleStore("db", store.WithFS(disk))
	check(err)
	defer s.Close()
	_, err = s.GetAt(ctx, []byte("card"), 100)
	fmt.Println(errors.Is(err, store.ErrValueSealed))
	// Output:
	// 4111 1111 <nil>
	// true
}

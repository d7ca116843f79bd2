package encryption_test

import (
	"fmt"

	"github.com/elastickv/elastickv/encryption"
)

func ExampleCipher() {
	c := encryption.NewCipher()
	if err := c.AddKey(1, make([]byte, encryption.KeySize)); err != nil { // a random key in earnest
		fmt.Println(err)
		return
	}
	nonce := [encryption.NonceSize]byte{0, 1, 0, 1} // never used before under key 1
	envelope := append(encryption.AppendEnvelopeHeader(nil, 1), nonce[:]...)
	bound := append(encryption.AppendEnvelopeHeader(nil, 1), "account 7"...)
	envelope, err := c.Seal(envelope, 1, &nonce, []byte("12.50"), bound)
	if err != nil {
		fmt.Println(err)
		return
	}
	e, err := encryption.ParseEnvelope(envelope)
	if err != nil {
		fmt.Println(err)
		return
	}
	value, err := c.Open(nil, e.KeyID, e.Nonce, e.Sealed, bound)
	fmt.Printf("%s %v\n", value, err)
	other := append(encryption.AppendEnvelopeHeader(nil, 1), "account 8"...)
	_, err = c.Open(nil, e.KeyID, e.Nonce, e.Sealed, other)
	fmt.Println(err)
	fmt.Println(c)
	// Output:
	// 12.50 <nil>
	// encryption: integrity check failed
	// encryption.Cipher[1]
}

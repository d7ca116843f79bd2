package admin

import (
	"context"

	"github.com/elastickv/elastickv/encryption/keys"
	"github.com/elastickv/elastickv/store"
)

// Keys is what a server can do with its keys.
type Keys interface {
	// Status tells of this moment.
	Status() KeysStatus
	// Enable begins to seal, if nothing is sealed yet. provider names where the key encryption key is.
	// It returns its name.
	Enable(ctx context.Context, provider string) (string, error)
	// Rotate makes another key the active one, and has all rows sealed again under it. It
	// returns the key's id.
	Rotate() (uint32, error)
	// Rewrap wraps all keys under the key encryption key that provider names, or if that is
	// empty, under a new one of the provider that there is. It returns that one's name.
	Rewrap(ctx context.Context, provider string) (string, error)
	// Retire forgets a key that nothing is sealed under any more.
	Retire(id uint32) error
}

// KeysStatus is the state of keys, and of the rows that are sealed under them.
type KeysStatus struct {
	keys.Status
	Reseal Reseal `json:"reseal"`
}

// Reseal tells how far it is that rows are sealed again.
type Reseal struct {
	Running bool   `json:"running"`
	Below   uint32 `json:"below_key"`
	Rows    uint64 `json:"rows"`   // looked at
	Sealed  uint64 `json:"sealed"` // of them
	Left    uint64 `json:"left_bytes"`
	Failure string `json:"failure,omitempty"`
}

// ResealOf puts the figures of a store into the words of the door.
func ResealOf(st store.ResealStats) Reseal {
	r := Reseal{Running: st.Running, Below: st.Below, Rows: st.Pass.Rows, Sealed: st.Pass.Sealed, Left: st.Left}
	if st.Failure != nil {
		r.Failure = st.Failure.Error()
	}
	return r
}

package keys

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"time"
)

// Status is what an operator may know of keys. It holds no secret.
type Status struct {
	Stage     Stage       `json:"stage"`
	Provider  string      `json:"kek_provider"`
	KEK       string      `json:"kek"` // names it and tells nothing of it
	Node      string      `json:"node"`
	Epoch     uint16      `json:"epoch"`
	Active    uint32      `json:"active"`
	Uses      uint64      `json:"uses"`      // of the active key
	RenewAt   uint64      `json:"renew_at"`  // uses after which another key becomes active
	Due       uint32      `json:"due"`       // rows that are clear or under a lower key are to be sealed again
	Rewritten uint32      `json:"rewritten"` // none is below this key
	Keys      []KeyStatus `json:"keys"`      // by id
}

// KeyStatus is the state of one key.
type KeyStatus struct {
	ID      uint32    `json:"id"`
	Created time.Time `json:"created"`
	State   string    `json:"state"` // active, kept (for rows under it), replaced (rows are being sealed again), retirable
}

// Status returns the state of this moment. It waits for nobody.
func (r *Ring) Status() Status {
	f := r.file.Load()
	st := Status{
		Stage: f.Stage, Provider: *r.source.Load(), KEK: f.KEK.ID, Node: f.Node, Epoch: f.Epoch, Active: f.Active,
		Uses: r.nonces.uses(), RenewAt: r.o.RenewAfter, Due: f.Due, Rewritten: f.Rewritten, Keys: []KeyStatus{},
	}
	for _, k := range f.Keys {
		state := "kept"
		switch {
		case k.ID == f.Active:
			state = "active"
		case k.ID < f.Rewritten:
			state = "retirable"
		case k.ID < f.Due:
			state = "replaced"
		}
		st.Keys = append(st.Keys, KeyStatus{k.ID, time.UnixMilli(k.Created).UTC(), state})
	}
	return st
}

// A ring prints as the ids of its keys.
var (
	_ fmt.Formatter  = (*Ring)(nil)
	_ slog.LogValuer = (*Ring)(nil)
	_ json.Marshaler = (*Ring)(nil)
)

// String returns the ids of the keys.
func (r *Ring) String() string { return fmt.Sprintf("keys.Ring%d", r.cipher.KeyIDs()) }

// GoString is String, for %#v.
func (r *Ring) GoString() string { return r.String() }

// Format writes String for every verb.
func (r *Ring) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, r.String()) }

// LogValue is String.
func (r *Ring) LogValue() slog.Value { return slog.StringValue(r.String()) }

// MarshalJSON is String as a JSON string.
func (r *Ring) MarshalJSON() ([]byte, error) { return json.Marshal(r.String()) }

package keys

import (
	"bytes"
	"crypto/hmac"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"slices"
)

// Stage is how far a folder has come on its way from clear to sealed.
type Stage string

// The stages, in order. They are part of the format.
const (
	// StageClear: there are no keys.
	StageClear Stage = ""
	// StageProvisioned: there are keys, and values are still written clear.
	StageProvisioned Stage = "provisioned"
	// StageActivated: what is written is sealed; older values may be clear.
	StageActivated Stage = "activated"
	// StageSealed: every value is sealed, and a clear one is refused.
	StageSealed Stage = "sealed"
)

// sidecar is the file keys.json: JSON, in exactly the form that append gives it.
//
// The mac is over all of it, with the digits of the mac left out. It tells that nobody has
// changed a stage or put a key in another's place without the KEK; that the file as a whole is
// not an older one is told by the store's registry of writers.
type sidecar struct {
	Format     int      `json:"format"`
	Generation uint64   `json:"generation"` // rises with every write
	Stage      Stage    `json:"stage"`
	Node       string   `json:"node"` // node id, 16 hexadecimal digits
	Epoch      uint16   `json:"epoch"`
	KEK        kekNote  `json:"kek"`
	NextKey    uint32   `json:"next_key"`  // id of the next DEK; no id is given twice
	Active     uint32   `json:"active"`    // id of the DEK that values are sealed under; 0: none
	Due        uint32   `json:"due"`       // rows that are clear or sealed under lower ids are to be sealed again
	Rewritten  uint32   `json:"rewritten"` // no row is clear or sealed under a lower id; at most Due
	Keys       []dekRow `json:"keys"`      // by id
	MAC        string   `json:"mac"`       // 64 hexadecimal digits
}

// kekNote tells which KEK the keys are wrapped under.
type kekNote struct {
	ID      string `json:"id"`      // 16 hexadecimal digits
	Wrapped []byte `json:"wrapped"` // what its provider wants to see again; base64, or null
}

// dekRow is a DEK.
type dekRow struct {
	ID      uint32 `json:"id"`
	Purpose string `json:"purpose"`
	Created int64  `json:"created"` // Unix time in milliseconds
	Wrapped []byte `json:"wrapped"` // base64
}

const (
	sidecarFormat = 1 // part of the format
	sidecarMost   = 64 << 20
)

func (s *sidecar) clone() *sidecar {
	c := *s
	c.Keys = slices.Clone(s.Keys)
	return &c
}

// append appends the file's bytes with the given mac.
func (s *sidecar) append(dst []byte, mac string) ([]byte, error) {
	c := *s
	c.MAC = mac
	text, err := json.MarshalIndent(&c, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("keys: encode keys.json: %w", err)
	}
	return append(append(dst, text...), '\n'), nil
}

// encode returns the file's bytes, with a mac under kek.
func (s *sidecar) encode(kek Secret) ([]byte, error) {
	bare, err := s.append(nil, "")
	if err != nil {
		return nil, err
	}
	mac, err := macOf(kek, bare)
	if err != nil {
		return nil, err
	}
	return s.append(nil, mac)
}

// parseSidecar decodes a file. What it returns is well formed, and not verified yet.
func parseSidecar(text []byte) (*sidecar, error) {
	var version struct{ Format int }
	if err := json.Unmarshal(text, &version); err != nil {
		return nil, fmt.Errorf("%w (%w)", ErrDamaged, err)
	}
	if version.Format > sidecarFormat {
		return nil, fmt.Errorf("%w (format %d, this program knows %d)", ErrNewer, version.Format, sidecarFormat)
	}
	s := new(sidecar)
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(s); err != nil {
		return nil, fmt.Errorf("%w (%w)", ErrDamaged, err)
	}
	if again, err := s.append(nil, s.MAC); err != nil || !bytes.Equal(again, text) {
		return nil, fmt.Errorf("%w (not in the form that it is written in)", ErrDamaged)
	}
	if err := s.check(); err != nil {
		return nil, fmt.Errorf("%w (%w)", ErrDamaged, err)
	}
	return s, nil
}

// check fails if the parts contradict each other.
func (s *sidecar) check() error {
	if s.Format != sidecarFormat {
		return fmt.Errorf("format %d", s.Format)
	}
	if !slices.Contains([]Stage{StageProvisioned, StageActivated, StageSealed}, s.Stage) {
		return fmt.Errorf("stage %q", s.Stage)
	}
	if id, err := hex.DecodeString(s.Node); err != nil || len(id) != 8 {
		return fmt.Errorf("node %q", s.Node)
	}
	last := uint32(0)
	for _, k := range s.Keys {
		if k.ID <= last || k.ID >= s.NextKey || k.Purpose != PurposeStorage {
			return fmt.Errorf("key %d for %q after key %d of %d", k.ID, k.Purpose, last, s.NextKey)
		}
		last = k.ID
	}
	if s.row(s.Active) == nil && (s.Active != 0 || s.Stage != StageProvisioned) {
		return fmt.Errorf("active key %d is not there", s.Active)
	}
	if s.Rewritten > s.Due || s.Due > max(s.Active, 1) || (s.Stage == StageSealed) != (s.Rewritten > 0) {
		return fmt.Errorf("rewritten %d of %d in stage %q", s.Rewritten, s.Due, s.Stage)
	}
	return nil
}

// verify fails unless the mac is right. kek is the one that s.KEK names.
func (s *sidecar) verify(kek Secret) error {
	bare, err := s.append(nil, "")
	if err != nil {
		return err
	}
	want, err := macOf(kek, bare)
	if err != nil {
		return err
	}
	if !hmac.Equal([]byte(s.MAC), []byte(want)) {
		return fmt.Errorf("%w (its mac is wrong)", ErrDamaged)
	}
	return nil
}

// row returns the DEK with the given id, or nil.
func (s *sidecar) row(id uint32) *dekRow {
	for i := range s.Keys {
		if s.Keys[i].ID == id {
			return &s.Keys[i]
		}
	}
	return nil
}

// addKey gives a new DEK an id and wraps it.
func (s *sidecar) addKey(o *Options, kek, key Secret) (uint32, error) {
	id := s.NextKey
	if id == math.MaxUint32 {
		return 0, fmt.Errorf("keys: no key ids are left")
	}
	wrapped, err := wrap(kek, dekName{id, PurposeStorage}, key, o.Rand)
	if err != nil {
		return 0, err
	}
	s.Keys = append(s.Keys, dekRow{ID: id, Purpose: PurposeStorage, Created: o.Now().UnixMilli(), Wrapped: wrapped})
	s.NextKey++
	return id, nil
}

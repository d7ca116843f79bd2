package keys

import (
	"context"
	"fmt"
	"slices"
)

// Rotate draws a key that values are sealed under from now on, and has all rows sealed again
// that are under older ones. It returns the new key's id.
func (r *Ring) Rotate() (uint32, error) {
	return r.replace(func(next *sidecar) { next.Due = next.Active })
}

// Renew is Rotate, but leaves older rows as they are.
func (r *Ring) Renew() (uint32, error) {
	return r.replace(r.boundKeys)
}

func (r *Ring) replace(decide func(next *sidecar)) (uint32, error) {
	r.change.Lock()
	defer r.change.Unlock()
	if r.change.rows == nil {
		return 0, ErrNotBegun
	}
	if err := r.activate(r.file.Load().clone(), decide); err != nil {
		return 0, err
	}
	return r.active.Load(), nil
}

// Rewritten notes that no row is clear, or sealed under an id lower than below.
func (r *Ring) Rewritten(below uint32) error {
	r.change.Lock()
	defer r.change.Unlock()
	next := r.file.Load().clone()
	if below <= next.Rewritten {
		return nil
	}
	if below > next.Due {
		return fmt.Errorf("keys: rows below key %d were sealed again, and %d was due", below, next.Due)
	}
	next.Rewritten, next.Stage = below, StageSealed
	return r.save(next)
}

// Rewrap wraps every key under another KEK: the one that p hands out now. If p is nil it is
// asked of the provider that there is. From the next start on p has to be given.
func (r *Ring) Rewrap(ctx context.Context, p Provider) error {
	r.change.Lock()
	defer r.change.Unlock()
	if r.change.rows == nil {
		return ErrNotBegun
	}
	if p == nil {
		p = r.change.provider
	}
	kek, wrapped, err := p.Create(ctx)
	if err != nil {
		return err
	}
	id, err := kekID(kek)
	if err != nil {
		return err
	}
	next := r.file.Load().clone()
	next.KEK = kekNote{id, wrapped}
	for i := range next.Keys {
		k := &next.Keys[i]
		if k.Wrapped, err = wrap(kek, dekName{k.ID, k.Purpose}, r.change.keys[k.ID], r.o.Rand); err != nil {
			return err
		}
	}
	before := r.change.kek
	r.change.kek = kek
	if err := r.save(next); err != nil {
		r.change.kek = before
		return fmt.Errorf("%w; keep both key encryption keys until a rewrap has succeeded", err)
	}
	r.setProvider(p)
	return nil
}

// Retire forgets a key for good: keys.json has it no longer. That is refused while a row may be
// sealed under it; inUse is the lowest id that a row has which anyone can still read. Reads that
// are under way may have begun before rows were sealed again, so the process itself keeps
// the key in memory until it ends.
func (r *Ring) Retire(id, inUse uint32) error {
	r.change.Lock()
	defer r.change.Unlock()
	next := r.file.Load().clone()
	switch {
	case next.row(id) == nil:
		return fmt.Errorf("%w: %d", ErrUnknownKey, id)
	case id == next.Active, id == r.active.Load():
		return &InUseError{id, "it seals what is written; rotate first"}
	case id >= next.Due:
		return &InUseError{id, "rows are sealed under it; rotate, and wait until they are sealed again"}
	case id >= next.Rewritten:
		return &InUseError{id, "rows are being sealed again; elastickv keys status tells how far that is"}
	case id >= inUse:
		return &InUseError{id, "a snapshot that was taken before its rows were sealed again is still open; wait for it"}
	}
	next.Keys = slices.DeleteFunc(next.Keys, func(k dekRow) bool { return k.ID == id })
	if err := r.save(next); err != nil {
		return err
	}
	delete(r.change.keys, id)
	return nil
}

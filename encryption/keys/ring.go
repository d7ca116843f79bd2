package keys

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/elastickv/elastickv/encryption"
)

// Options say where keys are and who may unwrap them. The first four have to be given, but for
// the KEK of a folder that has no keys and is to have none yet.
type Options struct {
	Dir  string           // the data folder; it exists when Begin is called
	KEK  Provider         // of the KEK that keys.json was last wrapped under
	Rand io.Reader        // where keys come from: crypto/rand.Reader
	Now  func() time.Time // only shown to operators
	FS   FS               // default: OS

	// RenewAfter is how many uses of a key make another one active; the default is 1<<30,
	// a quarter of UsesMost.
	RenewAfter uint64
	// KeysMost is how many keys rows may be under before all are to be sealed again under
	// the newest; the default is 256.
	KeysMost int
}

func (o *Options) withDefaults() *Options {
	c := *o
	if c.FS == nil {
		c.FS = OS
	}
	if c.RenewAfter == 0 {
		c.RenewAfter = 1 << 30
	}
	if c.KeysMost == 0 {
		c.KeysMost = 256
	}
	return &c
}

// Ring is the keys of one data folder, as one process uses them. Its methods may be called
// by many goroutines at once; those that change keys wait for each other.
//
// A process that begins draws a DEK that seals what it writes, and nobody ever seals with it
// but this process: so nonces cannot meet those of another process that has the same
// node id and epoch because it runs on a copy of the folder, taken at any moment.
type Ring struct {
	o      *Options
	cipher *encryption.Cipher
	nonces *Nonces

	// What the store's gates ask. They take no lock.
	active     atomic.Uint32 // 0: none
	registered atomic.Bool
	file       atomic.Pointer[sidecar] // what keys.json says; never changed once it is here
	source     atomic.Pointer[string]  // names where the KEK is from

	change struct {
		sync.Mutex                                // held by whoever changes keys, also while it writes
		kek        Secret                         // that keys are wrapped under
		provider   Provider                       // of kek; source names it
		keys       map[uint32]Secret              // every DEK that file has
		loaded     []byte                         // what keys.json had in it
		rows       encryption.WriterRegistryStore // nil before Begin
		writer     encryption.Writer              // who makes nonces; its key is the active one
	}
}

// Load reads the keys of a folder, and its KEK. If it has none, the ring is empty, its KEK is a
// new one, and Begin makes the first key. Without a provider the ring is idle, and
// Provide begins it. Nothing is written.
func Load(ctx context.Context, o Options) (*Ring, error) {
	opts := o.withDefaults()
	r := &Ring{o: opts, cipher: encryption.NewCipher(), nonces: newNonces(opts.RenewAfter)}
	r.change.keys = map[uint32]Secret{}
	r.source.Store(new(string))
	text, ok, err := opts.read()
	switch {
	case err != nil:
		return nil, err
	case ok && o.KEK == nil:
		return nil, fmt.Errorf("%w: %s is there, and nothing was said of where the key is that it is wrapped under", ErrNoKEK, FileName)
	case !ok:
		r.file.Store(&sidecar{Format: sidecarFormat, NextKey: 1})
		if o.KEK == nil {
			return r, nil
		}
		if err := r.provide(ctx, o.KEK); err != nil {
			return nil, err
		}
		return r, nil
	}
	r.setProvider(o.KEK)
	if err := r.open(ctx, text); err != nil {
		return nil, err
	}
	return r, nil
}

// OpenCipher returns a cipher with the keys of a keys.json that stands alone, as in a backup; text is
// all of it. It opens what was sealed under them; nothing new is ever sealed.
func OpenCipher(ctx context.Context, text []byte, kek Provider) (*encryption.Cipher, error) {
	r := &Ring{cipher: encryption.NewCipher()}
	r.change.keys = map[uint32]Secret{}
	r.setProvider(kek)
	if err := r.open(ctx, text); err != nil {
		return nil, err
	}
	return r.cipher, nil
}

// open takes in the keys of text, which is what keys.json has in it.
func (r *Ring) open(ctx context.Context, text []byte) error {
	file, err := parseSidecar(text)
	if err != nil {
		return err
	}
	if r.change.kek, err = openKEK(ctx, r.change.provider, file.KEK); err != nil {
		return err
	}
	if err := file.verify(r.change.kek); err != nil {
		return err
	}
	for _, row := range file.Keys {
		key, err := unwrap(r.change.kek, dekName{row.ID, row.Purpose}, row.Wrapped)
		if err != nil {
			return err
		}
		if err := r.cipher.AddKey(row.ID, key.bytes()); err != nil {
			return err
		}
		r.change.keys[row.ID] = key
	}
	r.change.loaded = text
	r.file.Store(file)
	if file.Stage != StageProvisioned {
		r.active.Store(file.Active)
	}
	return nil
}

// Idle reports whether there is no provider yet: nothing is or was sealed.
func (r *Ring) Idle() bool { return *r.source.Load() == "" }

// Provide gives an idle ring its KEK, a new one of p. Begin is to be called next, also while the
// store is being written to: its gates open one after the other, and what is written is clear until
// the last is open, and sealed from then on.
func (r *Ring) Provide(ctx context.Context, p Provider) error {
	r.change.Lock()
	defer r.change.Unlock()
	if !r.Idle() {
		return ErrProvided
	}
	return r.provide(ctx, p)
}

// provide is for whoever holds the lock, or has the ring alone.
func (r *Ring) provide(ctx context.Context, p Provider) error {
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
	r.change.kek = kek
	r.file.Store(next)
	r.setProvider(p)
	return nil
}

// CheckIdle fails with ErrStale if rows, the registry of the store, say that it was sealed: then
// an idle ring means that keys.json is missing.
func (r *Ring) CheckIdle(rows encryption.WriterRegistryStore) error {
	_, err := compareRegistry(r.file.Load(), rows)
	return err
}

// setProvider is for whoever holds the lock, or has the ring alone.
func (r *Ring) setProvider(p Provider) {
	name := p.String()
	r.change.provider = p
	r.source.Store(&name)
}

// openKEK returns the KEK of note.
func openKEK(ctx context.Context, p Provider, note kekNote) (Secret, error) {
	kek, err := p.Open(ctx, note.Wrapped)
	if err != nil {
		return Secret{}, err
	}
	id, err := kekID(kek)
	if err == nil && id != note.ID {
		err = fmt.Errorf("%w: keys.json is wrapped under %s, and %s has %s", ErrWrongKEK, note.ID, p, id)
	}
	return kek, err
}

// Cipher returns the cipher that has every key of the ring.
func (r *Ring) Cipher() *encryption.Cipher { return r.cipher }

// Nonces returns the factory of this process.
func (r *Ring) Nonces() *Nonces { return r.nonces }

// ActiveKeyID returns the id of the key that values are sealed under; false if there is none.
func (r *Ring) ActiveKeyID() (uint32, bool) {
	id := r.active.Load()
	return id, id != 0
}

// Sealing reports whether what is written is to be sealed.
func (r *Ring) Sealing() bool { return r.Stage() != StageClear && r.Stage() != StageProvisioned }

// Registered reports whether this process is registered as a writer under the active key.
func (r *Ring) Registered() bool { return r.registered.Load() }

// SealedOnly reports whether a clear value is one that somebody has planted.
func (r *Ring) SealedOnly() bool { return r.Stage() == StageSealed }

// Stage returns how far the folder is.
func (r *Ring) Stage() Stage { return r.file.Load().Stage }

// Due returns the id below which no row is to stay, clear ones being 0, and the one below
// which none has stayed. They differ while there is something to seal again.
func (r *Ring) Due() (due, done uint32) {
	f := r.file.Load()
	return f.Due, f.Rewritten
}

// Renewals tells when the active key has been used so often that Renew is to be called.
func (r *Ring) Renewals() <-chan struct{} { return r.nonces.due }

// Begin begins the life of this process: it compares keys.json with the registry of the
// store, raises the epoch, draws a key, and registers as a writer under it. Each step is durable
// before the next, and only behind the last can anything be sealed. No other process has the
// store open. After an error the ring is of no more use.
func (r *Ring) Begin(rows encryption.WriterRegistryStore) error {
	r.change.Lock()
	defer r.change.Unlock()
	text, _, err := r.o.read()
	switch {
	case err != nil:
		return err
	case !bytes.Equal(text, r.change.loaded):
		return ErrChanged
	}
	next := r.file.Load().clone()
	used, err := compareRegistry(next, rows)
	if err != nil {
		return err
	}
	if next.Stage == StageClear {
		next.Stage = StageProvisioned
	}
	writer, err := r.nextLife(next)
	if err != nil {
		return err
	}
	r.dropUnused(next, used)
	r.change.rows, r.change.writer = rows, writer
	return r.activate(next, func(next *sidecar) {
		if next.Stage == StageProvisioned {
			next.Stage, next.Due = StageActivated, max(next.Due, 1)
		}
		r.boundKeys(next)
		// By now the epoch and the registration are durable. Whoever writes meanwhile finds the gate of
		// the stage open last.
		r.nonces.arm(writer.NodeID, writer.Epoch)
		r.registered.Store(true)
	})
}

// boundKeys has all rows sealed again if there are too many keys that rows may be under. While
// rows are being sealed again the goal stays, or that might never come to an end.
func (r *Ring) boundKeys(next *sidecar) {
	used := 0
	for _, k := range next.Keys {
		if k.ID >= next.Rewritten {
			used++
		}
	}
	if used > r.o.KeysMost && next.Due == next.Rewritten {
		next.Due = next.Active
	}
}

// compareRegistry fails if the store was sealed under keys that file does not have, and
// returns the ids of those that were used.
func compareRegistry(file *sidecar, rows encryption.WriterRegistryStore) (used map[uint32]bool, err error) {
	used = map[uint32]bool{}
	err = rows.WalkWriterRows(func(w encryption.WriterRow) error {
		used[w.KeyID] = true
		switch {
		case w.KeyID >= file.NextKey:
			return fmt.Errorf("%w (it has a writer under key %d, and keys.json has given ids up to %d)", ErrStale, w.KeyID, file.NextKey-1)
		case file.row(w.KeyID) == nil && w.KeyID >= file.Rewritten:
			return fmt.Errorf("%w (key %d is missing)", ErrStale, w.KeyID)
		case nodeText(w.NodeID) == file.Node && w.LastEpoch > file.Epoch:
			return fmt.Errorf("%w (this node has been in epoch %d, and keys.json is in %d)", ErrStale, w.LastEpoch, file.Epoch)
		}
		return nil
	})
	return used, err
}

// dropUnused takes out keys that nobody was ever registered for: a process has ended between
// drawing one and using it.
func (r *Ring) dropUnused(file *sidecar, used map[uint32]bool) {
	kept := file.Keys[:0]
	for _, k := range file.Keys {
		if used[k.ID] || k.ID == file.Active {
			kept = append(kept, k)
			continue
		}
		r.cipher.RemoveKey(k.ID)
		delete(r.change.keys, k.ID)
	}
	file.Keys = kept
}

func nodeText(id uint64) string { return hex.EncodeToString(binary.BigEndian.AppendUint64(nil, id)) }

// nextLife raises the epoch of the node. A node that has lived through all of them goes on as
// another one.
func (r *Ring) nextLife(file *sidecar) (encryption.Writer, error) {
	epoch, err := nextEpoch(file.Epoch)
	if file.Node == "" || errors.Is(err, ErrEpochsUsedUp) {
		var id [8]byte
		if _, err := io.ReadFull(r.o.Rand, id[:]); err != nil {
			return encryption.Writer{}, fmt.Errorf("keys: draw a node id: %w", err)
		}
		file.Node, epoch = hex.EncodeToString(id[:]), 1
	}
	id, err := hex.DecodeString(file.Node)
	if err != nil {
		return encryption.Writer{}, err
	}
	file.Epoch = epoch
	return encryption.Writer{NodeID: binary.BigEndian.Uint64(id), Epoch: epoch}, nil
}

// nextEpoch returns the epoch after last.
func nextEpoch(last uint16) (uint16, error) {
	if last+1 == 0 {
		return 0, ErrEpochsUsedUp
	}
	return last + 1, nil
}

// activate draws a key, makes it durable, registers under it, has decide say what else
// changes, and then seals under it. The caller holds the lock.
//
// That is two writes of keys.json, so that its active key is always one that this node is
// registered for; a key that a crash leaves between them is dropped by the next Begin.
func (r *Ring) activate(next *sidecar, decide func(next *sidecar)) error {
	key, err := drawSecret(r.o.Rand)
	if err != nil {
		return err
	}
	id, err := next.addKey(r.o, r.change.kek, key)
	if err != nil {
		return err
	}
	if err := r.save(next); err != nil {
		return err
	}
	r.change.keys[id] = key
	writer := r.change.writer
	writer.KeyID = id
	if _, err := encryption.RegisterWriter(r.change.rows, writer); err != nil {
		return fmt.Errorf("keys: register: %w", err)
	}
	if err := r.cipher.AddKey(id, key.bytes()); err != nil {
		return err
	}
	// Before anyone is told that rows under older keys are too old. Should the file not be
	// written, nothing is wrong with values that are sealed under a key that it has.
	r.change.writer = writer
	r.active.Store(id)
	r.nonces.renew()
	next = next.clone()
	next.Active = id
	decide(next)
	return r.save(next)
}

// save makes next durable and then shows it. The caller holds the lock.
func (r *Ring) save(next *sidecar) error {
	next.Generation++
	text, err := next.encode(r.change.kek)
	if err != nil {
		return err
	}
	if again, err := parseSidecar(text); err != nil {
		return fmt.Errorf("keys: about to write what cannot be read: %w", err)
	} else if err := again.verify(r.change.kek); err != nil {
		return err
	}
	if err := r.o.write(text); err != nil {
		return err
	}
	r.file.Store(next)
	return nil
}

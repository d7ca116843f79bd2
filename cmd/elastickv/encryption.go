package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/elastickv/elastickv/encryption/keys"
	"github.com/elastickv/elastickv/internal/admin"
	"github.com/elastickv/elastickv/internal/metrics"
	"github.com/elastickv/elastickv/internal/replica/node"
	"github.com/elastickv/elastickv/internal/replica/raftlog"
	"github.com/elastickv/elastickv/internal/server"
	"github.com/elastickv/elastickv/store"
)

// encryptionOff is the setting of a server that seals nothing.
const encryptionOff = "off"

// newProvider returns where the key encryption key of a server comes from, or nil.
func newProvider(cfg *server.Config, env lookupEnv) (keys.Provider, error) {
	if cfg.Encryption() == encryptionOff {
		return nil, nil
	}
	return parseProvider(cfg.Encryption(), env)
}

// parseProvider returns the source of a key encryption key. A variable of the environment is
// removed from there, so that no process that this one starts inherits it.
func parseProvider(source string, env lookupEnv) (keys.Provider, error) {
	take := func(name string) (string, bool) {
		text, ok := env(name)
		return text, ok && os.Unsetenv(name) == nil
	}
	return keys.ParseProvider(source, keys.Surroundings{Take: take, Rand: rand.Reader})
}

// loadKeys reads the keys of the data folder. Without a provider there are none, and the ring is idle.
func loadKeys(ctx context.Context, cfg *server.Config, p keys.Provider) (*keys.Ring, error) {
	if p == nil {
		_, err := os.Lstat(filepath.Join(cfg.Dir(), keys.FileName))
		if err == nil {
			return nil, fmt.Errorf("data folder %s: its values are sealed (it has %s); start with --encryption and the key encryption key", cfg.Dir(), keys.FileName)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("data folder: %w", err)
		}
	}
	return keys.Load(ctx, keys.Options{Dir: cfg.Dir(), KEK: p, Rand: rand.Reader, Now: time.Now})
}

// sealOptions has a store seal by the keys of a ring, from when on it has some.
func sealOptions(r *keys.Ring) []store.PebbleStoreOption {
	return []store.PebbleStoreOption{
		store.WithEncryption(r.Cipher(), r.Nonces(), r.ActiveKeyID),
		store.WithStorageEnvelopeGate(r.Sealing),
		store.WithStorageRegistrationGate(r.Registered),
		store.WithSealFloor(r.Due),
		store.WithSealedSnapshots(),
	}
}

// sealLog has the log of a node sealed by the keys of a ring, from when on it has some.
func sealLog(r *keys.Ring) raftlog.Seal {
	return raftlog.Seal{
		Cipher: r.Cipher(), Nonce: r.Nonces().Next,
		Key: func() uint32 {
			id, ok := r.ActiveKeyID()
			if !ok || !r.Sealing() {
				return 0
			}
			return id
		},
		Floor: func() uint32 {
			_, done := r.Due()
			return done
		},
	}
}

// beginKeys begins the life of this process as a writer, and seals from then on. If the ring is idle,
// so is the store.
func beginKeys(r *keys.Ring, e engine, log *slog.Logger) error {
	rows, err := store.WriterRegistryFor(e)
	if err != nil {
		return err
	}
	if r.Idle() {
		return r.CheckIdle(rows)
	}
	if err := e.KeepSealed(); err != nil {
		return err
	}
	if err := r.Begin(rows); err != nil {
		return err
	}
	st := r.Status()
	log.Info("values are sealed", "stage", string(st.Stage), "key", st.Active, "keys", len(st.Keys), "kek", st.KEK, "kek_provider", st.Provider)
	return nil
}

// keeper does what keys need while a server runs: it has rows sealed again, and changes the key
// before it is used up. It is what the door of admin does with keys.
type keeper struct {
	ring   *keys.Ring
	e      engine
	member *node.Node // nil: there is no cluster
	log    *slog.Logger
	rate   int64         // bytes a second
	due    chan struct{} // of size 1: look whether rows are to be sealed again
}

var _ admin.Keys = (*keeper)(nil)

// keeperPause is what is waited for before something is tried again that has failed.
const keeperPause = time.Minute

// startKeeper begins to work. stop ends that and waits for it.
func startKeeper(ctx context.Context, r *keys.Ring, e engine, member *node.Node, cfg *server.Config, log *slog.Logger) (k *keeper, stop func()) {
	k = &keeper{ring: r, e: e, member: member, log: log, rate: cfg.EncryptionRate(), due: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	all.Go(func() { k.resealWhenDue(ctx) })
	all.Go(func() { k.renewWhenDue(ctx) })
	return k, func() {
		cancel()
		all.Wait()
	}
}

// resealWhenDue seals what is clear or under older keys, whenever there is such.
func (k *keeper) resealWhenDue(ctx context.Context) {
	for {
		again := make(<-chan time.Time)
		if err := k.reseal(ctx); err != nil && ctx.Err() == nil {
			k.log.Error("rows could not be sealed again; that is tried again", "err", err, "after", keeperPause.String())
			again = time.After(keeperPause)
		}
		select {
		case <-ctx.Done():
			return
		case <-again:
		case <-k.due:
		}
	}
}

func (k *keeper) reseal(ctx context.Context) error {
	for {
		due, done := k.ring.Due()
		if due <= done {
			return nil
		}
		k.log.Info("rows are being sealed again", "below_key", due)
		began := time.Now()
		o := store.ResealOptions{Below: due, Throttle: k.throttle, Purge: done == 0}
		if err := k.e.Reseal(ctx, o); err != nil {
			return err
		}
		if k.member != nil {
			again := raftlog.ResealOptions{Below: o.Below, Throttle: o.Throttle, Purge: o.Purge}
			if err := k.member.Reseal(ctx, again); err != nil {
				return err
			}
		}
		if err := k.ring.Rewritten(due); err != nil {
			return err
		}
		k.log.Info("every row is sealed", "below_key", due, "rows", k.e.Stats().Reseal.Pass.Rows,
			"took", time.Since(began).Round(time.Millisecond).String())
	}
}

// throttle waits for as long as bytes may take.
func (k *keeper) throttle(ctx context.Context, bytes int) error {
	t := time.NewTimer(time.Duration(float64(bytes) / float64(k.rate) * float64(time.Second)))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// renewWhenDue has another key take over from one that has sealed much.
func (k *keeper) renewWhenDue(ctx context.Context) {
	again := make(<-chan time.Time)
	for {
		select {
		case <-ctx.Done():
			return
		case <-again:
		case <-k.ring.Renewals():
		}
		again = make(<-chan time.Time)
		id, err := k.ring.Renew()
		if err != nil {
			k.log.Error("no new key could take over; that is tried again", "err", err, "after", keeperPause.String())
			again = time.After(keeperPause)
			continue
		}
		k.log.Info("a new key has taken over", "key", id)
		k.wake()
	}
}

func (k *keeper) wake() {
	select {
	case k.due <- struct{}{}:
	default:
	}
}

// Status implements admin.Keys.
func (k *keeper) Status() admin.KeysStatus {
	return admin.KeysStatus{Status: k.ring.Status(), Reseal: admin.ResealOf(k.e.Stats().Reseal)}
}

// errNothingSealed answers those who want something of keys that are not there.
var errNothingSealed = errors.New("the server seals nothing; elastickv keys enable --kek SOURCE has it begin")

// Enable implements admin.Keys.
func (k *keeper) Enable(ctx context.Context, provider string) (string, error) {
	p, err := parseGiven(provider)
	if err != nil {
		return "", err
	}
	if err := k.ring.Provide(ctx, p); err != nil {
		return "", err
	}
	if err := beginKeys(k.ring, k.e, k.log); err != nil {
		return "", fmt.Errorf("%w; values are written in clear as before. Start with --encryption to try again", err)
	}
	k.wake()
	return k.ring.Status().Provider, nil
}

// parseGiven returns the source of a key encryption key that an operator has named.
func parseGiven(provider string) (keys.Provider, error) {
	return keys.ParseProvider(provider, keys.Surroundings{Rand: rand.Reader})
}

// Rotate implements admin.Keys.
func (k *keeper) Rotate() (uint32, error) {
	if k.ring.Idle() {
		return 0, errNothingSealed
	}
	id, err := k.ring.Rotate()
	k.wake()
	return id, err
}

// Rewrap implements admin.Keys.
func (k *keeper) Rewrap(ctx context.Context, provider string) (string, error) {
	if k.ring.Idle() {
		return "", errNothingSealed
	}
	var p keys.Provider
	if provider != "" {
		var err error
		if p, err = parseGiven(provider); err != nil {
			return "", err
		}
	}
	if err := k.ring.Rewrap(ctx, p); err != nil {
		return "", err
	}
	return k.ring.Status().Provider, nil
}

// Retire implements admin.Keys.
func (k *keeper) Retire(id uint32) error { return k.ring.Retire(id, k.e.LowestKeyInUse()) }

// keysOf tells metrics how values are sealed.
func keysOf(r *keys.Ring) func() metrics.Keys {
	return func() metrics.Keys {
		if r.Idle() {
			return metrics.Keys{}
		}
		st := r.Status()
		stage := map[keys.Stage]int{keys.StageProvisioned: 1, keys.StageActivated: 2, keys.StageSealed: 3}[st.Stage]
		return metrics.Keys{Stage: stage, Count: len(st.Keys), Active: st.Active, Uses: st.Uses, RenewAt: st.RenewAt}
	}
}

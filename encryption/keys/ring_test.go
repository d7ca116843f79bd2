package keys

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/elastickv/elastickv/encryption"
)

// begin starts a process on m.
func begin(o Options, m *machine) (*Ring, error) {
	r, err := Load(context.Background(), o)
	if err != nil {
		return nil, err
	}
	return r, r.Begin(m)
}

func mustBegin(t testing.TB, o Options, m *machine) *Ring {
	t.Helper()
	r, err := begin(o, m)
	must(t, err)
	return r
}

// wantKeys compares the states of a ring's keys.
func wantKeys(t *testing.T, r *Ring, want string) {
	t.Helper()
	st := r.Status()
	got := fmt.Sprintf("%s due %d rewritten %d:", st.Stage, st.Due, st.Rewritten)
	for _, k := range st.Keys {
		got += fmt.Sprintf(" %d %s", k.ID, k.State)
	}
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestRingLife(t *testing.T) {
	m := newMachine(t)
	o := testOptions(m, newChance(1))
	r, err := Load(context.Background(), o)
	must(t, err)
	if _, ok := r.ActiveKeyID(); ok || r.Sealing() || r.Registered() || r.SealedOnly() {
		t.Error("an empty ring seals")
	}
	if _, err := r.Nonces().Next(); !errors.Is(err, ErrNotBegun) {
		t.Errorf("a nonce before Begin: %v", err)
	}
	if _, err := r.Rotate(); !errors.Is(err, ErrNotBegun) {
		t.Errorf("a rotation before Begin: %v", err)
	}
	must(t, r.Begin(m))
	wantKeys(t, r, "activated due 1 rewritten 0: 1 active")
	nonce, err := r.Nonces().Next()
	must(t, err)
	sealed, err := r.Cipher().Seal(nil, 1, &nonce, []byte("value"), nil)
	must(t, err)

	// Before Begin the next process reads, and is not registered.
	r, err = Load(context.Background(), o)
	must(t, err)
	if id, ok := r.ActiveKeyID(); !ok || id != 1 || !r.Sealing() || r.Registered() {
		t.Errorf("before Begin: key %d, %t, sealing %t, registered %t", id, ok, r.Sealing(), r.Registered())
	}
	if got, err := r.Cipher().Open(nil, 1, &nonce, sealed, nil); err != nil || string(got) != "value" {
		t.Errorf("got %q, %v", got, err)
	}
	must(t, r.Begin(m))
	wantKeys(t, r, "activated due 1 rewritten 0: 1 kept 2 active")
	must(t, r.Rewritten(1))
	if !r.SealedOnly() {
		t.Error("a clear value is still admitted")
	}
	id, err := r.Rotate()
	must(t, err)
	if id != 3 {
		t.Errorf("rotated to %d", id)
	}
	wantKeys(t, r, "sealed due 3 rewritten 1: 1 replaced 2 replaced 3 active")
	id, err = r.Renew()
	must(t, err)
	wantKeys(t, r, "sealed due 3 rewritten 1: 1 replaced 2 replaced 3 kept 4 active")
	if got, ok := r.ActiveKeyID(); !ok || got != id || !r.Cipher().HasKey(id) {
		t.Errorf("active is %d, renewed to %d", got, id)
	}
	for id, why := range map[uint32]string{2: "being sealed again", 3: "rotate, and wait", 4: "it seals what is written"} {
		var inUse *InUseError
		if err := r.Retire(id, 100); !errors.As(err, &inUse) || !bytes.Contains([]byte(err.Error()), []byte(why)) {
			t.Errorf("retire %d: %v", id, err)
		}
	}
	if err := r.Retire(9, 100); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("retire a key that is none: %v", err)
	}
	if err := r.Rewritten(4); err == nil {
		t.Error("more was rewritten than was due")
	}
	must(t, r.Rewritten(3))
	if err := r.Retire(2, 2); !errors.As(err, new(*InUseError)) {
		t.Errorf("retire a key that a snapshot reads: %v", err)
	}
	must(t, r.Retire(2, 3))
	wantKeys(t, r, "sealed due 3 rewritten 3: 1 retirable 3 kept 4 active")
	r = mustBegin(t, o, m)
	wantKeys(t, r, "sealed due 3 rewritten 3: 1 retirable 3 kept 4 kept 5 active")
	if r.Cipher().HasKey(2) {
		t.Error("a retired key is back")
	}
}

// Many lives leave many keys, and at some point all rows are to be sealed under the newest.
func TestRingKeysMost(t *testing.T) {
	m := newMachine(t)
	o := testOptions(m, newChance(1))
	o.KeysMost = 3
	for range 3 {
		mustBegin(t, o, m)
	}
	// Until clear rows are sealed, that is the goal.
	r := mustBegin(t, o, m)
	wantKeys(t, r, "activated due 1 rewritten 0: 1 kept 2 kept 3 kept 4 active")
	must(t, r.Rewritten(1))
	r = mustBegin(t, o, m)
	wantKeys(t, r, "sealed due 5 rewritten 1: 1 replaced 2 replaced 3 replaced 4 replaced 5 active")
	wantKeys(t, mustBegin(t, o, m), "sealed due 5 rewritten 1: 1 replaced 2 replaced 3 replaced 4 replaced 5 kept 6 active")
	r = mustBegin(t, o, m)
	must(t, r.Rewritten(5))
	wantKeys(t, mustBegin(t, o, m), "sealed due 8 rewritten 5: 1 retirable 2 retirable 3 retirable 4 retirable 5 replaced 6 replaced 7 replaced 8 active")
}

// A writer that asks for the key and then for the floor finds no key below the floor, whatever
// is being changed meanwhile.
func TestActiveKeyIsNeverTooOld(t *testing.T) {
	m := newMachine(t)
	r := mustBegin(t, testOptions(m, newChance(1)), m)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for range 60 {
			if _, err := r.Rotate(); err != nil {
				t.Error(err)
			}
		}
	}()
	for {
		select {
		case <-ended:
			return
		default:
		}
		due, _ := r.Due()
		if id, ok := r.ActiveKeyID(); !ok || id < due {
			t.Fatalf("key %d is active, and below %d it is too old", id, due)
		}
		if st := r.Status(); st.Due < due {
			t.Fatalf("due %d after %d", st.Due, due)
		}
	}
}

func TestRingRewrap(t *testing.T) {
	m := newMachine(t)
	c := newChance(1)
	o := testOptions(m, c)
	r := mustBegin(t, o, m)
	_, err := r.Rotate()
	must(t, err)
	before := sidecarText(t, m)
	must(t, r.Rewrap(context.Background(), testKEK(2)))
	if bytes.Equal(before, sidecarText(t, m)) {
		t.Error("nothing was written")
	}
	if _, err := begin(o, m); !errors.Is(err, ErrWrongKEK) {
		t.Errorf("the old KEK: %v", err)
	}
	// The running process goes on under the new one.
	_, err = r.Rotate()
	must(t, err)
	o.KEK = testKEK(2)
	r = mustBegin(t, o, m)
	wantKeys(t, r, "activated due 3 rewritten 0: 1 replaced 2 replaced 3 kept 4 active")
	must(t, r.Rewrap(context.Background(), nil))
	mustBegin(t, o, m)

	// A rewrap that fails leaves the KEK that there is.
	r = mustBegin(t, o, m)
	m.left = 2
	if err := r.Rewrap(context.Background(), testKEK(3)); !errors.Is(err, errCrash) {
		t.Errorf("got %v", err)
	}
	m.left = -1
	_, err = r.Rotate()
	must(t, err)
	mustBegin(t, o, m)
}

func TestRingRefuses(t *testing.T) {
	m := newMachine(t)
	o := testOptions(m, newChance(1))
	mustBegin(t, o, m)
	early := sidecarText(t, m)
	r := mustBegin(t, o, m)
	_, err := r.Rotate()
	must(t, err)
	late := sidecarText(t, m)
	for _, tc := range []struct {
		name   string
		change func(m *machine, o *Options)
		want   error
	}{
		{"another KEK", func(_ *machine, o *Options) { o.KEK = testKEK(9) }, ErrWrongKEK},
		{"an older keys.json", func(m *machine, _ *Options) { m.setSidecar(t, early) }, ErrStale},
		{"no keys.json", func(m *machine, _ *Options) { must(t, m.disk.Remove("data/"+FileName)) }, ErrStale},
		{"an empty keys.json", func(m *machine, _ *Options) { m.setSidecar(t, nil) }, ErrDamaged},
		{"a newer format", func(m *machine, _ *Options) {
			m.setSidecar(t, bytes.Replace(late, []byte(`"format": 1`), []byte(`"format": 2`), 1))
		}, ErrNewer},
		{"this node in a later epoch", func(m *machine, _ *Options) {
			for id, row := range m.rows {
				row.LastEpoch = 7
				m.rows[id] = row
			}
		}, ErrStale},
		{"another node of the same fold", func(m *machine, _ *Options) {
			writer := encryption.WriterRow{KeyID: 3, NodeID: 1}
			m.rows[[2]uint32{3, 1}] = writer
		}, nil},
	} {
		m := m.crashed(nil)
		o := o
		o.FS = m
		tc.change(m, &o)
		text, err := m.Read("data/"+FileName, sidecarMost)
		before := bytes.Clone(text)
		if _, got := begin(o, m); !errors.Is(got, tc.want) || (got == nil) != (tc.want == nil) {
			t.Errorf("%s: got %v, want %v", tc.name, got, tc.want)
		}
		if tc.want != nil && err == nil && !bytes.Equal(before, sidecarText(t, m)) {
			t.Errorf("%s: keys.json was written", tc.name)
		}
	}
	// Two processes that were started at once: the second one sees that it is too late.
	one, err := Load(context.Background(), o)
	must(t, err)
	two, err := Load(context.Background(), o)
	must(t, err)
	must(t, one.Begin(m))
	if err := two.Begin(m); !errors.Is(err, ErrChanged) {
		t.Errorf("got %v", err)
	}
}

// Every byte of keys.json is changed by itself, and every byte is taken out: the file is
// refused.
func TestTamperSidecar(t *testing.T) {
	m := newMachine(t)
	o := testOptions(m, newChance(1))
	r := mustBegin(t, o, m)
	must(t, r.Rewritten(1))
	_, err := r.Rotate()
	must(t, err)
	text := sidecarText(t, m)
	refused := func(what string, text []byte) {
		t.Helper()
		m := m.crashed(nil)
		m.setSidecar(t, text)
		o := o
		o.FS = m
		if _, err := begin(o, m); !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrWrongKEK) && !errors.Is(err, ErrNewer) {
			t.Errorf("%s: got %v", what, err)
		}
	}
	for i := range text {
		for bit := range 8 {
			if testing.Short() && bit != i%8 {
				continue
			}
			changed := bytes.Clone(text)
			changed[i] ^= 1 << bit
			refused(fmt.Sprintf("byte %d, bit %d", i, bit), changed)
		}
		refused(fmt.Sprintf("without byte %d", i), append(bytes.Clone(text[:i]), text[i+1:]...))
	}
	refused("a byte more", append(bytes.Clone(text), ' '))
	// A key in another's place, with a right mac: the wrap itself knows.
	file, err := parseSidecar(text)
	must(t, err)
	file.Keys[0].Wrapped, file.Keys[1].Wrapped = file.Keys[1].Wrapped, file.Keys[0].Wrapped
	kek, err := o.KEK.Open(context.Background(), nil)
	must(t, err)
	swapped, err := file.encode(kek)
	must(t, err)
	refused("swapped keys", swapped)
}

func TestEpochs(t *testing.T) {
	if got, err := nextEpoch(65534); got != 65535 || err != nil {
		t.Errorf("got %d, %v", got, err)
	}
	if _, err := nextEpoch(65535); !errors.Is(err, ErrEpochsUsedUp) {
		t.Errorf("got %v", err)
	}
	// A node whose epochs are used up goes on as another one.
	m := newMachine(t)
	o := testOptions(m, newChance(1))
	r := mustBegin(t, o, m)
	file := r.file.Load().clone()
	file.Epoch = 65535
	text, err := file.encode(r.change.kek)
	must(t, err)
	m.setSidecar(t, text)
	next := mustBegin(t, o, m).Status()
	if next.Node == file.Node || next.Epoch != 1 {
		t.Errorf("node %s in epoch %d, after %s in 65535", next.Node, next.Epoch, file.Node)
	}
}

func TestNoncesAreUsedUp(t *testing.T) {
	n := newNonces(3)
	n.arm(0x0001_0000_0000_0001, 5)
	for i, due := range []bool{false, false, true, false} {
		nonce, err := n.Next()
		must(t, err)
		if want := fmt.Sprintf("00000005%016x", i); fmt.Sprintf("%x", nonce) != want {
			t.Errorf("got %x, want %s", nonce, want)
		}
		select {
		case <-n.due:
			if !due {
				t.Errorf("due after %d", i+1)
			}
		default:
			if due {
				t.Errorf("not due after %d", i+1)
			}
		}
	}
	n.renew()
	n.count.Add(UsesMost - 2)
	if _, err := n.Next(); err != nil {
		t.Error(err)
	}
	for range 2 {
		if _, err := n.Next(); !errors.Is(err, ErrNoncesUsedUp) {
			t.Errorf("got %v", err)
		}
	}
	n.renew()
	if _, err := n.Next(); err != nil {
		t.Errorf("under another key: %v", err)
	}
}

// An idle ring seals nothing until it is given its KEK, and then its gates open in order: whoever
// writes meanwhile writes clear or is registered.
func TestProvide(t *testing.T) {
	m := newMachine(t)
	o := testOptions(m, newChance(1))
	kek := o.KEK
	o.KEK = nil
	r, err := Load(context.Background(), o)
	must(t, err)
	must(t, r.CheckIdle(m))
	if _, err := r.Rotate(); !r.Idle() || r.Sealing() || !errors.Is(err, ErrNotBegun) {
		t.Errorf("idle %t, sealing %t, rotate: %v", r.Idle(), r.Sealing(), err)
	}
	broken := errors.New("broken")
	if err := r.Provide(context.Background(), fixed{"broken", func() (Secret, error) { return Secret{}, broken }}); !errors.Is(err, broken) || !r.Idle() {
		t.Errorf("a provider that has none: %v, idle %t", err, r.Idle())
	}
	ended := make(chan struct{})
	var watcher sync.WaitGroup
	watcher.Go(func() {
		for {
			sealing := r.Sealing() // asked first by the store, too
			_, active := r.ActiveKeyID()
			if _, err := r.Nonces().Next(); sealing && (!active || !r.Registered() || err != nil) {
				t.Errorf("the last gate is open: active %t, registered %t, nonce: %v", active, r.Registered(), err)
				return
			}
			select {
			case <-ended:
				return
			default:
			}
		}
	})
	must(t, r.Provide(context.Background(), kek))
	must(t, r.Begin(m))
	close(ended)
	watcher.Wait()
	wantKeys(t, r, "activated due 1 rewritten 0: 1 active")
	if err := r.Provide(context.Background(), kek); !errors.Is(err, ErrProvided) {
		t.Errorf("provided twice: %v", err)
	}
	if err := r.CheckIdle(m); err != nil {
		t.Errorf("the keys are there: %v", err)
	}

	// From now on there is no start without it.
	if _, err := Load(context.Background(), o); !errors.Is(err, ErrNoKEK) {
		t.Errorf("without a KEK: %v", err)
	}
	must(t, m.disk.Remove("data/"+FileName))
	r, err = Load(context.Background(), o)
	must(t, err)
	if err := r.CheckIdle(m); !errors.Is(err, ErrStale) {
		t.Errorf("without keys.json: %v", err)
	}
}

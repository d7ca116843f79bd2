package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/cockroachdb/datadriven"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/elastickv/elastickv/encryption"
)

func openSealedSnapshots(t testing.TB, s *sealer) *pebbleStore {
	t.Helper()
	return openTest(t, "db", append(s.options(), WithFS(vfs.NewMem()), WithVersionCacheSize(-1), WithSealedSnapshots())...)
}

// A sealed snapshot shows no value and restores into every store that has its key, sealed or clear
// as that one's gates say.
func TestSealedSnapshot(t *testing.T) {
	ctx := context.Background()
	sealed := newSealer(t)
	s := openSealedSnapshots(t, sealed)
	fillMixed(t, s, 1000)
	for i, secret := range secrets() {
		must(t, s.PutAt(ctx, fmt.Appendf(nil, "s%d", i), []byte(strings.Repeat(secret, 100)), uint64(5000+i), 0))
	}
	want := describe(t, s)
	image := imageOf(t, s)
	for _, secret := range secrets() {
		if bytes.Contains(image, []byte(secret)) {
			t.Fatal("the snapshot shows a value")
		}
	}
	if bytes.Equal(image, imageOf(t, s)) {
		t.Error("two snapshots are alike: nonces were used again")
	}
	closed := newSealer(t)
	closed.active = false
	for name, to := range map[string]*sealer{"sealed": newSealer(t), "clear": closed} {
		other := openSealedSnapshots(t, to)
		must(t, other.Restore(iotest.OneByteReader(bytes.NewReader(image))))
		if got := describe(t, other); got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
		}
		for _, r := range engineRows(t, other) {
			if valueSealed(r.value) != (name == "sealed") {
				t.Errorf("%s: %s", name, r.describe(t))
				break
			}
		}
		if name == "clear" && !bytes.Equal(imageOf(t, other)[8:12], []byte{0, 0, 0, 1}) {
			t.Error("a store that writes clear rows has sealed its snapshot")
		}
	}
	fillOld(t, openSealedSnapshots(t, newSealer(t)))
	for name, to := range map[string]MVCCStore{"memory": NewMVCCStore(), "without a cipher": openMem(t)} {
		must(t, to.PutAt(ctx, []byte("k"), []byte("before"), 1, 0))
		if err := to.Restore(bytes.NewReader(image)); !errors.Is(err, ErrSnapshotSealed) {
			t.Errorf("%s: got %v", name, err)
		}
		wantValue(t, to, "k", 1, "before")
	}
	lacking := newSealer(t)
	lacking.cipher = sealTestCipher(t, 2)
	if err := openSealedSnapshots(t, lacking).Restore(bytes.NewReader(image)); !errors.Is(err, ErrEncryptedReadIntegrity) || !errors.As(err, new(*encryption.UnknownKeyError)) {
		t.Errorf("without the key: %v", err)
	}
}

// Nothing is sealed without a nonce, or before this process is registered; and nothing goes out clear
// instead.
func TestSealedSnapshotNeedsLeave(t *testing.T) {
	sealed := newSealer(t)
	s := openSealedSnapshots(t, sealed)
	fillOld(t, s)
	image, err := s.Snapshot()
	must(t, err)
	defer func() { must(t, image.Close()) }()
	for left := range 2 {
		sealed.left = left
		var b bytes.Buffer
		if _, err := image.WriteTo(&b); !errors.Is(err, errNoNonce) || bytes.Contains(b.Bytes(), []byte("old")) {
			t.Errorf("%d nonces: got %v, %q", left, err, b.Bytes())
		}
	}
	sealed.left, sealed.registered = -1, false
	var b bytes.Buffer
	if _, err := image.WriteTo(&b); !errors.Is(err, ErrWriterNotRegistered) || b.Len() > 0 {
		t.Errorf("not registered: got %v, %d bytes", err, b.Len())
	}
	sealed.registered = true
	for n := range 200 {
		failed := errors.New("no room")
		if _, err := image.WriteTo(&failingWriter{left: n, err: failed}); !errors.Is(err, failed) {
			t.Errorf("a writer that fails after %d bytes: %v", n, err)
		}
	}
}

type failingWriter struct {
	left int
	err  error
}

func (f *failingWriter) Write(p []byte) (int, error) {
	if f.left -= len(p); f.left < 0 {
		return 0, f.err
	}
	return len(p), nil
}

// Who knows plain snapshots alone is told that this one is newer.
func TestSealedSnapshotIsNewer(t *testing.T) {
	s := openSealedSnapshots(t, newSealer(t))
	if _, _, err := readEntries(bytes.NewReader(imageOf(t, s))); !errors.Is(err, ErrSnapshotTooNew) {
		t.Errorf("got %v", err)
	}
}

// Every byte of a sealed snapshot is changed, the stream is cut everywhere, and frames are moved: it
// is never restored, and the store stays as it was.
func TestTamperSealedSnapshot(t *testing.T) {
	sealed := newSealer(t)
	s := openSealedSnapshots(t, sealed)
	fillOld(t, s)
	image := imageOf(t, s)
	to := openSealedSnapshots(t, newSealer(t))
	must(t, to.PutAt(context.Background(), []byte("k"), []byte("before"), 1, 0))
	before := describe(t, to)
	refused := func(what string, stream []byte) {
		t.Helper()
		if err := to.Restore(bytes.NewReader(stream)); err == nil {
			t.Errorf("%s: restored", what)
		}
	}
	for i := range image {
		changed := bytes.Clone(image)
		changed[i] ^= 1 << (i % 8)
		refused(fmt.Sprintf("byte %d", i), changed)
		refused(fmt.Sprintf("cut after %d", i), image[:i])
	}
	refused("a byte more", append(bytes.Clone(image), 0))
	refused("twice", append(bytes.Clone(image), image...))
	if got := describe(t, to); got != before {
		t.Errorf("got %s, want %s", got, before)
	}

	// Frames of a longer stream, and of another one.
	var streams [2]bytes.Buffer
	for i := range streams {
		sw, err := s.seal.newSealedWriter(&streams[i], 1)
		must(t, err)
		_, err = sw.Write(bytes.Repeat([]byte{byte(i)}, 3*sealedFrameSize))
		must(t, firstError(err, sw.close()))
	}
	const size = sealedFrameHead + sealedFrameSize + encryption.TagSize
	frame := func(stream, n int) []byte { return streams[stream].Bytes()[sealedHeaderSize+4:][n*size:][:size] }
	head := streams[0].Bytes()[:sealedHeaderSize+4]
	read := func(frames ...[]byte) error {
		r, err := openSnapshot(bytes.NewReader(append(bytes.Clone(head), bytes.Join(frames, nil)...)), sealed.cipher)
		must(t, err)
		_, err = io.Copy(io.Discard, r)
		return err
	}
	must(t, read(frame(0, 0), frame(0, 1), frame(0, 2)))
	for what, frames := range map[string][][]byte{
		"left out":  {frame(0, 0), frame(0, 2)},
		"doubled":   {frame(0, 0), frame(0, 0), frame(0, 1), frame(0, 2)},
		"swapped":   {frame(0, 1), frame(0, 0), frame(0, 2)},
		"another's": {frame(0, 0), frame(1, 1), frame(0, 2)},
		"cut":       {frame(0, 0), frame(0, 1)},
		"none":      {},
	} {
		if err := read(frames...); !errors.Is(err, ErrEncryptedReadIntegrity) && !errors.Is(err, ErrSnapshotTruncated) {
			t.Errorf("%s: got %v", what, err)
		}
	}
}

// TestSealedSnapshotBytes holds the format to its bytes.
func TestSealedSnapshotBytes(t *testing.T) {
	s := openSealedSnapshots(t, newSealer(t))
	datadriven.RunTest(t, "testdata/format/sealed_snapshot", func(t *testing.T, d *datadriven.TestData) string {
		must(t, s.PutAt(context.Background(), []byte("key"), []byte("value"), 7, 0))
		image := imageOf(t, s)
		frame := image[sealedHeaderSize+4:]
		return fmt.Sprintf("header %q %x %x %x %x\nframe  %x %x %x %x\n",
			image[:8], image[8:12], image[12:16], image[16:36], image[36:40],
			frame[:4], frame[4:16], frame[16:len(frame)-16], frame[len(frame)-16:])
	})
}

func FuzzOpenSnapshot(f *testing.F) {
	s := openSealedSnapshots(f, newSealer(f))
	fillOld(f, s)
	image := imageOf(f, s)
	f.Fuzz(func(t *testing.T, stream []byte) {
		r, err := openSnapshot(bytes.NewReader(stream), s.seal.cipher)
		if err != nil {
			return
		}
		plain, err := io.ReadAll(r)
		if err == nil && !bytes.Equal(plain, stream) && !bytes.Equal(stream, image) {
			t.Fatalf("%x opens to %x", stream, plain)
		}
	})
}

// A snapshot of a sealed store that is written in clear restores into a store that has other keys, or none.
func TestPlainSnapshot(t *testing.T) {
	s := openSealedSnapshots(t, newSealer(t))
	fillMixed(t, s, 300)
	want := describe(t, s)
	image, err := s.Snapshot()
	must(t, err)
	defer func() { must(t, image.Close()) }()
	var b bytes.Buffer
	n, err := image.(PlainSnapshot).WritePlainTo(&b)
	if err != nil || n != int64(b.Len()) {
		t.Fatalf("%d bytes of %d, %v", n, b.Len(), err)
	}
	other := newSealer(t)
	other.active = true
	for name, opts := range map[string][]PebbleStoreOption{"clear": nil, "sealed": other.options()} {
		to := openTest(t, "db", append(opts, WithFS(vfs.NewMem()))...)
		must(t, to.Restore(bytes.NewReader(b.Bytes())))
		if got := describe(t, to); got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
		}
	}
}

package host

import (
	"bufio"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/elastickv/elastickv/internal/replica/transport"
)

// stage is the file of an image that arrives. It is sealed under a key that is in this process' memory alone: the data of a
// sealed store must not be on the disk in clear, and a file that a process has left is of no use to the next one.
//
//	| length (4, big endian) | ciphertext (length) | tag (16) |    of each write that was not empty
//
// A write is sealed by AES-256-GCM with its number as the nonce. Restart takes another key, so no number is used twice under
// one.
type stage struct {
	file   *os.File
	aead   cipher.AEAD
	number uint64 // of the next write
	frame  []byte // a buffer
}

var _ transport.Stage = (*stage)(nil)

// stageMost is more than is ever written at once.
const stageMost = 64 << 20

func newStage(dir string) (*stage, error) {
	f, err := os.CreateTemp(dir, "image-*")
	if err != nil {
		return nil, err
	}
	s := &stage{file: f}
	if err := s.begin(); err != nil {
		return nil, errors.Join(err, s.Remove())
	}
	return s, nil
}

func (s *stage) begin() error {
	key := make([]byte, 32)
	defer clear(key)
	if _, err := rand.Read(key); err != nil {
		return err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return err
	}
	s.number = 0
	s.aead, err = cipher.NewGCM(block)
	return err
}

// stageNonce returns the nonce of a write.
func stageNonce(number uint64) []byte {
	return binary.BigEndian.AppendUint64(make([]byte, 4, 12), number)
}

// Write implements transport.Stage.
func (s *stage) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	s.frame = binary.BigEndian.AppendUint32(s.frame[:0], uint32(len(p)))
	s.frame = s.aead.Seal(s.frame, stageNonce(s.number), p, nil)
	s.number++
	if _, err := s.file.Write(s.frame); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Restart implements transport.Stage.
func (s *stage) Restart() error {
	if err := s.file.Truncate(0); err != nil {
		return err
	}
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return s.begin()
}

// Finish implements transport.Stage.
func (s *stage) Finish() error {
	s.frame = nil
	return errors.Join(s.file.Sync(), s.file.Close())
}

// Remove implements transport.Stage.
func (s *stage) Remove() error {
	_ = s.file.Close() // it may be finished
	return os.Remove(s.file.Name())
}

// open returns the image, which is finished. What was changed meanwhile is an error.
func (s *stage) open() (io.ReadCloser, error) {
	f, err := os.Open(s.file.Name())
	if err != nil {
		return nil, err
	}
	return &stageReader{stage: s, in: bufio.NewReaderSize(f, 64<<10), Closer: f}, nil
}

// stageReader reads what was written into a stage.
type stageReader struct {
	*stage
	in   *bufio.Reader
	read uint64 // writes
	buf  []byte
	rest []byte // of the current write
	io.Closer
}

var errStage = errors.New("host: an image has changed on the disk since it arrived")

// Read implements io.Reader.
func (r *stageReader) Read(p []byte) (int, error) {
	for len(r.rest) == 0 {
		if r.read == r.number {
			if _, err := r.in.ReadByte(); err != io.EOF {
				return 0, errors.Join(errStage, err)
			}
			return 0, io.EOF
		}
		if err := r.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

func (r *stageReader) next() error {
	var head [4]byte
	if _, err := io.ReadFull(r.in, head[:]); err != nil {
		return fmt.Errorf("%w: %w", errStage, err)
	}
	size := binary.BigEndian.Uint32(head[:])
	if size > stageMost {
		return errStage
	}
	r.buf = append(r.buf[:0], make([]byte, int(size)+r.aead.Overhead())...)
	if _, err := io.ReadFull(r.in, r.buf); err != nil {
		return fmt.Errorf("%w: %w", errStage, err)
	}
	var err error
	if r.rest, err = r.aead.Open(r.buf[:0], stageNonce(r.read), r.buf, nil); err != nil {
		return errStage
	}
	r.read++
	return nil
}

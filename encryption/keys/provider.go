package keys

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// Provider hands out the KEK. Its String names it without telling a secret.
type Provider interface {
	fmt.Stringer
	// Create returns a KEK to wrap keys under from now on, and what Open has to be given
	// to return it again. That is kept in keys.json and is no secret.
	Create(ctx context.Context) (kek Secret, wrapped []byte, err error)
	// Open returns the KEK that Create had returned together with wrapped.
	Open(ctx context.Context, wrapped []byte) (kek Secret, err error)
}

// fixed is a provider that has but one KEK at a time, and keeps it elsewhere.
type fixed struct {
	name string
	read func() (Secret, error)
}

func (f fixed) String() string { return f.name }

func (f fixed) Create(context.Context) (Secret, []byte, error) {
	kek, err := f.read()
	return kek, nil, err
}

func (f fixed) Open(_ context.Context, wrapped []byte) (Secret, error) {
	if len(wrapped) > 0 {
		return Secret{}, fmt.Errorf("%w: it came from a command (--encryption command:…), and now %s is given", ErrWrongKEK, f.name)
	}
	return f.read()
}

// FromFile is the provider of the KEK in a file, which nobody but its owner may use. The file is
// read anew each time.
func FromFile(path string) Provider {
	return fixed{"file:" + path, func() (Secret, error) { return readFile(path) }}
}

// kekFileMost is the size of the largest file that can hold a KEK, and one byte more.
const kekFileMost = 64 + 2 + 1

func readFile(path string) (Secret, error) {
	f, err := os.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Secret{}, fmt.Errorf("%w: %w; make one with: elastickv keys generate --out FILE", ErrNoKEK, err)
	case err != nil:
		return Secret{}, fmt.Errorf("%w: %w; give the file to the user that the server runs as", ErrNoKEK, err)
	}
	defer f.Close()
	info, err := f.Stat() // of what was opened, whatever has the name by now
	switch {
	case err != nil:
		return Secret{}, fmt.Errorf("%w: %w", ErrNoKEK, err)
	case !info.Mode().IsRegular():
		return Secret{}, fmt.Errorf("%w: %s is not a regular file", ErrNoKEK, path)
	case info.Mode().Perm()&0o077 != 0:
		return Secret{}, fmt.Errorf("%w: %s has mode %#o", ErrKEKExposed, path, info.Mode().Perm())
	}
	text := make([]byte, kekFileMost)
	defer clear(text)
	n, err := io.ReadFull(f, text)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return Secret{}, fmt.Errorf("%w: %w", ErrNoKEK, err)
	}
	kek, err := ParseSecret(text[:n])
	if err != nil {
		return Secret{}, fmt.Errorf("%w: %s: %w", ErrNoKEK, path, err)
	}
	return kek, nil
}

// FromVariable is the provider of the KEK in the environment variable name. take returns the
// variable's value and removes it from the environment. It is called once; the KEK stays.
func FromVariable(name string, take func(name string) (string, bool)) Provider {
	text, ok := take(name)
	kek, err := ParseSecret([]byte(text))
	switch {
	case !ok:
		err = fmt.Errorf("%w: the environment has no variable %s; set it to 32 random bytes in base64", ErrNoKEK, name)
	case err != nil:
		err = fmt.Errorf("%w: variable %s: %w", ErrNoKEK, name, err)
	}
	return fixed{"env:" + name, func() (Secret, error) { return kek, err }}
}

// Surroundings are what providers need of the process that they run in.
type Surroundings struct {
	// Take returns the value of a variable of the environment and removes it from there.
	// Without it no variable can be had.
	Take func(name string) (string, bool)
	Rand io.Reader // crypto/rand.Reader
}

// ParseProvider returns the provider that text names: file:PATH, env:NAME or command:LINE.
func ParseProvider(text string, s Surroundings) (Provider, error) {
	kind, rest, _ := strings.Cut(text, ":")
	switch {
	case kind == "file" && rest != "":
		return FromFile(rest), nil
	case kind == "env" && rest != "" && s.Take == nil:
		return nil, fmt.Errorf("%w: a process that runs cannot be given a variable; give file:PATH or command:LINE", ErrNoKEK)
	case kind == "env" && rest != "":
		return FromVariable(rest, s.Take), nil
	case kind == "command" && rest != "":
		return FromCommand(rest, s.Rand)
	}
	return nil, fmt.Errorf("%w: %q is not file:PATH, env:NAME or command:LINE", ErrNoKEK, text)
}

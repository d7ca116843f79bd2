package keys

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"
)

// Command is a provider that leaves the KEK to a key management service, which a program
// talks to: cmd/elastickv-kms in this repository for the cloud services and Vault, or any other.
//
// The KEK is drawn here, wrapped by the service, and kept, wrapped, in keys.json. The program
// is called with one more word, wrap or unwrap. It reads base64 and a line break from its
// standard input, writes base64 and a line break to its standard output, and ends with 0.
// What it says on its standard error is shown if it fails. It is called at the start of the
// server and for a rewrap, and at no other time. So secrets never stand in its arguments.
type Command struct {
	words  []string
	chance io.Reader
}

// commandMost bounds how long a program may take, and commandOutputMost what it writes, in bytes.
const (
	commandMost       = 30 * time.Second
	commandOutputMost = 64 << 10
	commandFaultMost  = 300
)

// FromCommand returns the provider for a command line, which is cut at blanks; no shell is
// involved. New KEKs are drawn from chance.
func FromCommand(line string, chance io.Reader) (*Command, error) {
	words := strings.Fields(line)
	if len(words) == 0 {
		return nil, fmt.Errorf("%w: the command is empty", ErrNoKEK)
	}
	return &Command{words, chance}, nil
}

// String implements Provider.
func (c *Command) String() string { return "command:" + strings.Join(c.words, " ") }

// Create implements Provider.
func (c *Command) Create(ctx context.Context) (Secret, []byte, error) {
	kek, err := drawSecret(c.chance)
	if err != nil {
		return Secret{}, nil, err
	}
	wrapped, err := c.call(ctx, "wrap", kek.bytes())
	if err != nil {
		return Secret{}, nil, err
	}
	// What cannot be unwrapped again must not be relied on.
	back, err := c.Open(ctx, wrapped)
	if err == nil && string(back.bytes()) != string(kek.bytes()) {
		err = fmt.Errorf("%w: %s: unwrap does not return what wrap was given", ErrNoKEK, c.words[0])
	}
	return kek, wrapped, err
}

// Open implements Provider.
func (c *Command) Open(ctx context.Context, wrapped []byte) (Secret, error) {
	if len(wrapped) == 0 {
		return Secret{}, fmt.Errorf("%w: it came from a file or variable, and now %s is given", ErrWrongKEK, c)
	}
	key, err := c.call(ctx, "unwrap", wrapped)
	if err != nil {
		return Secret{}, err
	}
	defer clear(key)
	kek, err := NewSecret(key)
	if err != nil {
		return Secret{}, fmt.Errorf("%w: %s: %w", ErrNoKEK, c.words[0], err)
	}
	return kek, nil
}

// call has the program wrap or unwrap in.
func (c *Command) call(ctx context.Context, verb string, in []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, commandMost)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.words[0], append(c.words[1:len(c.words):len(c.words)], verb)...)
	cmd.WaitDelay = time.Second // a child of the program may hold its output
	text := append(base64.StdEncoding.AppendEncode(nil, in), '\n')
	defer clear(text)
	out, fault := &limited{most: commandOutputMost}, &limited{most: commandFaultMost}
	defer func() { clear(out.kept) }()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(text), out, fault
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, fmt.Errorf("%w: %s %s: %w: %s; check the program, its credentials and the service", ErrNoKEK, c.words[0], verb, err, fault.line(in))
	}
	key, err := base64.StdEncoding.AppendDecode(nil, bytes.TrimSpace(out.kept))
	if err != nil || len(key) == 0 || out.cut {
		return nil, fmt.Errorf("%w: %s %s did not print base64 alone", ErrNoKEK, c.words[0], verb)
	}
	return key, nil
}

// limited keeps the beginning of what is written to it. It is no io.ReaderFrom, which would
// be asked to take all there is.
type limited struct {
	kept []byte
	most int
	cut  bool
}

func (l *limited) Write(p []byte) (int, error) {
	n := min(len(p), l.most-len(l.kept))
	l.cut = l.cut || n < len(p)
	l.kept = append(l.kept, p[:n]...)
	return len(p), nil
}

// line is what was written in one line, or nothing if it shows the secret.
func (l *limited) line(secret []byte) string {
	line := strings.Join(strings.Fields(string(l.kept)), " ")
	for _, shown := range []string{string(secret), base64.StdEncoding.EncodeToString(secret), fmt.Sprintf("%x", secret)} {
		if strings.Contains(strings.ToLower(line), strings.ToLower(shown[:min(len(shown), 16)])) {
			return "its message is not shown, for it has the key in it"
		}
	}
	return line
}

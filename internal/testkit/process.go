package testkit

import (
	"bytes"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// startWait bounds how long a server may take until it answers PING; a large log to
// replay counts too.
const startWait = 2 * time.Minute

// Server is a process that answers at Addr.
type Server struct {
	Addr string

	cmd    *exec.Cmd
	log    *transcript
	exited chan struct{} // closed once the process is gone and err is set
	err    error

	checked bool   // whether the end of the test looks for bugs in the log
	harm    string // the file that tells it what is done to it, see Harm
}

// start runs cmd, which is to listen on addr, waits until it answers, and kills it
// when t ends, or the tests do.
func start(t testing.TB, addr string, cmd *exec.Cmd) *Server {
	t.Helper()
	s := &Server{Addr: addr, cmd: cmd, log: &transcript{}, exited: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = s.log, s.log
	endWithUs(cmd)
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", cmd.Path, err)
	}
	go func() {
		s.err = cmd.Wait()
		close(s.exited)
	}()
	t.Cleanup(s.Kill)
	if err := s.wait(); err != nil {
		s.Kill()
		t.Fatalf("%s: %v; its output:\n%s", cmd.Args, err, s.Log())
	}
	return s
}

// wait returns once the server answers PING.
func (s *Server) wait() error {
	deadline := time.After(startWait)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		if s.answers() {
			return nil
		}
		select {
		case <-s.exited:
			return fmt.Errorf("ended before it answered: %v", s.err)
		case <-deadline:
			return fmt.Errorf("no answer to PING within %v", startWait)
		case <-tick.C:
		}
	}
}

func (s *Server) answers() bool {
	c, err := Connect(s.Addr, 2)
	if err != nil {
		return false
	}
	defer c.Close()
	v, err := c.Do("PING")
	return err == nil && (v.Str == "PONG" || strings.HasPrefix(v.Str, "NOAUTH")) // with a password
}

// Kill ends the process as a power cut would, with SIGKILL, and returns when it is
// gone. It may be called again.
func (s *Server) Kill() {
	select {
	case <-s.exited:
	default:
		s.cmd.Process.Kill()
		<-s.exited
	}
}

// Restart kills the server and starts the same program again, with the same arguments at
// the same address.
func (s *Server) Restart(t testing.TB) *Server {
	t.Helper()
	s.Kill()
	cmd := exec.Command(s.cmd.Path, s.cmd.Args[1:]...)
	cmd.Dir, cmd.Env = s.cmd.Dir, s.cmd.Env
	again := start(t, s.Addr, cmd)
	again.harm = s.harm
	if s.checked {
		again.checkAtEnd(t)
	}
	return again
}

// Stop asks the process to end, with SIGTERM, and returns how it did: nil for exit
// code 0.
func (s *Server) Stop() error {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return s.Ended()
}

// Hangup sends the process SIGHUP, which does not end it.
func (s *Server) Hangup() error { return s.cmd.Process.Signal(syscall.SIGHUP) }

// Pause stops the process where it is, with SIGSTOP, until Resume; it can be killed meanwhile.
func (s *Server) Pause() error { return s.cmd.Process.Signal(syscall.SIGSTOP) }

// Resume lets it go on.
func (s *Server) Resume() error { return s.cmd.Process.Signal(syscall.SIGCONT) }

// Ended returns once the process has ended: nil for exit code 0.
func (s *Server) Ended() error {
	select {
	case <-s.exited:
		return s.err
	case <-time.After(startWait):
		return fmt.Errorf("still running after %v", startWait)
	}
}

// Log returns what the process has printed, without the middle where that is much.
func (s *Server) Log() string { return s.log.String() }

// FreeAddr returns an address on 127.0.0.1 that nobody listens on at this moment.
func FreeAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// transcript keeps the beginning and the end of what is written to it.
type transcript struct {
	mu        sync.Mutex
	head, end bytes.Buffer
	line      []byte       // the last one, as far as it has come
	faults    bytes.Buffer // lines that tell of a bug, with what follows the first
}

// transcriptKept is how much of a process' output is kept from either side, and behind the first fault,
// in bytes.
const transcriptKept = 32 << 10

// faultMarks are how a server of ours reports a bug of its own.
var faultMarks = []string{"WARNING: DATA RACE", "panic: ", "panicked", "fatal error: ", "internal error", "command failed"}

// fault returns the mark in b, "" if there is none.
func fault(b []byte) string {
	for _, mark := range faultMarks {
		if bytes.Contains(b, []byte(mark)) {
			return mark
		}
	}
	return ""
}

func (w *transcript) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := min(len(p), transcriptKept-w.head.Len())
	w.head.Write(p[:n])
	w.end.Write(p[n:])
	if extra := w.end.Len() - transcriptKept; extra > transcriptKept {
		w.end.Next(extra)
	}
	w.lookForFaults(p)
	return len(p), nil
}

// lookForFaults keeps the first fault, wherever in a long output it comes.
func (w *transcript) lookForFaults(p []byte) {
	for line := range bytes.Lines(p) {
		w.line = append(w.line, line...)
		if w.line[len(w.line)-1] != '\n' {
			return
		}
		if (w.faults.Len() > 0 || fault(w.line) != "") && w.faults.Len() < transcriptKept {
			w.faults.Write(w.line)
		}
		w.line = w.line[:0]
	}
}

// fault returns the first line that tells of a bug, and what has followed it.
func (w *transcript) fault() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.faults.Len() == 0 && fault(w.line) != "" {
		return string(w.line)
	}
	return w.faults.String()
}

func (w *transcript) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.head.String() + w.end.String()
}

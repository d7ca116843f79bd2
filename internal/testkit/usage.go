package testkit

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Usage is what a process takes of its machine.
type Usage struct {
	Resident int64         // bytes of memory in RAM
	CPU      time.Duration // processor time so far, in steps of 10 ms
}

// ticksPerSecond is the unit of processor times in /proc.
const ticksPerSecond = 100

// Usage returns what the server takes at this moment. The test is skipped where the system does not tell.
func (s *Server) Usage(t testing.TB) Usage {
	t.Helper()
	u, err := s.usage()
	if err != nil {
		if _, proc := os.Stat("/proc/self/stat"); proc != nil {
			t.Skipf("no /proc here: %v", proc)
		}
		t.Fatal(err)
	}
	return u
}

func (s *Server) usage() (u Usage, err error) {
	dir := fmt.Sprintf("/proc/%d/", s.cmd.Process.Pid)
	stat, err := os.ReadFile(dir + "stat")
	if err != nil {
		return u, err
	}
	_, behind, _ := strings.Cut(string(stat), ") ") // the name may have blanks
	const state, utime, stime, rss = 3, 14, 15, 24  // numbers of fields, as proc(5) counts them
	fields := strings.Fields(behind)
	if len(fields) <= rss-state {
		return u, fmt.Errorf("%sstat: %q", dir, stat)
	}
	var n [3]int64
	for i, field := range []int{utime, stime, rss} {
		if n[i], err = strconv.ParseInt(fields[field-state], 10, 64); err != nil {
			return u, err
		}
	}
	u.CPU = time.Duration(n[0]+n[1]) * time.Second / ticksPerSecond
	u.Resident = n[2] * int64(os.Getpagesize())
	return u, nil
}

// Sockets returns how many connections the server has open, with what it listens on.
func (s *Server) Sockets(t testing.TB) (n int) {
	t.Helper()
	open, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", s.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range open {
		if to, err := os.Readlink(name); err == nil && strings.HasPrefix(to, "socket:") {
			n++
		}
	}
	return n
}

// Gone reports whether the process is gone.
func (s *Server) Gone() bool {
	select {
	case <-s.exited:
		return true
	default:
		return false
	}
}

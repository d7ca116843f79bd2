// Package machine answers: where do the figures of a benchmark come from? It describes the machine and the tree, and
// keeps reports. It uses the standard library only, and never measures.
package machine

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// Machine is what figures depend on besides the code.
type Machine struct {
	date       time.Time
	commit     string // with a + behind it if files have changed since
	cpu        string
	fileSystem string
	load       string // runnable threads of all programs, on average of the minute before
}

const unknown = "unknown"

// This describes where the figures of a run come from that has begun at date and keeps its data in dir. What cannot
// be found out is unknown.
func This(ctx context.Context, dir string, date time.Time) Machine {
	return Machine{date.UTC(), commit(ctx), cpuModel(), fileSystemOf(dir), loadBefore()}
}

// Write writes m as configuration lines of Go's benchmark format.
func (m Machine) Write(w io.Writer) error {
	_, err := fmt.Fprintf(w, "goos: %s\ngoarch: %s\ncpu: %s\n"+
		"cores: %d\ngomaxprocs: %d\ngo: %s\nfile-system: %s\nload-before: %s\ndate: %s\ncommit: %s\n",
		runtime.GOOS, runtime.GOARCH, m.cpu, runtime.NumCPU(), runtime.GOMAXPROCS(0), runtime.Version(),
		m.fileSystem, m.load, m.date.Format(time.RFC3339), m.commit)
	return err
}

func commit(ctx context.Context) string {
	hash, err := exec.CommandContext(ctx, "git", "rev-parse", "--short=12", "HEAD").Output()
	if err != nil {
		return unknown
	}
	name := strings.TrimSpace(string(hash))
	changed, err := exec.CommandContext(ctx, "git", "status", "--porcelain", "--untracked-files=no").Output()
	if err != nil || len(changed) > 0 {
		name += "+"
	}
	return name
}

// cpuModel reads where Linux tells it.
func cpuModel() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return unknown
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), ":")
		if strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return unknown
}

// loadBefore reads where Linux tells it.
func loadBefore() string {
	text, err := os.ReadFile("/proc/loadavg")
	minute, _, _ := strings.Cut(string(text), " ")
	if err != nil {
		return unknown
	}
	return minute
}

// fileSystemOf reads where Linux tells it.
func fileSystemOf(dir string) string {
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return unknown
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return unknown
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return unknown
	}
	return mountedAt(string(mounts), dir)
}

// mountedAt returns the kind of the file system that path, which is absolute, is on: that of
// the longest mount point above it, and of two equal ones the later.
func mountedAt(mounts, path string) string {
	kind, longest := unknown, 0
	for line := range strings.Lines(mounts) {
		fields := strings.Fields(line) // device, mount point, kind, …
		if len(fields) < 3 {
			continue
		}
		at := fields[1]
		above := at == "/" || path == at || strings.HasPrefix(path, at+"/")
		if above && len(at) >= longest {
			kind, longest = fields[2], len(at)
		}
	}
	return kind
}

// Keep writes a report into a file of its own in folder, if there is one to write to. Its name begins with that of the
// benchmark, so that runs of others can stand beside it.
func (m Machine) Keep(folder, benchmark string, report []byte) error {
	if folder == "" {
		return nil
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	name := fmt.Sprintf("%s-%s-%s.txt", benchmark, m.date.Format("20060102T150405Z"), strings.TrimSuffix(m.commit, "+"))
	f, err := os.OpenFile(filepath.Join(folder, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(report)
	return errors.Join(err, f.Close())
}

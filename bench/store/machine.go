package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// machine is what figures depend on besides the code.
type machine struct {
	date       time.Time
	commit     string // with a + behind it if files have changed since
	cpu        string
	fileSystem string
	load       string // runnable threads of all programs, on average of the minute before
}

const unknown = "unknown"

// thisMachine describes where the figures of dir come from. What cannot be found out
// is unknown.
func thisMachine(ctx context.Context, dir string, date time.Time) machine {
	return machine{date.UTC(), commit(ctx), cpuModel(), fileSystemOf(dir), loadBefore()}
}

// write writes m as configuration lines of Go's benchmark format.
func (m machine) write(w io.Writer) error {
	_, err := fmt.Fprintf(w, "goos: %s\ngoarch: %s\npkg: github.com/elastickv/elastickv/bench/store\ncpu: %s\n"+
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

// keep writes the report into a file of its own in folder, if there is one to write to. Its
// name begins with the program, so that runs of others can stand beside it.
func keep(folder string, m machine, report func(io.Writer) error) (err error) {
	if folder == "" {
		return nil
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	name := fmt.Sprintf("store-%s-%s.txt", m.date.Format("20060102T150405Z"), strings.TrimSuffix(m.commit, "+"))
	f, err := os.OpenFile(filepath.Join(folder, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = firstError(err, f.Close()) }()
	return report(f)
}

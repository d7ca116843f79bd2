package main

import (
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
	date   time.Time
	commit string // with a + behind it if files have changed since
	cpu    string
	load   string // runnable threads of all programs, on average of the minute before
	redis  string // version
}

func thisMachine(ctx context.Context, date time.Time) machine {
	load, _, _ := strings.Cut(read("/proc/loadavg"), " ")
	return machine{date: date.UTC(), commit: commit(ctx), cpu: cpuModel(), load: load, redis: output(ctx, "redis-server", "--version")}
}

func (m machine) write(w io.Writer) {
	fmt.Fprintf(w, "date: %s\ncommit: %s\ncpu: %s, %d cores, shared by server and client\nload before: %s\ngo: %s %s/%s\nredis: %s\n",
		m.date.Format(time.RFC3339), m.commit, m.cpu, runtime.NumCPU(), m.load, runtime.Version(), runtime.GOOS, runtime.GOARCH, m.redis)
}

// output is what a program writes in one line; "" if it fails.
func output(ctx context.Context, name string, args ...string) string {
	out, err := exec.CommandContext(ctx, name, args...).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

func commit(ctx context.Context) string {
	name := output(ctx, "git", "rev-parse", "--short=12", "HEAD")
	if output(ctx, "git", "status", "--porcelain", "--untracked-files=no") != "" {
		name += "+"
	}
	return name
}

func cpuModel() string {
	for line := range strings.Lines(read("/proc/cpuinfo")) {
		if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

// keep writes the report into a file of its own in folder, if one is given.
func keep(folder string, m machine, report []byte) error {
	if folder == "" {
		return nil
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	name := fmt.Sprintf("redis-%s-%s.txt", m.date.Format("20060102T150405Z"), strings.TrimSuffix(m.commit, "+"))
	return os.WriteFile(filepath.Join(folder, name), report, 0o644)
}

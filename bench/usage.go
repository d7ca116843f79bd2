package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// usage is what a process has used so far, or for a request.
type usage struct {
	cpu     float64 // seconds; for a million requests
	written float64 // bytes, to the disk; for a request
	peak    float64 // bytes of memory, the most since beginPeak
}

// ticks is how often a second Linux counts the time of processes, on every machine of today.
const ticks = 100

// usageOf reads where Linux tells it; elsewhere everything is 0.
func usageOf(pid int) usage {
	dir := fmt.Sprintf("/proc/%d/", pid)
	return usage{
		cpu:     cpuOf(read(dir + "stat")),
		written: numberAfter(read(dir+"io"), "write_bytes:"),
		peak:    1024 * numberAfter(read(dir+"status"), "VmHWM:"),
	}
}

// usage is what the server has used so far, and those with it.
func (s *server) usage() usage {
	u := usageOf(s.pid)
	for _, o := range s.others {
		more := o.usage()
		u = usage{u.cpu + more.cpu, u.written + more.written, u.peak + more.peak}
	}
	return u
}

// since is what has been used after before was.
func (u usage) since(before usage) usage {
	return usage{u.cpu - before.cpu, u.written - before.written, u.peak}
}

// of is u for n requests.
func (u usage) of(n float64) usage { return usage{u.cpu / n * 1e6, u.written / n, u.peak} }

// memory is how many bytes of the server are in memory now.
func (s *server) memory() float64 {
	return 1024 * numberAfter(read(fmt.Sprintf("/proc/%d/status", s.pid)), "VmRSS:")
}

// beginPeak has the peak of memory begin at what there is now. Where that cannot be, it is that since the start.
func (s *server) beginPeak() {
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", s.pid), []byte("5"), 0)
	for _, o := range s.others {
		o.beginPeak()
	}
}

func read(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return string(text)
}

// cpuOf takes user and system time out of /proc/PID/stat. The name of the program, in parentheses, may hold
// anything.
func cpuOf(stat string) float64 {
	fields := strings.Fields(stat[strings.LastIndex(stat, ")")+1:])
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseFloat(fields[11], 64)
	system, _ := strconv.ParseFloat(fields[12], 64)
	return (user + system) / ticks
}

// numberAfter returns the number that follows a label at the beginning of a line.
func numberAfter(text, label string) float64 {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, label); ok {
			if fields := strings.Fields(rest); len(fields) > 0 {
				n, _ := strconv.ParseFloat(fields[0], 64)
				return n
			}
		}
	}
	return 0
}

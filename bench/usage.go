package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// usage is what a process has used so far.
type usage struct {
	cpu     float64 // seconds
	written float64 // bytes, to the disk
	memory  float64 // bytes, the most so far
}

// ticks is how often a second Linux counts the time of processes, on every machine of today.
const ticks = 100

// usageOf reads where Linux tells it; elsewhere everything is 0.
func usageOf(pid int) usage {
	dir := fmt.Sprintf("/proc/%d/", pid)
	return usage{
		cpu:     cpuOf(read(dir + "stat")),
		written: numberAfter(read(dir+"io"), "write_bytes:"),
		memory:  1024 * numberAfter(read(dir+"status"), "VmHWM:"),
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

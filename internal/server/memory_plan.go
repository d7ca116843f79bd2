package server

import (
	"bytes"
	"fmt"
	"io/fs"
	"math"
	"path"
	"strconv"
	"strings"
)

// MemoryPlan says how the setting memory-limit is divided, in bytes. It has nothing to do with maxmemory, which bounds the
// data: those stand on the disk.
//
//	| Process | Engine | Log | Runtime, Versions among it |   together: Limit
type MemoryPlan struct {
	Limit int64 // what the process may take
	// Process is for the program itself, and for what the allocator of Engine and Log wastes.
	Process  int64
	Engine   int64 // blocks of the store that were read, and its write buffers
	Log      int64 // the same of the log of a node of a cluster; else 0
	Runtime  int64 // all that Go's runtime takes: connections, commands in progress, caches, and garbage
	Versions int64 // the newest versions of keys, as part of Runtime
}

const (
	// memoryLeast is the least that memory-limit may be, in bytes. What a server needs that does nothing is half of it.
	memoryLeast = 64 << 20
	// programMemory is what the program and its threads take, in bytes, of which little depends on the limit.
	programMemory = 24 << 20
	// logMemoryMost is what the log of a node makes use of, in bytes; an eighth of the limit is the other bound.
	logMemoryMost = 200 << 20
	// versionsMost is the largest cache of newest versions, in bytes.
	versionsMost = 8 << 30
)

// planMemory divides limit. Of what the program leaves a good two fifths are the engine's, and a tenth of that may be wasted; the
// rest is the runtime's. There two fifths hold newest versions, which answer a read for a tenth of what a block does:
// the collector has to have room for half as much garbage as there is to keep, or works all the time.
func planMemory(limit int64, clustered bool) MemoryPlan {
	p := MemoryPlan{Limit: limit, Process: programMemory}
	if clustered {
		p.Log = min(limit/8, logMemoryMost)
	}
	rest := limit - p.Process - p.Log
	p.Engine = rest / 100 * 42
	p.Process += (p.Engine + p.Log) / 10
	p.Runtime = limit - p.Process - p.Engine - p.Log
	p.Versions = min(p.Runtime/5*2, versionsMost)
	return p
}

// MemoryPlan returns the plan for memory-limit, or, if that is 0, for half of the memory that the process may have.
func (c *Config) MemoryPlan() MemoryPlan {
	limit := c.memoryLimit
	if limit == 0 {
		limit = memoryLimitOf(memoryAllowed(machine))
	}
	return planMemory(limit, c.cluster.Listen != "")
}

// checkMemoryLimit refuses a limit that the program alone would exceed.
func checkMemoryLimit(v string) error {
	if n, ok := parseMemory(v); ok && n != 0 && n < memoryLeast {
		return fmt.Errorf("argument must be 0, or at least %d", memoryLeast)
	}
	return nil // what is no number is refused as such
}

// memoryUnknown is taken for the memory of a machine that does not tell, in bytes.
const memoryUnknown = 1 << 30

// memoryLimitOf is the limit on a machine that gives the process so much memory; 0 is unknown. The other half is for the machine's
// own cache of files, out of which most of what the engine reads comes, and for other programs.
func memoryLimitOf(allowed int64) int64 {
	if allowed <= 0 {
		allowed = memoryUnknown
	}
	return max(allowed/2, memoryLeast)
}

// memoryAllowed is the memory that the process may have, in bytes: that of the machine, or what its control group, or one above
// that, is limited to. 0 if nothing is known. root is where /proc and /sys are.
func memoryAllowed(root fs.FS) int64 {
	allowed := int64(math.MaxInt64)
	text, _ := fs.ReadFile(root, "proc/meminfo") // where there is none, nothing is known
	for line := range bytes.Lines(text) {
		if fields := strings.Fields(string(line)); len(fields) >= 2 && fields[0] == "MemTotal:" {
			kb, _ := strconv.ParseInt(fields[1], 10, 64)
			allowed = kb << 10
			break
		}
	}
	groups, _ := fs.ReadFile(root, "proc/self/cgroup") // the same
	for line := range bytes.Lines(groups) {
		for _, file := range memoryFiles(strings.TrimSpace(string(line))) {
			text, err := fs.ReadFile(root, file)
			if n, bad := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && bad == nil && n > 0 {
				allowed = min(allowed, n)
			}
		}
	}
	if allowed == math.MaxInt64 {
		return 0
	}
	return allowed
}

// memoryFiles are the files with the limits of a control group, as a line of /proc/self/cgroup names it, and of those above
// it. A container may see its own at the root, whatever the line says.
func memoryFiles(line string) (files []string) {
	parts := strings.SplitN(line, ":", 3) // number, controllers, path
	if len(parts) != 3 {
		return nil
	}
	base, file := "sys/fs/cgroup", "memory.max"
	if parts[1] != "" {
		if !strings.Contains(","+parts[1]+",", ",memory,") {
			return nil
		}
		base, file = "sys/fs/cgroup/memory", "memory.limit_in_bytes"
	}
	for dir := path.Clean("/" + parts[2]); ; dir = path.Dir(dir) {
		files = append(files, path.Join(base, dir, file))
		if dir == "/" {
			return files
		}
	}
}

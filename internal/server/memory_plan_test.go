package server

import (
	"math"
	"strings"
	"testing"
	"testing/fstest"
)

// TestMemoryPlanAddsUp has the parts of every plan be its limit together, and none too small to work with.
func TestMemoryPlanAddsUp(t *testing.T) {
	limits := []int64{memoryLeast, memoryLeast + 1, 100_000_000, 128 << 20, 256 << 20, 1 << 30, 12<<30 + 7, 1 << 40, math.MaxInt64}
	for _, limit := range limits {
		for _, clustered := range []bool{false, true} {
			p := planMemory(limit, clustered)
			if sum := p.Process + p.Engine + p.Log + p.Runtime; p.Limit != limit || sum != limit {
				t.Errorf("%d, cluster %t: %+v is %d together", limit, clustered, p, sum)
			}
			if p.Process < programMemory || p.Engine < 10<<20 || p.Runtime < 15<<20 || p.Versions < 6<<20 || p.Versions > p.Runtime/2 {
				t.Errorf("%d, cluster %t: %+v", limit, clustered, p)
			}
			if clustered != (p.Log > 0) {
				t.Errorf("%d, cluster %t: %d for a log", limit, clustered, p.Log)
			}
		}
	}
}

func TestMemoryPlanOfSettings(t *testing.T) {
	c := NewConfig()
	if got, want := c.MemoryPlan(), planMemory(memoryLimitOf(memoryAllowed(machine)), false); got != want {
		t.Errorf("without a limit: %+v, want %+v", got, want)
	}
	for _, s := range []struct{ name, value string }{{"memory-limit", "256mb"}, {"cluster-listen", "127.0.0.1:0"}} {
		if err := c.Set(s.name, s.value); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := c.MemoryPlan(), planMemory(256<<20, true); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if err := c.Set("memory-limit", "1mb"); err == nil || !strings.Contains(err.Error(), "at least") {
		t.Errorf("too little: %v", err)
	}
	for allowed, want := range map[int64]int64{0: 512 << 20, 8 << 30: 4 << 30, 100 << 20: memoryLeast} {
		if got := memoryLimitOf(allowed); got != want {
			t.Errorf("of %d: %d, want %d", allowed, got, want)
		}
	}
}

// TestMemoryAllowed looks at machines and containers.
func TestMemoryAllowed(t *testing.T) {
	const meminfo = "MemFree: 1 kB\nMemTotal:       8388608 kB\nSwapTotal: 0 kB\n"
	for name, c := range map[string]struct {
		files map[string]string
		want  int64
	}{
		"nothing":        {nil, 0},
		"a machine":      {map[string]string{"proc/meminfo": meminfo}, 8 << 30},
		"no limit":       {map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "max\n"}, 8 << 30},
		"a limit":        {map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "1073741824\n"}, 1 << 30},
		"a limit above":  {map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "max\n", "sys/fs/cgroup/a/memory.max": "2147483648\n"}, 2 << 30},
		"seen at root":   {map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/docker/x\n", "sys/fs/cgroup/memory.max": "536870912\n"}, 512 << 20},
		"at the root":    {map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "536870912\n"}, 512 << 20},
		"more than all":  {map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "99999999999999\n"}, 8 << 30},
		"version 1":      {map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "3:cpu:/x\n9:hugetlb,memory:/x\n", "sys/fs/cgroup/memory/x/memory.limit_in_bytes": "1073741824\n"}, 1 << 30},
		"v1 without one": {map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "9:memory:/x\n", "sys/fs/cgroup/memory/x/memory.limit_in_bytes": "9223372036854771712\n"}, 8 << 30},
		"nonsense":       {map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0\n::\n0::/../..\n", "sys/fs/cgroup/memory.max": "-5\n"}, 8 << 30},
	} {
		root := fstest.MapFS{}
		for file, text := range c.files {
			root[file] = &fstest.MapFile{Data: []byte(text)}
		}
		if got := memoryAllowed(root); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

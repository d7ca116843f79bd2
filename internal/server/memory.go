package server

import (
	"fmt"
	goruntime "runtime/debug" // debug is a command here
	"runtime/metrics"
	"strings"

	"github.com/elastickv/elastickv/internal/command"
	"github.com/elastickv/elastickv/internal/keyspace"
)

var memoryRow = &command.Command{
	Name: "memory", Arity: -2, Group: command.GroupServer, Since: "4.0.0",
	Summary: "A container for commands about memory and room on the disk.", Complexity: "Depends on subcommand.",
	Sub: []*command.Command{
		command.MemoryUsageRow,
		{Name: "doctor", Arity: 2, Group: command.GroupServer, Run: memoryDoctor, Since: "4.0.0",
			Summary: "Tells in words how the memory is used.", Complexity: "O(1)",
			Tips: []string{"nondeterministic_output", "request_policy:all_shards", "response_policy:special"}},
		{Name: "stats", Arity: 2, Group: command.GroupServer, Run: memoryStats, Since: "4.0.0",
			Summary: "Returns figures of the memory.", Complexity: "O(1)",
			Tips: []string{"nondeterministic_output", "request_policy:all_shards", "response_policy:special"}},
		{Name: "purge", Arity: 2, Group: command.GroupServer, Run: memoryPurge, Since: "4.0.0",
			Summary: "Gives memory that is free back to the system.", Complexity: "Depends on the memory that is used",
			Tips: []string{"request_policy:all_shards", "response_policy:all_succeeded"}},
		{Name: "malloc-stats", Arity: 2, Group: command.GroupServer, Run: memoryMallocStats, Since: "4.0.0",
			Summary: "Returns the figures of the runtime's allocator.", Complexity: "O(1)",
			Tips: []string{"nondeterministic_output", "request_policy:all_shards", "response_policy:special"}},
		{Name: "help", Arity: 2, Flags: command.Loading | command.Stale, Group: command.GroupServer, Run: memoryHelp, Since: "4.0.0",
			Summary: "Returns help about the subcommands.", Complexity: "O(1)"},
	},
}

func memoryHelp(c *command.Ctx) error {
	return help(c, "MEMORY",
		"DOCTOR", "    Return memory problems reports.",
		"MALLOC-STATS", "    Return internal statistics report from the memory allocator.",
		"PURGE", "    Attempt to purge dirty pages for reclamation by the allocator.",
		"STATS", "    Return information about the memory usage of the server.",
		"USAGE <key> [SAMPLES <count>]",
		"    Return the bytes of the rows of <key>. Of collections,",
		"    up to <count> elements are looked at (default: 5, 0 means all).")
}

// memoryPurge collects garbage first, and so takes a while.
func memoryPurge(c *command.Ctx) error {
	goruntime.FreeOSMemory()
	c.Out.OK()
	return nil
}

func memoryMallocStats(c *command.Ctx) error {
	var b strings.Builder
	for _, d := range metrics.All() {
		if !strings.HasPrefix(d.Name, "/memory/classes/") && !strings.HasPrefix(d.Name, "/gc/") || d.Kind != metrics.KindUint64 {
			continue
		}
		s := []metrics.Sample{{Name: d.Name}}
		metrics.Read(s)
		fmt.Fprintf(&b, "%s %d\n", d.Name, s[0].Value.Uint64())
	}
	c.Out.Verbatim("txt", b.String())
	return nil
}

// lowMemoryShare is the part of the machine's memory that the process may take before the doctor
// warns of it.
const lowMemoryShare = 0.8

// overMemoryLimit is how far above memory-limit the process is when the doctor says so.
const overMemoryLimit = 1.1

func memoryDoctor(c *command.Ctx) error {
	srv := serverOf(c)
	dataset, err := srv.datasetSize()
	if err != nil {
		return err
	}
	used, resident, total, limit := memoryUsed(), memoryResident(), memoryTotal(), uint64(srv.memory.Limit)
	var b strings.Builder
	fmt.Fprintf(&b, "The dataset has %s. It is kept on the disk: the process uses %s of memory, for caches, connections and commands in progress; memory-limit is %s.\n",
		humanBytes(uint64(dataset)), humanBytes(used), humanBytes(limit))
	switch {
	case total > 0 && float64(resident) > lowMemoryShare*float64(total):
		fmt.Fprintf(&b, "It takes %s of the machine's %s: lower memory-limit, or the limits of output buffers.\n", humanBytes(resident), humanBytes(total))
	case float64(resident) > overMemoryLimit*float64(limit):
		fmt.Fprintf(&b, "It takes %s, more than memory-limit: connections, scripts and commands in progress need more than the limit leaves them.\n", humanBytes(resident))
	default:
		b.WriteString("I see no problem.\n")
	}
	c.Out.Verbatim("txt", b.String())
	return nil
}

// memoryStats names its figures as Redis does, as far as there is such a thing here: what Redis has
// allocated is the dataset, and the allocator's figures are those of the process.
func memoryStats(c *command.Ctx) error {
	srv := serverOf(c)
	dataset, err := srv.datasetSize()
	if err != nil {
		return err
	}
	used, process, resident := uint64(startupMemory+dataset), memoryUsed(), memoryResident()
	peak := srv.stats.peakMemory(used)
	keys, err := srv.keyCount()
	if err != nil {
		return err
	}
	ints := []struct {
		name string
		n    uint64
	}{
		{"peak.allocated", peak}, {"total.allocated", used}, {"startup.allocated", startupMemory}, {"replication.backlog", 0},
		{"clients.slaves", 0}, {"clients.normal", srv.clientMemory()}, {"cluster.links", 0}, {"aof.buffer", 0},
		{"lua.caches", 0}, {"functions.caches", 0}, {"overhead.total", startupMemory}, {"keys.count", uint64(keys)},
		{"keys.bytes-per-key", uint64(dataset / max(keys, 1))}, {"dataset.bytes", uint64(dataset)},
		{"allocator.allocated", process}, {"allocator.active", process}, {"allocator.resident", resident},
	}
	ratios := []struct {
		name string
		f    float64
	}{
		{"dataset.percentage", 100 * float64(dataset) / float64(used)}, {"peak.percentage", 100 * float64(used) / float64(max(peak, 1))},
		{"fragmentation", float64(resident) / float64(max(process, 1))},
	}
	c.Out.Map(len(ints) + len(ratios))
	for _, f := range ints {
		c.Out.BulkString(f.name)
		c.Out.Int(int64(f.n))
	}
	for _, f := range ratios {
		c.Out.BulkString(f.name)
		c.Out.Double(f.f)
	}
	return nil
}

// keyCount returns the number of keys of all databases.
func (s *Server) keyCount() (n int64, err error) {
	err = s.glance(func(root *keyspace.Space) error {
		for db := range keyspace.Databases {
			size, err := root.DB(db).Size()
			if err != nil {
				return err
			}
			n += size.Keys
		}
		return nil
	})
	return n, err
}

// clientMemory is the bytes of replies that wait for clients to take them.
func (s *Server) clientMemory() (bytes uint64) {
	for _, c := range s.sessions.all() {
		_, n := c.output.waiting()
		bytes += uint64(n)
	}
	return bytes
}

// datasetSize is the bytes of all rows: counted, or estimated while nobody knows exactly.
func (s *Server) datasetSize() (n int64, err error) {
	if m := s.db.Measured(); m.Exact() {
		return m.Bytes, nil
	}
	err = s.glance(func(root *keyspace.Space) error {
		n, err = root.DatasetSize(s.opts.Rand)
		return err
	})
	return n, err
}

package server

import (
	"fmt"
	"strings"

	"github.com/elastickv/elastickv/internal/command"
	"github.com/elastickv/elastickv/internal/keyspace"
	"github.com/elastickv/elastickv/internal/resp"
)

// A cluster is one shard: the leader has all slots, and the others are its replicas.

const clusterAdmin = command.Admin | command.Stale | command.NoAsyncLoading

var clusterRows = []*command.Command{
	{Name: "readonly", Arity: 1, Flags: command.Fast | command.Loading | command.Stale, Group: command.GroupCluster, Cats: command.CatConnection, Run: readonly, Since: "3.0.0",
		Summary: "Lets this connection read what a node of a cluster has, even if it is not the newest.", Complexity: "O(1)"},
	{Name: "readwrite", Arity: 1, Flags: command.Fast | command.Loading | command.Stale, Group: command.GroupCluster, Cats: command.CatConnection, Run: readwrite, Since: "3.0.0",
		Summary: "Has this connection read the newest again.", Complexity: "O(1)"},
	{Name: "asking", Arity: 1, Flags: command.Fast, Group: command.GroupCluster, Cats: command.CatConnection, Run: asking, Since: "3.0.0",
		Summary: "Has no effect: slots do not move.", Complexity: "O(1)"},
	{Name: "cluster", Arity: -2, Group: command.GroupCluster, Since: "3.0.0", Sub: clusterSubs(),
		Summary: "A container for commands about the cluster.", Complexity: "Depends on subcommand."},
}

func clusterSubs() []*command.Command {
	unsure := []string{"nondeterministic_output"}
	const once = "O(1)"
	subs := []*command.Command{
		{Name: "addslots", Arity: -3, Flags: clusterAdmin, Syntax: "slot..."},
		{Name: "addslotsrange", Arity: -4, Flags: clusterAdmin, Syntax: "range(start-slot end-slot)..."},
		{Name: "bumpepoch", Arity: 2, Flags: clusterAdmin, Tips: unsure},
		{Name: "count-failure-reports", Arity: 3, Flags: command.Admin | command.Stale, Tips: unsure, Syntax: "node-id"},
		{Name: "countkeysinslot", Arity: 3, Flags: command.Stale, Syntax: "slot", Run: clusterCountKeys,
			Summary: "Returns how many keys of the database have a slot.", Complexity: "O(N) where N is the number of keys of the database"},
		{Name: "delslots", Arity: -3, Flags: clusterAdmin, Syntax: "slot..."},
		{Name: "delslotsrange", Arity: -4, Flags: clusterAdmin, Syntax: "range(start-slot end-slot)..."},
		{Name: "failover", Arity: -2, Flags: clusterAdmin, Syntax: "[options(FORCE | TAKEOVER)]"},
		{Name: "flushslots", Arity: 2, Flags: clusterAdmin},
		{Name: "forget", Arity: 3, Flags: clusterAdmin, Syntax: "node-id"},
		{Name: "getkeysinslot", Arity: 4, Flags: command.Stale, Tips: unsure, Syntax: "slot count", Run: clusterGetKeys,
			Summary: "Returns keys of the database that have a slot.", Complexity: "O(N) where N is the number of keys of the database"},
		{Name: "help", Arity: 2, Flags: command.Loading | command.Stale, Run: clusterHelp, Summary: "Returns help about the subcommands.", Complexity: once},
		{Name: "info", Arity: 2, Flags: command.Stale, Tips: unsure, Run: clusterInfo, Summary: "Tells how the cluster is.", Complexity: once},
		{Name: "keyslot", Arity: 3, Flags: command.Stale, Syntax: "key:string", Run: clusterKeySlot,
			Summary: "Returns the slot of a key.", Complexity: "O(N) where N is the length of the key"},
		{Name: "links", Arity: 2, Flags: command.Stale, Tips: unsure},
		{Name: "meet", Arity: -4, Flags: clusterAdmin, Syntax: "ip port [cluster-bus-port@4.0.0]"},
		{Name: "myid", Arity: 2, Flags: command.Stale, Run: clusterMyID, Summary: "Returns the id of the node.", Complexity: once},
		{Name: "myshardid", Arity: 2, Flags: command.Stale, Tips: unsure, Run: clusterMyShardID, Summary: "Returns the id of the shard, which all nodes have.", Complexity: once},
		{Name: "nodes", Arity: 2, Flags: command.Stale, Tips: unsure, Run: clusterNodes, Summary: "Tells of all nodes, one a line.", Complexity: "O(N) where N is the number of nodes"},
		{Name: "replicas", Arity: 3, Flags: command.Admin | command.Stale, Tips: unsure, Syntax: "node-id", Run: clusterReplicas,
			Summary: "Tells of the nodes that follow the leader.", Complexity: "O(N) where N is the number of nodes"},
		{Name: "replicate", Arity: 3, Flags: clusterAdmin, Syntax: "node-id"},
		{Name: "reset", Arity: -2, Flags: command.Admin | command.Stale | command.NoScript, Syntax: "[reset-type(HARD | SOFT)]"},
		{Name: "saveconfig", Arity: 2, Flags: clusterAdmin},
		{Name: "set-config-epoch", Arity: 3, Flags: clusterAdmin, Syntax: "config-epoch"},
		{Name: "setslot", Arity: -4, Flags: clusterAdmin, Syntax: "slot subcommand(IMPORTING importing=node-id | MIGRATING migrating=node-id | NODE node=node-id | STABLE)"},
		{Name: "shards", Arity: 2, Flags: command.Loading | command.Stale, Tips: unsure, Run: clusterShards,
			Summary: "Tells of the shard, which has all slots, and its nodes.", Complexity: "O(N) where N is the number of nodes"},
		{Name: "slaves", Arity: 3, Flags: command.Admin | command.Stale, Tips: unsure, Syntax: "node-id", Run: clusterReplicas,
			Summary: "The old name of CLUSTER REPLICAS.", Complexity: "O(N) where N is the number of nodes"},
		{Name: "slots", Arity: 2, Flags: command.Loading | command.Stale, Tips: unsure, History: []string{"4.0.0 Tells the ids of nodes.", "7.0.0 Tells more of the network."}, Run: clusterSlots,
			Summary: "Tells which nodes have which slots.", Complexity: "O(N) where N is the number of nodes"},
	}
	for _, s := range subs {
		s.Group = command.GroupCluster
		if s.Run == nil {
			s.Run, s.Summary, s.Complexity = notByClients, "Fails: a cluster is looked after by `elastickv cluster`.", once
		}
		switch s.Name {
		case "nodes", "shards", "slots":
			s.Run = clustered(s.Run)
		}
		s.Run = inCluster(s.Run)
		switch s.Name {
		case "addslotsrange", "delslotsrange", "links", "shards":
			s.Since = "7.0.0"
		case "help", "replicas":
			s.Since = "5.0.0"
		case "myshardid":
			s.Since = "7.2.0"
		default:
			s.Since = "3.0.0"
		}
		switch s.Name {
		case "slaves":
			s.Deprecated, s.Instead = "5.0.0", "`CLUSTER REPLICAS`"
		case "slots":
			s.Deprecated, s.Instead = "7.0.0", "`CLUSTER SHARDS`"
		}
	}
	return subs
}

// inCluster is a handler that fails on a server that is in no cluster.
func inCluster(run func(*command.Ctx) error) func(*command.Ctx) error {
	return func(c *command.Ctx) error {
		if !serverOf(c).shared() {
			return errNoCluster
		}
		return run(c)
	}
}

// clustered is a handler of what only clients ask that go to the leader by themselves.
func clustered(run func(*command.Ctx) error) func(*command.Ctx) error {
	return func(c *command.Ctx) error {
		callerOf(c).facts.clustered.Store(true)
		return run(c)
	}
}

func notByClients(*command.Ctx) error { return errNotByClients }

func readonly(c *command.Ctx) error {
	return clustered(func(c *command.Ctx) error { return setNear(c, true) })(c)
}

func readwrite(c *command.Ctx) error { return setNear(c, false) }

func setNear(c *command.Ctx, on bool) error {
	if !serverOf(c).shared() {
		return errNoCluster
	}
	callerOf(c).facts.near.Store(on)
	c.Out.OK()
	return nil
}

func asking(c *command.Ctx) error {
	if !serverOf(c).shared() {
		return errNoCluster
	}
	c.Out.OK()
	return nil
}

func clusterHelp(c *command.Ctx) error {
	return help(c, "CLUSTER",
		"COUNTKEYSINSLOT <slot>", "    Return the number of keys in <slot>.",
		"GETKEYSINSLOT <slot> <count>", "    Return key names stored by current node in a slot.",
		"INFO", "    Return information about the cluster.",
		"KEYSLOT <key>", "    Return the hash slot for <key>.",
		"MYID", "    Return the node id.",
		"MYSHARDID", "    Return the shard id.",
		"NODES", "    Return cluster configuration seen by node. Output format:", "    <id> <ip:port> <flags> <master> <pings> <pongs> <epoch> <link> <slot> ...",
		"REPLICAS <node-id>", "    Return <node-id> replicas.",
		"SLOTS", "    Return information about slots range mappings. Each range is made of:", "    start, end, master and replicas IP addresses, ports and ids",
		"SHARDS", "    Return information about slot range mappings and the nodes associated with them.")
}

func clusterKeySlot(c *command.Ctx) error {
	c.Out.Int(int64(command.Slot(c.Args[2])))
	return nil
}

func clusterMyID(c *command.Ctx) error {
	return withStatus(c, func(st ClusterStatus) error {
		self, _ := st.self()
		c.Out.BulkString(st.nodeName(self.Node))
		return nil
	})
}

func clusterMyShardID(c *command.Ctx) error {
	return withStatus(c, func(st ClusterStatus) error {
		c.Out.BulkString(st.shardName())
		return nil
	})
}

func withStatus(c *command.Ctx, do func(ClusterStatus) error) error {
	st, err := serverOf(c).clusterStatus()
	if err != nil {
		return err
	}
	return do(st)
}

// clusterInfo says what of Redis' words is the case. Slots belong to the leader; if nobody leads, to nobody.
func clusterInfo(c *command.Ctx) error {
	return withStatus(c, func(st ClusterStatus) error {
		state, slots, size := "fail", 0, 0
		if _, led := st.leader(); led {
			state, slots, size = "ok", command.Slots, 1
		}
		var r report
		r.add("cluster_state", state)
		r.add("cluster_slots_assigned", slots)
		r.add("cluster_slots_ok", slots)
		r.add("cluster_slots_pfail", 0)
		r.add("cluster_slots_fail", 0)
		r.add("cluster_known_nodes", len(st.Nodes))
		r.add("cluster_size", size)
		r.add("cluster_current_epoch", st.Term)
		r.add("cluster_my_epoch", st.Term)
		c.Out.Verbatim("txt", r.String())
		return nil
	})
}

// nodeLine is a node in a line of CLUSTER NODES.
func (c *session) nodeLine(st *ClusterStatus, n ClusterNode) string {
	var flags []string
	if n.Self {
		flags = append(flags, "myself")
	}
	master, slots := "-", ""
	if st.leads(n) {
		flags, slots = append(flags, "master"), fmt.Sprintf(" 0-%d", command.Slots-1)
	} else {
		flags = append(flags, "slave")
		if st.Leader != 0 {
			master = st.nodeName(st.Leader)
		}
	}
	link := "connected"
	if !c.srv.heardOf(n, silenceMost) {
		flags, link = append(flags, "fail"), "disconnected"
	}
	if n.Host == "" {
		flags = append(flags, "noaddr")
	}
	heard := int64(0)
	if !n.Self && !n.Heard.IsZero() {
		heard = n.Heard.UnixMilli()
	}
	return fmt.Sprintf("%s %s:%d@%d %s %s 0 %d %d %s%s", st.nodeName(n.Node), n.Host, n.portFor(c), portOf(n.Addr),
		strings.Join(flags, ","), master, heard, st.Term, link, slots)
}

func clusterNodes(c *command.Ctx) error {
	return withStatus(c, func(st ClusterStatus) error {
		var b strings.Builder
		for _, n := range st.Nodes {
			b.WriteString(callerOf(c).nodeLine(&st, n) + "\n")
		}
		c.Out.Verbatim("txt", b.String())
		return nil
	})
}

func clusterReplicas(c *command.Ctx) error {
	return withStatus(c, func(st ClusterStatus) error {
		n, found := st.find(func(n ClusterNode) bool { return st.nodeName(n.Node) == strings.ToLower(string(c.Args[2])) })
		switch {
		case !found:
			return errUnknownNode(c.Args[2])
		case !st.leads(n):
			return errNoMaster
		}
		c.Out.Array(len(st.Nodes) - 1)
		for _, n := range st.Nodes {
			if !st.leads(n) {
				c.Out.BulkString(callerOf(c).nodeLine(&st, n))
			}
		}
		return nil
	})
}

// reachable returns the leader and then those followers that a client can read at; nobody if nobody leads.
func (c *session) reachable(st *ClusterStatus) []ClusterNode {
	leader, led := st.leader()
	if !led {
		return nil
	}
	nodes := []ClusterNode{leader}
	for _, n := range st.Nodes {
		if _, ok := n.addrFor(c); ok && n.Voter && !st.leads(n) && c.srv.heardOf(n, silenceMost) {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

func clusterSlots(c *command.Ctx) error {
	return withStatus(c, func(st ClusterStatus) error {
		nodes := callerOf(c).reachable(&st)
		if len(nodes) == 0 {
			c.Out.Array(0)
			return nil
		}
		c.Out.Array(1)
		c.Out.Array(2 + len(nodes))
		c.Out.Int(0)
		c.Out.Int(command.Slots - 1)
		for _, n := range nodes {
			c.Out.Array(4)
			c.Out.BulkString(n.Host)
			c.Out.Int(int64(n.portFor(callerOf(c))))
			c.Out.BulkString(st.nodeName(n.Node))
			c.Out.Map(0)
		}
		return nil
	})
}

func clusterShards(c *command.Ctx) error {
	return withStatus(c, func(st ClusterStatus) error {
		c.Out.Array(1)
		c.Out.Map(2)
		c.Out.BulkString("slots")
		if st.Leader == 0 {
			c.Out.Array(0)
		} else {
			c.Out.Array(2)
			c.Out.Int(0)
			c.Out.Int(command.Slots - 1)
		}
		c.Out.BulkString("nodes")
		c.Out.Array(len(st.Nodes))
		for _, n := range st.Nodes {
			serverOf(c).shardNode(c.Out, &st, n)
		}
		return nil
	})
}

// shardNode writes a node as CLUSTER SHARDS tells of it.
func (s *Server) shardNode(out *resp.Writer, st *ClusterStatus, n ClusterNode) {
	type pair struct {
		name string
		port int
	}
	var ports []pair
	for _, p := range []pair{{"port", n.Port}, {"tls-port", n.TLSPort}} {
		if p.port != 0 {
			ports = append(ports, p)
		}
	}
	role, health := "replica", "online"
	if st.leads(n) {
		role = "master"
	}
	switch {
	case !s.heardOf(n, silenceMost):
		health = "failed"
	case !n.Voter:
		health = "loading"
	}
	out.Map(6 + len(ports))
	out.BulkString("id")
	out.BulkString(st.nodeName(n.Node))
	for _, p := range ports {
		out.BulkString(p.name)
		out.Int(int64(p.port))
	}
	for _, line := range [][2]string{{"ip", n.Host}, {"endpoint", n.Host}, {"role", role}} {
		out.BulkString(line[0])
		out.BulkString(line[1])
	}
	out.BulkString("replication-offset")
	out.Int(int64(n.Applied))
	out.BulkString("health")
	out.BulkString(health)
}

func clusterCountKeys(c *command.Ctx) error {
	slot, err := parseInt(c.Args[2])
	switch {
	case err != nil:
		return err
	case slot < 0 || slot >= command.Slots:
		return errSlot
	}
	n := int64(0)
	err = walkSlot(c, int(slot), func([]byte) bool { n++; return true })
	if err == nil {
		c.Out.Int(n)
	}
	return err
}

func clusterGetKeys(c *command.Ctx) error {
	slot, err := parseInt(c.Args[2])
	if err != nil {
		return err
	}
	most, err := parseInt(c.Args[3])
	if err != nil {
		return err
	}
	if slot < 0 || slot >= command.Slots || most < 0 {
		return errSlotOrCount
	}
	var found []string
	if most > 0 {
		err = walkSlot(c, int(slot), func(key []byte) bool {
			found = append(found, string(key))
			return int64(len(found)) < most
		})
	}
	if err != nil {
		return err
	}
	c.Out.Array(len(found))
	for _, key := range found {
		c.Out.BulkString(key)
	}
	return nil
}

// walkSlot calls fn for the keys of a slot in the selected database, until it returns false.
func walkSlot(c *command.Ctx, slot int, fn func(key []byte) bool) error {
	caller := callerOf(c)
	walk := func(root *keyspace.Space) error {
		return root.DB(caller.db).Walk(nil, nil, func(key []byte, _ keyspace.Kind) bool {
			return command.Slot(key) != slot || fn(key)
		})
	}
	if caller.tx != nil {
		return walk(caller.tx)
	}
	return caller.told(caller.srv.viewAs(caller.near(), walk), caller.running)
}

package server

import (
	"strconv"
	"strings"

	"github.com/elastickv/elastickv/internal/command"
)

// What belongs to several servers has rows that say how it is with one.

const replicaFlags = command.Admin | command.NoScript | command.Stale | command.NoAsyncLoading

var aloneRows = []*command.Command{
	{Name: "replicaof", Arity: 3, Flags: replicaFlags, Group: command.GroupServer, Run: replicaof, Since: "5.0.0",
		Syntax:  "args(host-port(host port) | no-one(NO ONE))",
		Summary: "Accepts NO ONE: a server follows no other.", Complexity: "O(1)"},
	{Name: "slaveof", Arity: 3, Flags: replicaFlags, Group: command.GroupServer, Run: replicaof, Since: "1.0.0", Deprecated: "5.0.0", Instead: "`REPLICAOF`",
		Syntax:  "args(host-port(host port) | no-one(NO ONE))",
		Summary: "The old name of REPLICAOF.", Complexity: "O(1)"},
	{Name: "failover", Arity: -1, Flags: command.Admin | command.NoScript | command.Stale, Group: command.GroupServer, Run: failover, Since: "6.2.0",
		Syntax:  "[TO target(host port [FORCE])] [ABORT] [TIMEOUT milliseconds]",
		Summary: "Fails: no replica could take over.", Complexity: "O(1)"},
	{Name: "psync", Arity: -3, Flags: command.Admin | command.NoScript | command.NoMulti | command.NoAsyncLoading, Group: command.GroupServer, Run: syncStream, Since: "2.8.0",
		Syntax:  "replicationid offset",
		Summary: "Fails: there is no stream for replicas.", Complexity: "O(1)"},
	{Name: "sync", Arity: 1, Flags: command.Admin | command.NoScript | command.NoMulti | command.NoAsyncLoading, Group: command.GroupServer, Run: syncStream, Since: "1.0.0",
		Summary: "Fails: there is no stream for replicas.", Complexity: "O(1)"},
	{Name: "replconf", Arity: -1, Flags: command.Admin | command.NoScript | command.Loading | command.Stale | command.AllowBusy, Group: command.GroupServer, Run: replconf, Since: "3.0.0", Internal: true,
		Summary: "Takes what a replica says of itself, to no effect.", Complexity: "O(1)"},
	{Name: "module", Arity: -2, Group: command.GroupServer, Since: "4.0.0", Sub: moduleSubs,
		Summary: "A container for commands about modules, of which there are none.", Complexity: "O(1)"},
}

const moduleFlags = command.Admin | command.NoScript | command.NoAsyncLoading

var moduleSubs = []*command.Command{
	{Name: "list", Arity: 2, Flags: command.Admin | command.NoScript, Group: command.GroupServer, Run: moduleList, Since: "4.0.0",
		Summary: "Returns no modules.", Complexity: "O(1)", Tips: []string{"nondeterministic_output_order"}},
	{Name: "load", Arity: -3, Flags: moduleFlags, Group: command.GroupServer, Run: noModules, Since: "4.0.0",
		Syntax:  "path [arg...]",
		Summary: "Fails: modules cannot be loaded.", Complexity: "O(1)"},
	{Name: "loadex", Arity: -3, Flags: moduleFlags, Group: command.GroupServer, Run: noModules, Since: "7.0.0",
		Syntax:  "path [CONFIG configs(name value)]... [ARGS args...]",
		Summary: "Fails: modules cannot be loaded.", Complexity: "O(1)"},
	{Name: "unload", Arity: 3, Flags: moduleFlags, Group: command.GroupServer, Run: noModules, Since: "4.0.0",
		Syntax:  "name",
		Summary: "Fails: there are no modules.", Complexity: "O(1)"},
	{Name: "help", Arity: 2, Flags: command.Loading | command.Stale, Group: command.GroupServer, Run: moduleHelp, Since: "5.0.0",
		Summary: "Returns help about the subcommands.", Complexity: "O(1)"},
}

func noModules(*command.Ctx) error { return errNoModules }

func moduleList(c *command.Ctx) error {
	c.Out.Array(0)
	return nil
}

func moduleHelp(c *command.Ctx) error {
	return help(c, "MODULE", "LIST", "    Return a list of loaded modules: always empty.")
}

// replicaof accepts what is the case already.
func replicaof(c *command.Ctx) error {
	if strings.EqualFold(string(c.Args[1]), "no") && strings.EqualFold(string(c.Args[2]), "one") {
		c.Out.OK()
		return nil
	}
	if port, err := strconv.Atoi(string(c.Args[2])); err != nil || port < 0 || port > 65535 {
		return errMasterPort
	}
	return errNoReplication
}

// failover fails in the words of a server without replicas.
func failover(c *command.Ctx) error {
	if len(c.Args) == 2 && strings.EqualFold(string(c.Args[1]), "abort") {
		return errNoFailover
	}
	given := make(map[string]bool)
	for i := 1; i < len(c.Args); i++ {
		word := strings.ToLower(string(c.Args[i]))
		if given[word] {
			return command.ErrSyntax
		}
		given[word] = true
		switch {
		case word == "force":
		case word == "timeout" && i+1 < len(c.Args):
			i++
			if n, err := parseInt(c.Args[i]); err != nil {
				return err
			} else if n <= 0 {
				return errFailoverTimeout
			}
		case word == "to" && i+2 < len(c.Args):
			i += 2
			if _, err := parseInt(c.Args[i]); err != nil {
				return err
			}
		default:
			return command.ErrSyntax
		}
	}
	return errNoReplicas
}

func syncStream(*command.Ctx) error { return errNoStream }

// replconf takes the options that come in pairs, as Redis does of anybody.
func replconf(c *command.Ctx) error {
	if len(c.Args)%2 == 0 {
		return command.ErrSyntax
	}
	for i := 1; i < len(c.Args); i += 2 {
		switch word := strings.ToLower(string(c.Args[i])); word {
		case "listening-port", "rdb-only":
			n, err := parseInt(c.Args[i+1])
			if err != nil {
				return err
			}
			if word == "rdb-only" && n != 0 && n != 1 {
				return errReplicaFlag
			}
		case "ip-address", "capa", "ack", "getack", "rdb-filter-only":
		default:
			return errReplicaOption(c.Args[i])
		}
	}
	c.Out.OK()
	return nil
}

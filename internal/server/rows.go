package server

import "github.com/elastickv/elastickv/internal/command"

// Flags that many rows here share.
const (
	adminFlags   = command.Admin | command.NoScript | command.Loading | command.Stale
	sessionFlags = command.NoScript | command.Loading | command.Stale
)

// rows returns the commands of this package: those about connections,
// transactions and the server itself.
func rows() []*command.Command {
	var out []*command.Command
	for _, family := range [][]*command.Command{
		transactionRows, connectionRows, pubsubRows, {monitorRow, helloRow, authRow, aclRow, clientRow},
		{configRow, infoRow, timeRow, roleRow, debugRow, slowlogRow, shutdownRow, migrateRow, waitRow, waitAOFRow},
		saveRows, aloneRows, clusterRows, {swapdbRow, latencyRow, memoryRow, lolwutRow},
	} {
		out = append(out, family...)
	}
	return out
}

// help answers the HELP of a container, in the form that redis-cli prints.
func help(c *command.Ctx, container string, lines ...string) error {
	c.Out.Array(len(lines) + 3)
	c.Out.Simple(container + " <subcommand> [<arg> [value] [opt] ...]. Subcommands are:")
	for _, l := range lines {
		c.Out.Simple(l)
	}
	c.Out.Simple("HELP")
	c.Out.Simple("    Prints this help.")
	return nil
}

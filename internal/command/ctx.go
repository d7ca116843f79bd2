package command

import (
	"github.com/elastickv/elastickv/internal/keyspace"
	"github.com/elastickv/elastickv/internal/resp"
)

// Ctx is one call of one command.
type Ctx struct {
	// Args are the arguments, the command's name first. They stay as they are
	// until the transaction has ended.
	Args [][]byte
	Cmd  *Command
	Out  *resp.Writer
	// Keys is the selected database inside the call's transaction. It is nil
	// for commands without keys that are flagged neither Write nor ReadOnly.
	Keys *keyspace.Space
	Env  *Env
	// Caller is the session that the call comes from. Only the rows of package
	// server look at it.
	Caller any
}

// Env is what all calls share.
type Env struct {
	Table   *Table
	Keys    keyspace.Env
	Cursors *Cursors
	// MaxBulk is the largest string that a command may make, in bytes.
	MaxBulk int64
	// Rand returns 64 random bits; it is safe for concurrent use.
	Rand func() uint64
}

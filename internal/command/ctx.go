package command

import (
	"time"

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
	// MayBlock says that the call can wait: it is not part of MULTI or a script.
	MayBlock bool
	// Blocked is what the call waits for, if it has called Block.
	Blocked *Block
}

// Block is what a blocking command waits for when there is nothing for it yet.
type Block struct {
	Keys    [][]byte               // the command is carried out again when one of them has changed
	Timeout time.Duration          // from when the command arrived; 0: for ever
	Expired func(out *resp.Writer) // the reply when the time is over
}

// Block makes the call wait: it gets no reply now. A call that cannot wait is answered
// as if its time were over. The handler returns right after it.
func (c *Ctx) Block(b *Block) error {
	if !c.MayBlock {
		b.Expired(c.Out)
		return nil
	}
	c.Blocked = b
	return nil
}

// Env is what all calls share.
type Env struct {
	Table   *Table
	Keys    keyspace.Env
	Cursors *Cursors
	// MaxBulk is the largest string that a command may make, in bytes.
	MaxBulk int64
	// HLLSparseMax is the largest HyperLogLog that is kept sparse, in bytes.
	HLLSparseMax int
	// Rand returns 64 random bits; it is safe for concurrent use.
	Rand func() uint64
}

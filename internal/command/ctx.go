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
	// Untouched says that to look up a key is not to use it.
	Untouched bool
	// Waited says that the call is carried out again after it has called Block.
	Waited bool
	// Blocked is what the call waits for, if it has called Block.
	Blocked *Block
	// ReadsAll, if not nil, says whether the caller may make a call and read keys that it does not name.
	ReadsAll func(cmd *Command, args [][]byte) bool
	// Script is the script that makes the call; nil: none does.
	Script *Script
	// Counted says that the error which the call replies with has been counted already,
	// as that of a call which a script has made.
	Counted bool
}

// Script is what a call changes of the script that makes it, instead of the session.
type Script struct {
	DB int // the selected database
}

// Block is what a blocking command waits for when there is nothing for it yet. None of its
// functions may use the call's arguments.
type Block struct {
	// Keys are what it waits for: the command is carried out again, with the same
	// arguments, when one of them has changed and is of the type Kind. Without keys only
	// Timeout and CLIENT UNBLOCK end the wait.
	Keys [][]byte
	Kind keyspace.Kind // KindNone: of whatever type, or none
	// Gone, if not nil, writes the reply when one of Keys has changed and is not of the
	// type Kind any more. Without it such a key is waited for as before.
	Gone    func(out *resp.Writer)
	Timeout time.Duration          // from when the command arrived; 0: for ever
	Expired func(out *resp.Writer) // the reply when the time is over
	// Start, if not nil, is called when the wait has begun. end ends it as if its time were over, whenever it is called; stop
	// is called when it has ended.
	Start func(end func()) (stop func())
}

// Block makes the call wait: it gets no reply now. A call that cannot wait is answered
// as if its time were over. The handler returns right after it. What it has put in place
// of elements of c.Args, such as the ID that "$" stands for at that moment, is what it
// finds there when it is called again; what it has written to keys then, without being
// able to answer, is taken back.
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
	// MaxReply is the largest reply, in bytes, that a command may make, together with those before it that have
	// not been sent. A few bytes of arguments can ask for the same large value a million times.
	MaxReply int
	// HLLSparseMax is the largest HyperLogLog that is kept sparse, in bytes.
	HLLSparseMax int
	// OwnIntegers says that no two keys share a small integer, since each has to remember its use.
	OwnIntegers bool
	// SkipChecksum makes RESTORE take payloads with a wrong checksum.
	SkipChecksum bool
	// DebugInScripts lets scripts call commands that are Internal.
	DebugInScripts bool
	// Rand returns 64 random bits; it is safe for concurrent use.
	Rand func() uint64
}

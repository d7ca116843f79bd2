package resp

import (
	"io"
	"sync/atomic"
)

// Sizes of a Reader's buffer, in bytes.
const (
	bufferBase = 16 << 10 // to begin with, and when little arrives
	bufferKeep = 64 << 10 // kept between pipelines; larger only while one command needs it
	bufferRoom = 4 << 10  // least room worth a read, unless less is missing
	spansKept  = 4 << 10  // arguments, not bytes, kept room for between pipelines
	quietMax   = 16       // small rounds until a buffer above bufferBase is given back
	growth     = 4        // times that the buffer grows by while a large command arrives: smaller steps leave more garbage
)

// Reader yields the commands in a byte stream, arrays of bulk strings and inline
// commands alike, by the rules of Redis 7. Arguments are not copied: they lie in
// the Reader's buffer. A command that arrives in pieces is parsed once, going on
// where the bytes ended, and the buffer grows with the bytes that arrive, not
// with the lengths that they declare. A Reader is not safe for concurrent use.
type Reader struct {
	src    io.Reader
	limits Limits

	buf      []byte
	pos, end int   // buf[pos:end] has arrived and is not yet handed out; 0 <= pos <= end <= len(buf)
	srcErr   error // came with the last bytes; reported once those are used up
	full     bool  // the last read left no room
	quiet    int   // rounds in a row for which bufferBase would have done

	// The command that begins at buf[pos]. All offsets are from pos, so they hold
	// when the bytes move.
	cmd struct {
		args  []span
		left  int   // arguments to come; 0 while the count is unknown
		bulk  int   // length of the argument at next; -1 while unknown
		next  int   // first byte not yet parsed
		seen  int   // no end of line in [next, seen)
		ready bool  // complete: args are its arguments, next is its size
		err   error // what is wrong with it, a ProtocolError
	}

	one Pipeline // of ReadCommand

	held, room atomic.Int64 // as of the last read; for Usage
}

// span is where an argument lies, in bytes from the start of its command.
type span struct{ from, to int }

// Pipeline holds commands that were handed out together. The zero value is ready
// for use; used again and again, it allocates nothing.
type Pipeline struct {
	// Commands are the commands in the order of their arrival. Each has at least
	// one argument. They alias the Reader's buffer and this Pipeline's memory.
	Commands [][][]byte

	args [][]byte // of all commands, end to end
	ends []int    // the end of each command in args
}

// NewReader returns a Reader of src with limits l.
func NewReader(src io.Reader, l Limits) *Reader {
	r := &Reader{src: src, limits: l.withDefaults()}
	r.restart()
	return r
}

// SetLimits replaces the limits, for all that has not been handed out yet. Bytes
// are parsed ahead of need only by Buffered and by a Next that asks for several
// commands; what those refused is judged again.
func (r *Reader) SetLimits(l Limits) {
	r.limits = l.withDefaults()
	// Unbalanced quotes are wrong under any limits, and their line may have been
	// decoded in place, so it must not be read twice.
	if r.cmd.err != nil && r.cmd.err != errInlineQuotes {
		r.restart()
	}
}

// Next waits for a command and puts it into p, along with every further command
// that has already arrived whole, up to most together (below 1 counts as 1). The
// commands stay valid until the next call of Next or ReadCommand.
//
// Ask for one at a time where a command may change the limits for those behind
// it, as AUTH does.
//
// The error is a ProtocolError when the input is wrong, and it comes again with
// every later call; commands before the fault are handed out first. At the end of
// the stream it is io.EOF, or io.ErrUnexpectedEOF within a command. Any other
// error of the source is passed on as it is, loses nothing, and may be followed
// by another Next, so a read deadline can interrupt the wait.
func (r *Reader) Next(p *Pipeline, most int) error {
	p.reset()
	for !r.parse() {
		if err := r.fill(); err != nil {
			return err
		}
	}
	if r.cmd.err != nil {
		return r.cmd.err
	}
	for {
		r.take(p)
		if len(p.ends) >= most || !r.parse() || r.cmd.err != nil {
			break
		}
	}
	p.cut()
	return nil
}

// ReadCommand waits for a command and returns its arguments, at least one. They
// are valid until the next call of ReadCommand or Next. The errors are those of
// Next.
func (r *Reader) ReadCommand() ([][]byte, error) {
	if err := r.Next(&r.one, 1); err != nil {
		return nil, err
	}
	return r.one.Commands[0], nil
}

// Buffered reports whether the next call of Next or ReadCommand returns at once:
// a whole command, a fault or the end of the stream is already here. It leaves
// commands that have been handed out as they are.
func (r *Reader) Buffered() bool {
	return r.parse() || r.srcErr != nil
}

// Usage returns how many bytes were in the buffer when the Reader began to wait for more, or, if
// they have come, then, and how many more it had room for. It is safe for concurrent use.
func (r *Reader) Usage() (held, room int64) {
	held = r.held.Load()
	return held, max(0, r.room.Load()-held)
}

// publish makes Usage return the present figures.
func (r *Reader) publish() {
	r.held.Store(int64(r.end - r.pos))
	r.room.Store(int64(len(r.buf)))
}

// take moves the ready command to p.
func (r *Reader) take(p *Pipeline) {
	base := r.buf[r.pos:]
	for _, s := range r.cmd.args {
		p.args = append(p.args, base[s.from:s.to:s.to])
	}
	p.ends = append(p.ends, len(p.args))
	r.pos += r.cmd.next
	r.restart()
}

// restart forgets what is known of the command at pos.
func (r *Reader) restart() {
	c := &r.cmd
	c.args = c.args[:0]
	if cap(c.args) > spansKept {
		c.args = nil
	}
	c.left, c.bulk, c.next, c.seen = 0, -1, 0, 0
	c.ready, c.err = false, nil
}

// fill waits for more bytes. It may move or replace the buffer, so nothing that
// has been handed out may be in use any more.
func (r *Reader) fill() error {
	if r.srcErr == nil {
		r.makeRoom()
	}
	return r.read()
}

// read waits for more bytes, for which there is room.
func (r *Reader) read() error {
	if err := r.srcErr; err != nil {
		r.srcErr = nil
		return r.ended(err)
	}
	r.publish()
	defer r.publish()
	const emptyReadsMax = 100
	for range emptyReadsMax {
		n, err := r.src.Read(r.buf[r.end:])
		r.end += n
		r.full = r.end == len(r.buf)
		if n > 0 {
			r.srcErr = err
			return nil
		}
		if err != nil {
			return r.ended(err)
		}
	}
	return io.ErrNoProgress
}

func (r *Reader) ended(err error) error {
	if err == io.EOF && r.pos < r.end {
		return io.ErrUnexpectedEOF
	}
	return err
}

// makeRoom sees to it that bytes can be read to buf[end:]. It moves what has
// arrived only when that is cheap or unavoidable, so every byte is copied a
// bounded number of times however small the pieces are in which it arrives.
func (r *Reader) makeRoom() {
	unread := r.end - r.pos
	if unread == 0 {
		r.rest()
	}
	size := len(r.buf)
	switch missing := r.missing(); {
	case size > bufferKeep && unread+missing <= bufferBase:
		size = bufferBase // a large command is through
	case r.full && size < bufferKeep:
		size *= 2 // the peer sends faster than we read
	case unread+min(missing, bufferRoom) > size:
		// Not far past what is known to be missing, and at most growth times, or twice that if it is the last time.
		grown, whole := growth*size, unread+missing+bufferBase
		if size = grown; whole < 2*grown {
			size = whole
		}
	}
	r.full = false
	if size != len(r.buf) {
		grown := make([]byte, size)
		copy(grown, r.buf[r.pos:r.end])
		r.buf = grown
	} else if r.pos > 0 && (unread <= r.pos || size-r.end < bufferRoom) {
		copy(r.buf, r.buf[r.pos:r.end])
	} else {
		return
	}
	r.pos, r.end = 0, unread
}

// rest resets an empty buffer, and gives it back when it has become too large for
// a connection that may now be idle.
func (r *Reader) rest() {
	if r.end > bufferBase/2 {
		r.quiet = 0
	} else {
		r.quiet++
	}
	r.pos, r.end = 0, 0
	if r.buf == nil || len(r.buf) > bufferKeep || len(r.buf) > bufferBase && r.quiet >= quietMax {
		r.buf, r.quiet, r.full = make([]byte, bufferBase), 0, false
	}
}

// missing returns how many bytes the argument that is being read still lacks, or
// the least room worth a read when its length is not known yet.
func (r *Reader) missing() int {
	if r.cmd.bulk < 0 {
		return bufferRoom
	}
	return r.cmd.next + r.cmd.bulk + len("\r\n") - (r.end - r.pos)
}

// reset empties p and lets go of the buffers it has pointed into.
func (p *Pipeline) reset() {
	clear(p.args)
	p.args, p.ends = p.args[:0], p.ends[:0]
	clear(p.Commands)
	p.Commands = p.Commands[:0]
	if cap(p.args) > spansKept {
		p.args = nil
	}
	if cap(p.Commands) > spansKept {
		p.Commands, p.ends = nil, nil
	}
}

// cut divides args into Commands. It comes last because args may move while it
// grows.
func (p *Pipeline) cut() {
	from := 0
	for _, to := range p.ends {
		p.Commands = append(p.Commands, p.args[from:to:to])
		from = to
	}
}

package resp

import (
	"strconv"
	"strings"
	"sync"
)

const (
	// writerKeep is the largest buffer, in bytes, that a Writer holds on to when it
	// is reset: enough for nearly every reply, small enough for thousands of idle
	// connections.
	writerKeep = 64 << 10
	// writerLeast is the size of the first buffer, in bytes.
	writerLeast = 128
	// writerFrame is more bytes than a string or a header needs beside what it says.
	writerFrame = 32
)

// lent holds buffers for replies that outgrow writerKeep, by their size in bytes. To grow one for each
// such reply, and to have it collected again, took half of the time of LRANGEs of 64 KiB in a pipeline.
var lent = [...]struct {
	size int
	pool sync.Pool
}{{size: 128 << 10}, {size: 256 << 10}, {size: 512 << 10}, {size: 1 << 20}, {size: 2 << 20}}

// Writer builds replies in memory, in protocol 2 or 3. What only protocol 3 can
// say is written in protocol 2 as Redis does it. The zero Writer is empty and
// speaks protocol 2. The aggregate methods (Array, Map, Set, Push) write a
// header; the caller then writes the elements.
type Writer struct {
	buf     []byte
	own     []byte // the Writer's own buffer while buf is lent to it
	strings []kept // what belongs between bytes of buf and has not been copied, in order
	apart   int    // bytes of strings
	resp3   bool
	limit   int  // bytes that may be written; 0: any number
	full    bool // something had no room
}

// Limit bounds what the Writer holds, in bytes, but for errors and what Raw adds; 0 is no bound. What has no
// room is left out, and so is all that comes behind it, until Truncate or Reset make room.
func (w *Writer) Limit(n int) { w.limit = n }

// Full reports whether something has been left out.
func (w *Writer) Full() bool { return w.full }

// admits reports whether n bytes more are within the limit.
func (w *Writer) admits(n int) bool {
	if w.full || w.limit > 0 && w.Len()+n > w.limit {
		w.full = true
		return false
	}
	return true
}

// fits reports whether n bytes more are within the limit, and makes room for them if so.
func (w *Writer) fits(n int) bool {
	if !w.admits(n) {
		return false
	}
	if need := len(w.buf) + n + writerFrame; need > cap(w.buf) {
		w.grow(need)
	}
	return true
}

// grow moves to a buffer with room for need bytes: one to keep, or one that is lent. What is larger than
// any of those is left to append.
func (w *Writer) grow(need int) {
	if need <= writerKeep {
		size := min(max(2*cap(w.buf), need, writerLeast), writerKeep)
		w.buf = append(make([]byte, 0, size), w.buf...)
		return
	}
	for i := range lent {
		if need > lent[i].size {
			continue
		}
		larger, _ := lent[i].pool.Get().(*[]byte)
		if larger == nil {
			b := make([]byte, 0, lent[i].size)
			larger = &b
		}
		w.move(append((*larger)[:0], w.buf...))
		return
	}
}

// move goes on with a larger buffer, into which buf has been copied.
func (w *Writer) move(larger []byte) {
	if cap(w.buf) <= writerKeep {
		w.own = w.buf
	} else {
		giveBack(w.buf)
	}
	w.buf = larger
}

// giveBack puts buf back if it was lent.
func giveBack(buf []byte) {
	for i := range lent {
		if cap(buf) == lent[i].size {
			lent[i].pool.Put(&buf)
		}
	}
}

// SetProto chooses the protocol, 2 or 3, of what is written from now on.
func (w *Writer) SetProto(v int) { w.resp3 = v >= 3 }

// Proto returns the protocol, 2 or 3.
func (w *Writer) Proto() int {
	if w.resp3 {
		return 3
	}
	return 2
}

// Bytes returns what has been written since Reset. It is valid until the next
// method that changes the Writer: then other Writers may write there.
func (w *Writer) Bytes() []byte {
	w.join()
	return w.buf
}

// Outgrown reports whether what has been written is larger than every buffer that is kept or lent. Then Take costs no more than
// Bytes.
func (w *Writer) Outgrown() bool { return cap(w.buf) > lent[len(lent)-1].size }

// Len returns the number of bytes written since Reset.
func (w *Writer) Len() int { return len(w.buf) + w.apart }

// Truncate goes back to n bytes, a Len taken since the last Reset.
func (w *Writer) Truncate(n int) {
	w.drop(n)
	w.buf, w.full = w.buf[:n-w.apart], false
}

// Reset empties the Writer and keeps the protocol. A buffer that has grown large
// is given back.
func (w *Writer) Reset() {
	w.full = false
	w.strings, w.apart = nil, 0
	if cap(w.buf) > writerKeep {
		giveBack(w.buf)
		w.buf, w.own = w.own, nil
	}
	w.buf = w.buf[:0]
}

// Simple writes a simple string. s must hold no CR or LF; they become spaces.
func (w *Writer) Simple(s string) {
	if w.fits(len(s)) {
		w.buf = append(w.buf, '+')
		w.line(s)
	}
}

// OK writes the simple string OK.
func (w *Writer) OK() {
	if w.fits(len("+OK\r\n")) {
		w.buf = append(w.buf, "+OK\r\n"...)
	}
}

// Error writes an error. s is the whole text, code first and without the leading
// minus. CR and LF at either end are dropped, those inside become spaces.
func (w *Writer) Error(s string) {
	w.buf = append(w.buf, '-')
	w.line(strings.Trim(s, "\r\n"))
}

// Int writes an integer.
func (w *Writer) Int(n int64) { w.header(':', n) }

// Bulk writes a bulk string; nil is the empty string.
func (w *Writer) Bulk(b []byte) {
	if w.fits(len(b)) {
		w.buf = append(append(appendHeader(w.buf, '$', int64(len(b))), b...), '\r', '\n')
	}
}

// BulkString writes a bulk string.
func (w *Writer) BulkString(s string) {
	if w.fits(len(s)) {
		w.buf = append(append(appendHeader(w.buf, '$', int64(len(s))), s...), '\r', '\n')
	}
}

// Null writes the absence of a string; in protocol 3 there is but one null.
func (w *Writer) Null() { w.either("$-1\r\n", "_\r\n") }

// NullArray writes the absence of an array; in protocol 3 there is but one null.
func (w *Writer) NullArray() { w.either("*-1\r\n", "_\r\n") }

// Array begins an array of n elements.
func (w *Writer) Array(n int) { w.header('*', int64(n)) }

// Map begins a map of n pairs, in protocol 2 an array of 2n elements.
func (w *Writer) Map(n int) {
	if w.resp3 {
		w.header('%', int64(n))
		return
	}
	w.header('*', 2*int64(n))
}

// ArraySince makes an array of the n elements that have been written since mark, a
// Len taken before.
func (w *Writer) ArraySince(mark, n int) { w.Before(mark, func() { w.Array(n) }) }

// MapSince makes a map of the n pairs that have been written since mark, a Len taken
// before.
func (w *Writer) MapSince(mark, n int) { w.Before(mark, func() { w.Map(n) }) }

// Before puts what write writes, which should be short, before what has been written
// since mark, a Len taken before.
func (w *Writer) Before(mark int, write func()) {
	w.join()
	end := len(w.buf)
	write()
	var tmp [64]byte
	header := append(tmp[:0], w.buf[end:]...)
	copy(w.buf[mark+len(header):], w.buf[mark:end])
	copy(w.buf[mark:], header)
}

// Set begins a set of n elements, in protocol 2 an array.
func (w *Writer) Set(n int) { w.aggregate('~', n) }

// Push begins an out-of-band message of n elements, in protocol 2 an array.
func (w *Writer) Push(n int) { w.aggregate('>', n) }

// Attribute begins n pairs that say something about the reply that follows. Only protocol 3
// has them.
func (w *Writer) Attribute(n int) { w.header('|', int64(n)) }

// Double writes a number as [FormatDouble] prints it, in protocol 2 as a bulk
// string.
func (w *Writer) Double(f float64) {
	var tmp [32]byte
	digits := AppendDouble(tmp[:0], f)
	if !w.resp3 {
		w.Bulk(digits)
		return
	}
	if w.fits(len(digits)) {
		w.buf = append(w.buf, ',')
		w.buf = append(w.buf, digits...)
		w.end()
	}
}

// DoubleDigits is Double for a number that is printed already.
func (w *Writer) DoubleDigits(digits string) {
	if !w.resp3 {
		w.BulkString(digits)
		return
	}
	if w.fits(len(digits)) {
		w.buf = append(w.buf, ',')
		w.line(digits)
	}
}

// Bool writes a truth value, in protocol 2 the integer 1 or 0.
func (w *Writer) Bool(b bool) {
	if b {
		w.either(":1\r\n", "#t\r\n")
		return
	}
	w.either(":0\r\n", "#f\r\n")
}

// BigNumber writes an integer of any size, given in decimal, in protocol 2 as a
// bulk string. CR and LF in s become spaces.
func (w *Writer) BigNumber(s string) {
	if !w.resp3 {
		w.BulkString(s)
		return
	}
	if w.fits(len(s)) {
		w.buf = append(w.buf, '(')
		w.line(s)
	}
}

// Verbatim writes text for people, in protocol 2 as a bulk string. format has
// three bytes, such as "txt" or "mkd"; a shorter one is filled up with spaces and
// a longer one cut.
func (w *Writer) Verbatim(format, s string) {
	if !w.resp3 {
		w.BulkString(s)
		return
	}
	if !w.fits(len(s)) {
		return
	}
	w.header('=', int64(len(s))+4)
	format = (format + "   ")[:3]
	w.buf = append(w.buf, format...)
	w.buf = append(w.buf, ':')
	w.buf = append(w.buf, s...)
	w.end()
}

// Raw writes bytes that are already encoded, in the protocol in force, whatever the limit.
func (w *Writer) Raw(b []byte) { w.buf = append(w.buf, b...) }

// aggregate begins n elements of a type that protocol 2 calls an array.
func (w *Writer) aggregate(kind byte, n int) {
	if !w.resp3 {
		kind = '*'
	}
	w.header(kind, int64(n))
}

func (w *Writer) either(resp2, resp3 string) {
	if !w.fits(len(resp2)) {
		return
	}
	if w.resp3 {
		w.buf = append(w.buf, resp3...)
		return
	}
	w.buf = append(w.buf, resp2...)
}

func (w *Writer) header(kind byte, n int64) {
	if w.fits(1) {
		w.buf = appendHeader(w.buf, kind, n)
	}
}

// appendHeader writes most headers, which are short, digit by digit.
func appendHeader(b []byte, kind byte, n int64) []byte {
	switch {
	case n < 0 || n > 999:
		return append(strconv.AppendInt(append(b, kind), n, 10), '\r', '\n')
	case n < 10:
		return append(b, kind, '0'+byte(n), '\r', '\n')
	case n < 100:
		return append(b, kind, '0'+byte(n/10), '0'+byte(n%10), '\r', '\n')
	}
	return append(b, kind, '0'+byte(n/100), '0'+byte(n/10%10), '0'+byte(n%10), '\r', '\n')
}

// line writes s and the line's end. A CR or LF within s would end the line early
// and let whoever chose s forge further replies.
func (w *Writer) line(s string) {
	from := len(w.buf)
	w.buf = append(w.buf, s...)
	for i, c := range w.buf[from:] {
		if c == '\r' || c == '\n' {
			w.buf[from+i] = ' '
		}
	}
	w.end()
}

func (w *Writer) end() { w.buf = append(w.buf, '\r', '\n') }

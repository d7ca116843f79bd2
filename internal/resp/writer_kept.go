package resp

// keptLeast is the size in bytes from which strings are kept: below that it is cheaper to copy them than to send them apart.
const keptLeast = 128 << 10

// kept is a string that a Writer has not copied.
type kept struct {
	at    int // bytes of buf before it
	bytes []byte
}

// BulkKept is Bulk for bytes that nobody changes any more: the Writer keeps large ones and does not copy them.
func (w *Writer) BulkKept(b []byte) {
	if len(b) < keptLeast {
		w.Bulk(b)
		return
	}
	if w.admits(len(b)) && w.fits(0) {
		w.header('$', int64(len(b)))
		w.strings = append(w.strings, kept{len(w.buf), b})
		w.apart += len(b)
		w.end()
	}
}

// Keeps reports whether the Writer has kept something that it has not copied. Then Take is cheaper than Bytes.
func (w *Writer) Keeps() bool { return len(w.strings) > 0 }

// Take returns in pieces what has been written since Reset, and empties the Writer. They are the caller's, but for
// what BulkKept was given, which nobody may change.
func (w *Writer) Take() [][]byte {
	pieces := make([][]byte, 0, 2*len(w.strings)+1)
	from := 0
	for _, s := range w.strings {
		pieces = append(pieces, w.buf[from:s.at:s.at], s.bytes)
		from = s.at
	}
	if from < len(w.buf) {
		pieces = append(pieces, w.buf[from:])
	}
	w.buf, w.own = w.own, nil
	w.Reset()
	return pieces
}

// Since returns what has been written since mark, a Len taken before, up to the first string that has been kept. It is
// valid as Bytes is.
func (w *Writer) Since(mark int) []byte {
	apart := 0
	for _, s := range w.strings {
		if s.at+apart >= mark {
			return w.buf[mark-apart : s.at]
		}
		apart += len(s.bytes)
	}
	return w.buf[mark-apart:]
}

// join copies what has been kept, after all.
func (w *Writer) join() {
	if len(w.strings) == 0 {
		return
	}
	whole, from := make([]byte, 0, w.Len()+writerFrame), 0
	for _, s := range w.strings {
		whole = append(append(whole, w.buf[from:s.at]...), s.bytes...)
		from = s.at
	}
	w.move(append(whole, w.buf[from:]...))
	w.strings, w.apart = nil, 0
}

// drop forgets what has been kept behind the first n bytes.
func (w *Writer) drop(n int) {
	for i := len(w.strings) - 1; i >= 0; i-- {
		s := w.strings[i]
		if s.at+w.apart-len(s.bytes) < n {
			return
		}
		w.strings[i] = kept{}
		w.strings, w.apart = w.strings[:i], w.apart-len(s.bytes)
	}
}

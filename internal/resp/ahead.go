package resp

// ReadAhead reads what arrives without handing it out, until reading fails: so whoever
// does not want a command yet learns that the peer has gone, or is woken by a read
// deadline. It returns that error, or ErrBacklog when more than most bytes wait to be
// handed out. Nothing is lost; Next goes on where it was. Commands that have been handed
// out become invalid.
func (r *Reader) ReadAhead(most int) error {
	for {
		if r.end-r.pos > most {
			return ErrBacklog
		}
		if len(r.buf)-r.end < bufferRoom {
			r.grow()
		}
		if err := r.read(); err != nil {
			return err
		}
	}
}

// grow doubles the buffer, so that bytes which nobody takes are copied a bounded number
// of times. (makeRoom goes by what the command at pos lacks; here that may be less than
// nothing.)
func (r *Reader) grow() {
	grown := make([]byte, max(2*(r.end-r.pos), bufferBase))
	r.end = copy(grown, r.buf[r.pos:r.end])
	r.buf, r.pos, r.full = grown, 0, false
}

package server

import (
	"encoding/binary"
	"errors"
)

// request is what a node asks the leader to carry out for one of its clients.
type request struct {
	user        string
	addr        string // of the client
	db          int
	proto       int // of the replies: 2 or 3
	noTouch     bool
	transaction bool     // the calls are those of a MULTI, and there is one reply
	lastWord    bool     // scripts are all there is: what is lacking nevertheless is an error
	scripts     [][]byte // that the calls may name by their digests
	calls       [][][]byte
}

// A request travels as
//
//	| format (1) | flags (1) | db (1) | user | addr | scripts (4): each … | calls (4): each | arguments (4): each … |
//
// in big endian, and each text has its length (4) before it. The numbers are part of the format; never change.
const (
	requestFormat = 1

	flagProto3      = 1 << 0
	flagNoTouch     = 1 << 1
	flagTransaction = 1 << 2
	flagLastWord    = 1 << 3
)

var errRequest = errors.New("server: a request of another node that is none, or of a later release")

func appendRequest(dst []byte, r *request) []byte {
	dst = append(dst, requestFormat, r.flags(), byte(r.db))
	dst = append(appendLength(dst, len(r.user)), r.user...)
	dst = append(appendLength(dst, len(r.addr)), r.addr...)
	dst = appendTexts(dst, r.scripts)
	dst = appendLength(dst, len(r.calls))
	for _, args := range r.calls {
		dst = appendTexts(dst, args)
	}
	return dst
}

func (r *request) flags() (flags byte) {
	set := func(flag byte, on bool) {
		if on {
			flags |= flag
		}
	}
	set(flagProto3, r.proto == 3)
	set(flagNoTouch, r.noTouch)
	set(flagTransaction, r.transaction)
	set(flagLastWord, r.lastWord)
	return flags
}

func appendLength(dst []byte, n int) []byte { return binary.BigEndian.AppendUint32(dst, uint32(n)) }

func appendTexts(dst []byte, texts [][]byte) []byte {
	dst = appendLength(dst, len(texts))
	for _, t := range texts {
		dst = append(appendLength(dst, len(t)), t...)
	}
	return dst
}

// parseRequest returns a request whose parts are those of b.
func parseRequest(b []byte) (*request, error) {
	if len(b) < 3 || b[0] != requestFormat {
		return nil, errRequest
	}
	flags, p := b[1], parts{rest: b[3:]}
	r := &request{db: int(b[2]), proto: 2, noTouch: flags&flagNoTouch != 0, transaction: flags&flagTransaction != 0, lastWord: flags&flagLastWord != 0}
	if flags&flagProto3 != 0 {
		r.proto = 3
	}
	r.user, r.addr, r.scripts = string(p.text()), string(p.text()), p.texts()
	r.calls = make([][][]byte, p.count())
	for i := range r.calls {
		if r.calls[i] = p.texts(); len(r.calls[i]) == 0 {
			p.bad = true
		}
	}
	if p.bad || len(p.rest) > 0 || len(r.calls) == 0 {
		return nil, errRequest
	}
	return r, nil
}

// parts reads what is behind one another, until something is not as it has to be.
type parts struct {
	rest []byte
	bad  bool
}

// count reads how many things follow, of which each takes at least the bytes of its own length.
func (p *parts) count() int {
	if p.bad || len(p.rest) < 4 {
		p.bad = true
		return 0
	}
	n := binary.BigEndian.Uint32(p.rest)
	p.rest = p.rest[4:]
	if uint64(n) > uint64(len(p.rest)/4) {
		p.bad = true
		return 0
	}
	return int(n)
}

func (p *parts) text() []byte {
	if p.bad || len(p.rest) < 4 {
		p.bad = true
		return nil
	}
	n := uint64(binary.BigEndian.Uint32(p.rest))
	p.rest = p.rest[4:]
	if n > uint64(len(p.rest)) {
		p.bad = true
		return nil
	}
	t := p.rest[:n:n]
	p.rest = p.rest[n:]
	return t
}

func (p *parts) texts() [][]byte {
	out := make([][]byte, p.count())
	for i := range out {
		out[i] = p.text()
	}
	return out
}

// answer is what the leader says to a request.
type answer struct {
	replies []byte // of the calls that were carried out; or why none was
	carried int    // so many calls were: all, or those before the replies became long
	status  status
}

// An answer travels as | replies … | carried (4) | status (1) |, since it ends when all that is known.
const answerEnd = 4 + 1

// status says how a request has fared. The numbers are part of the format; never change.
type status byte

const (
	carriedOut status = 0
	refused    status = 1 // nothing has happened, and the replies are the reason
	lacking    status = 2 // nothing has happened: a script that a call names is not known, or not any more
)

func appendAnswerEnd(dst []byte, carried int, s status) []byte {
	return append(appendLength(dst, carried), byte(s))
}

// parseAnswer returns the answer to a request of so many calls, with the replies of b.
func parseAnswer(b []byte, calls int) (a answer, err error) {
	n := len(b) - answerEnd
	if n < 0 {
		return a, errRequest
	}
	carried := binary.BigEndian.Uint32(b[n:])
	a = answer{b[:n:n], int(carried), status(b[n+4])}
	switch {
	case a.status > lacking, uint64(carried) > uint64(calls), (a.status == carriedOut) != (carried > 0):
		return a, errRequest
	}
	return a, nil
}

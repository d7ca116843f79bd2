package rdb

import "encoding/binary"

// LZF: a sequence of runs, each of them
//
//	| 000 n (5 bits) | n+1 bytes |                     those bytes
//	| n (3 bits) d (5 bits) | d (8) |                  n+2 bytes from d+1 bytes back, n from 1 to 6
//	| 111 d (5 bits) | n-7 (8) | d (8) |               the same, n from 7 on
const (
	lzfLiteralMost  = 1 << 5
	lzfMatchMin     = 3
	lzfMatchMost    = 7 + 255 + 2
	lzfDistanceMost = 1 << 13
	lzfHashBits     = 14
)

// lzfCompress adds the compressed form of src to dst, and reports whether that is
// smaller than src by at least gain bytes; if not, dst is as it was.
func lzfCompress(dst, src []byte, gain int) ([]byte, bool) {
	var seen [1 << lzfHashBits]int32 // position + 1 of the last bytes with this hash
	from, most := len(dst), len(src)-gain
	literal := 0 // where the bytes begin that no run has yet
	for i := 0; i+lzfMatchMin < len(src); {
		h := (binary.LittleEndian.Uint32(src[i:]) << 8) * 2654435761 >> (32 - lzfHashBits)
		at := int(seen[h]) - 1
		seen[h] = int32(i + 1)
		n := 0
		if at >= 0 && i-at <= lzfDistanceMost {
			n = matchLen(src, at, i)
		}
		if n < lzfMatchMin {
			i++
			continue
		}
		dst = appendLiterals(dst, src[literal:i])
		dst = appendMatch(dst, n, i-at)
		i += n
		literal = i
		if len(dst)-from > most {
			return dst[:from], false
		}
	}
	dst = appendLiterals(dst, src[literal:])
	if len(dst)-from > most {
		return dst[:from], false
	}
	return dst, true
}

func matchLen(src []byte, at, i int) int {
	n := 0
	for n < lzfMatchMost && i+n < len(src) && src[at+n] == src[i+n] {
		n++
	}
	return n
}

func appendLiterals(dst, b []byte) []byte {
	for len(b) > 0 {
		n := min(len(b), lzfLiteralMost)
		dst = append(append(dst, byte(n-1)), b[:n]...)
		b = b[n:]
	}
	return dst
}

func appendMatch(dst []byte, n, distance int) []byte {
	n, distance = n-2, distance-1
	if n < 7 {
		return append(dst, byte(n<<5|distance>>8), byte(distance))
	}
	return append(dst, byte(7<<5|distance>>8), byte(n-7), byte(distance))
}

// lzfExpand returns the n bytes that src is the compressed form of. It takes
// no more memory than src really expands to.
func lzfExpand(src []byte, n uint64) ([]byte, error) {
	const expandsTo = lzfMatchMost / 3 // bytes that one of src makes at most
	if n == 0 || n > (uint64(len(src))+1)*expandsTo {
		return nil, ErrFormat
	}
	out := make([]byte, 0, n)
	for len(src) > 0 {
		run, literal := int(src[0])+1, src[0] < lzfLiteralMost
		if literal && run < len(src) {
			out = append(out, src[1:1+run]...)
			src = src[1+run:]
		} else {
			length, distance, size := lzfMatch(src)
			if literal || size == 0 || distance > len(out) {
				return nil, ErrFormat
			}
			for range length { // it may run into what it makes
				out = append(out, out[len(out)-distance])
			}
			src = src[size:]
		}
		if uint64(len(out)) > n {
			return nil, ErrFormat
		}
	}
	if uint64(len(out)) != n {
		return nil, ErrFormat
	}
	return out, nil
}

// lzfMatch reads a run that repeats length bytes from some distance back. It is size bytes
// long, 0 if it is cut off.
func lzfMatch(src []byte) (length, distance, size int) {
	length, size = int(src[0]>>5), 2
	if length == 7 {
		size = 3
	}
	if len(src) < size {
		return 0, 0, 0
	}
	if length == 7 {
		length += int(src[1])
	}
	return length + 2, (int(src[0]&31)<<8 | int(src[size-1])) + 1, size
}

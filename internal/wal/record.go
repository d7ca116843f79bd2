package wal

import (
	"encoding/binary"
	"hash/crc32"
	"io"
)

// A record has a head, and its content behind that:
//
//	| CRC-32C of all that follows (4) | length of the content (4) | position of the record (8) | content |
//
// A file that is written again still has older records behind the last one; each has a lower position than one there would have.
const headSize = 4 + 4 + 8 // part of the format; never change

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func appendHead(dst []byte, at Position, content []byte) []byte {
	from := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(content)))
	dst = binary.BigEndian.AppendUint64(dst, uint64(at))
	sum := crc32.Update(crc32.Checksum(dst[from+4:], castagnoli), castagnoli, content)
	binary.BigEndian.PutUint32(dst[from:], sum)
	return dst
}

// records reads the records of a file.
type records struct {
	r    io.Reader
	at   Position // of the next one
	left int64    // bytes of the file
	text []byte   // a buffer
}

// next returns the content of the next record, valid until the next call, or false if there is no whole one.
func (r *records) next() (content []byte, ok bool, err error) {
	var head [headSize]byte
	if r.left < headSize {
		return nil, false, nil
	}
	if _, err := io.ReadFull(r.r, head[:]); err != nil {
		return nil, false, err
	}
	size := int64(binary.BigEndian.Uint32(head[4:]))
	if r.left -= headSize; size == 0 || size > r.left || Position(binary.BigEndian.Uint64(head[8:])) != r.at {
		return nil, false, nil
	}
	if int64(cap(r.text)) < size {
		r.text = make([]byte, max(size, 64<<10))
	}
	content = r.text[:size]
	if _, err := io.ReadFull(r.r, content); err != nil {
		return nil, false, err
	}
	r.left -= size
	if crc32.Update(crc32.Checksum(head[4:], castagnoli), castagnoli, content) != binary.BigEndian.Uint32(head[:]) {
		return nil, false, nil
	}
	r.at += Position(headSize + size)
	return content, true, nil
}

package store

import (
	"encoding/binary"
	"math"
)

// The tags of a stream's rows.
//
//	StreamMetaPrefix   len(4) userKey               -> Length(8) LastMs(8) LastSeq(8)
//	StreamEntryPrefix  len(4) userKey ms(8) seq(8)  -> entry
const (
	StreamMetaPrefix  = "!stream|meta|"  // part of the format; never change
	StreamEntryPrefix = "!stream|entry|" // part of the format; never change

	// StreamIDBytes is the width of an entry's ID. Being big endian, the bytes
	// of IDs order as the IDs do.
	StreamIDBytes = 16 // part of the format; never change
)

const (
	streamMetaKind  = wideKind(StreamMetaPrefix)
	streamEntryKind = wideKind(StreamEntryPrefix)
)

// streamMetaSize is the width of a stream's meta.
const streamMetaSize = 3 * 8 // part of the format; never change

// StreamMeta is the metadata of a stream. The last ID is the highest that was
// ever given out, also after its entry was removed, so that new IDs keep rising.
type StreamMeta struct {
	Length  int64 // entries
	LastMs  uint64
	LastSeq uint64
}

// MarshalStreamMeta encodes m in 24 bytes. A negative Length is an error.
func MarshalStreamMeta(m StreamMeta) ([]byte, error) {
	if m.Length < 0 {
		return nil, errLenRange("stream meta", m.Length)
	}
	b := make([]byte, 0, streamMetaSize)
	b = binary.BigEndian.AppendUint64(b, uint64(m.Length))
	b = binary.BigEndian.AppendUint64(b, m.LastMs)
	return binary.BigEndian.AppendUint64(b, m.LastSeq), nil
}

// UnmarshalStreamMeta decodes exactly 24 bytes and refuses a negative length.
func UnmarshalStreamMeta(b []byte) (StreamMeta, error) {
	if len(b) != streamMetaSize {
		return StreamMeta{}, sizeError("stream meta", len(b), streamMetaSize)
	}
	n := binary.BigEndian.Uint64(b)
	if n > math.MaxInt64 {
		return StreamMeta{}, errLenRange("stream meta", int64(n))
	}
	return StreamMeta{
		Length:  int64(n),
		LastMs:  binary.BigEndian.Uint64(b[8:]),
		LastSeq: binary.BigEndian.Uint64(b[16:]),
	}, nil
}

// EncodeStreamID returns an ID in StreamIDBytes bytes: ms, then seq.
func EncodeStreamID(ms, seq uint64) []byte {
	return appendStreamID(make([]byte, 0, StreamIDBytes), ms, seq)
}

// DecodeStreamID decodes exactly StreamIDBytes bytes.
func DecodeStreamID(b []byte) (ms, seq uint64, ok bool) {
	if len(b) != StreamIDBytes {
		return 0, 0, false
	}
	return binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:]), true
}

func appendStreamID(dst []byte, ms, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(dst, ms), seq)
}

// StreamMetaKey returns the key of a stream's metadata.
func StreamMetaKey(userKey []byte) []byte { return streamMetaKind.prefix(userKey, 0) }

// AppendStreamMetaKey appends StreamMetaKey to dst.
func AppendStreamMetaKey(dst, userKey []byte) []byte { return streamMetaKind.append(dst, userKey) }

// StreamEntryKey returns the key of the entry with the given ID.
func StreamEntryKey(userKey []byte, ms, seq uint64) []byte {
	return appendStreamID(streamEntryKind.prefix(userKey, StreamIDBytes), ms, seq)
}

// AppendStreamEntryKey appends StreamEntryKey to dst.
func AppendStreamEntryKey(dst, userKey []byte, ms, seq uint64) []byte {
	return appendStreamID(streamEntryKind.append(dst, userKey), ms, seq)
}

// StreamEntryScanPrefix returns the prefix of the keys of all entries of a stream.
func StreamEntryScanPrefix(userKey []byte) []byte { return streamEntryKind.prefix(userKey, 0) }

// IsStreamMetaKey reports whether key has StreamMetaPrefix.
func IsStreamMetaKey(key []byte) bool { return streamMetaKind.matches(key) }

// IsStreamEntryKey reports whether key has StreamEntryPrefix.
func IsStreamEntryKey(key []byte) bool { return streamEntryKind.matches(key) }

// ExtractStreamEntryID returns the ID of an entry key of userKey.
func ExtractStreamEntryID(entryKey, userKey []byte) (ms, seq uint64, ok bool) {
	id, ok := streamEntryKind.tailOf(entryKey, userKey)
	if !ok {
		return 0, 0, false
	}
	return DecodeStreamID(id)
}

// ExtractStreamUserKeyFromMeta returns the user key of a meta key, or nil. The
// result aliases key.
func ExtractStreamUserKeyFromMeta(key []byte) []byte { return streamMetaKind.userKey(key, 0) }

// ExtractStreamUserKeyFromEntry returns the user key of an entry key, or nil. The
// result aliases key.
func ExtractStreamUserKeyFromEntry(key []byte) []byte {
	return streamEntryKind.userKey(key, StreamIDBytes)
}

package rdb

import (
	"encoding/binary"
	"hash/crc64"
)

// A payload ends in the version of the format and a checksum over all before it:
//
//	| type (1) | value … | version (2) | CRC-64 (8) |     little endian
const footerSize = 2 + 8

// Versions of the format. Version 11 added when consumers of streams got something last, 12 fields of hashes that expire.
const (
	versionWritten  = 10
	versionActive   = 11
	versionExpiring = 12
	versionMost     = 12
)

// jones is the table of the CRC-64 with Jones' polynomial, reflected.
var jones = crc64.MakeTable(0x95ac9329ac4bc9b5)

// checksum is the CRC-64 as Redis starts and ends it: with 0, where package
// crc64 inverts.
func checksum(b []byte) uint64 { return ^crc64.Update(^uint64(0), jones, b) }

func appendFooter(dst []byte, version uint16) []byte {
	dst = binary.LittleEndian.AppendUint16(dst, version)
	return binary.LittleEndian.AppendUint64(dst, checksum(dst))
}

// body returns a payload without its footer.
func body(payload []byte) ([]byte, error) {
	n := len(payload) - footerSize
	if n < 0 {
		return nil, ErrFooter
	}
	sum := binary.LittleEndian.Uint64(payload[n+2:])
	if binary.LittleEndian.Uint16(payload[n:]) > versionMost || sum != checksum(payload[:n+2]) {
		return nil, ErrFooter
	}
	return payload[:n], nil
}

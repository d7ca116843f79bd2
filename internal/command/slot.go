package command

import "bytes"

// Slots is how many hash slots there are, as clients of clusters know them.
const Slots = 16384

// Slot returns the hash slot of a key: the CRC-16 (XMODEM) of what stands between its first { and the next }, or of all of
// it if nothing does.
func Slot(key []byte) int {
	if _, rest, found := bytes.Cut(key, []byte("{")); found {
		if tag, _, closed := bytes.Cut(rest, []byte("}")); closed && len(tag) > 0 {
			key = tag
		}
	}
	var sum uint16
	for _, b := range key {
		sum = sum<<8 ^ crc16[byte(sum>>8)^b]
	}
	return int(sum) % Slots
}

var crc16 = func() (table [256]uint16) {
	for i := range table {
		sum := uint16(i) << 8
		for range 8 {
			high := sum&0x8000 != 0
			if sum <<= 1; high {
				sum ^= 0x1021
			}
		}
		table[i] = sum
	}
	return table
}()

package keyspace

import "strconv"

// How Redis limits a listpack, the compact form of a list. It has a header and
// an end mark besides its entries.
const (
	listpackFrame       = 7       // bytes
	listpackEntryMin    = 2       // bytes
	listpackSizeMin     = 4 << 10 // bytes, of size class -1; each further class has twice that
	listpackClassMax    = 5
	listpackEntriesSize = 8 << 10 // bytes, of one that is limited by entries
)

// listEncoding is the encoding of the list at key: compact while Redis could
// keep the elements that the list has now in one listpack. Only OBJECT ENCODING
// asks, so it is worked out from the elements when it does, and pushes carry no
// count of bytes. Where Redis is slow to go back from a quicklist to a listpack,
// this goes back at once.
func (s *Space) listEncoding(key []byte) (encoding, error) {
	l, err := s.List(key)
	if err != nil {
		return encCompact, err
	}
	size, fits := listpackLimit(s.shared.limits.ListMaxListpackSize, l.n)
	if !fits || l.n > size/listpackEntryMin {
		return encLarge, nil
	}
	size -= listpackFrame
	err = l.Walk(ListRange{0, l.n}, Left, func(_ int64, value []byte) bool {
		size -= listpackEntrySize(value)
		return size >= 0
	})
	if size < 0 {
		return encLarge, err
	}
	return encCompact, err
}

// listpackLimit returns the size in bytes that the setting list-max-listpack-size
// allows a listpack, and whether it allows one of n entries.
func listpackLimit(setting int, n int64) (size int64, fits bool) {
	if setting < 0 {
		return listpackSizeMin << (min(-setting, listpackClassMax) - 1), true
	}
	return listpackEntriesSize, n <= int64(max(setting, 1))
}

// listpackEntrySize is the number of bytes that value takes in a listpack: what
// it is, its bytes unless it is an integer, and the length of both for walking back.
func listpackEntrySize(value []byte) int64 {
	n := int64(len(value))
	if size := listpackIntSize(value); size > 0 {
		n = size
	} else if n < 1<<6 {
		n++
	} else if n < 1<<12 {
		n += 2
	} else {
		n += 5
	}
	back := int64(1)
	for rest := n >> 7; rest > 0 && back < 5; rest >>= 7 {
		back++
	}
	return n + back
}

// listpackIntSize is the number of bytes of an integer in a listpack, 0 if value
// is not one in its shortest notation.
func listpackIntSize(value []byte) int64 {
	if len(value) > intDigitsMax {
		return 0
	}
	i, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil || strconv.FormatInt(i, 10) != string(value) {
		return 0
	}
	for _, c := range []struct{ low, high, size int64 }{
		{0, 1<<7 - 1, 1},
		{-1 << 12, 1<<12 - 1, 2},
		{-1 << 15, 1<<15 - 1, 3},
		{-1 << 23, 1<<23 - 1, 4},
		{-1 << 31, 1<<31 - 1, 5},
	} {
		if c.low <= i && i <= c.high {
			return c.size
		}
	}
	return 9
}

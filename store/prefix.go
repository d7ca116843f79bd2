package store

// PrefixScanEnd returns an end for a scan from prefix: prefix with its last
// byte incremented, the carry running to the left, and its length kept
// ("a\xff" gives "b\x00"). An empty prefix and one of 0xFF bytes only have no
// such end: nil, which a scan takes as unbounded.
//
// After a carry the end lies a little above the prefix's last key: "b" is below
// "b\x00". A prefix that does not end in 0xFF is covered exactly; PrefixSpan
// covers every prefix exactly.
func PrefixScanEnd(prefix []byte) []byte {
	end := prefixEnd(prefix)
	if end == nil {
		return nil
	}
	return append(end, make([]byte, len(prefix)-len(end))...)
}

// prefixEnd returns the least key above every key that begins with prefix, or
// nil if there is none.
func prefixEnd(prefix []byte) []byte {
	n := len(prefix)
	for n > 0 && prefix[n-1] == 0xFF {
		n--
	}
	if n == 0 {
		return nil
	}
	end := append(make([]byte, 0, len(prefix)), prefix[:n]...)
	end[n-1]++
	return end
}

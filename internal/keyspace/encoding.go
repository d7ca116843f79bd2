package keyspace

import "strconv"

// encoding is what OBJECT ENCODING distinguishes within one type. It says
// nothing of the layout of rows. A key only ever moves to a larger one, as in
// Redis. The numbers are part of the format; never change.
type encoding byte

const (
	encCompact   encoding = 0 // listpack; intset for a set; by its bytes for a string
	encListpack  encoding = 1 // of a set that is not all integers
	encLarge     encoding = 2 // hashtable, skiplist, quicklist
	encRaw       encoding = 3 // of a string that was modified in place
	encSigned    encoding = 3 // of a large sorted set in which a member has had the score minus zero
	embstrMax             = 44
	intDigitsMax          = 20
)

// Encoding returns what Redis 7.2 calls the encoding of a key, and whether the key is there.
func (s *Space) Encoding(key []byte) (string, bool, error) {
	e, ok, err := s.find(key)
	if err != nil || !ok {
		return "", false, err
	}
	switch e.kind {
	case KindString:
		return stringEncoding(e), true, nil
	case KindSet:
		return [...]string{"intset", "listpack", "hashtable"}[min(e.enc, encLarge)], true, nil
	case KindList:
		if e.enc, err = s.listEncoding(key); err != nil {
			return "", false, err
		}
	case KindStream:
		return "stream", true, nil
	}
	if e.enc == encCompact && e.expiring().count > 0 {
		return "listpackex", true, nil
	}
	if e.enc == encCompact {
		return "listpack", true, nil
	}
	return map[Kind]string{KindHash: "hashtable", KindZSet: "skiplist", KindList: "quicklist"}[e.kind], true, nil
}

func stringEncoding(e entry) string {
	if e.enc == encRaw {
		return "raw"
	}
	if isInteger(e.body) {
		return "int"
	}
	if len(e.body) <= embstrMax {
		return "embstr"
	}
	return "raw"
}

// isInteger reports whether b is a 64-bit integer, written as it is printed.
func isInteger(b []byte) bool {
	if len(b) == 0 || len(b) > intDigitsMax {
		return false
	}
	n, err := strconv.ParseInt(string(b), 10, 64)
	return err == nil && strconv.FormatInt(n, 10) == string(b)
}

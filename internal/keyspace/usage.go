package keyspace

import (
	"math"

	"github.com/elastickv/elastickv/internal/txn"
	"github.com/elastickv/elastickv/store"
)

// Usage returns how many bytes the names and values of a key's rows have, and
// whether the key is there. Of a collection with more than samples elements the
// mean of the first samples stands for the rest; 0 counts all.
func (s *Space) Usage(key []byte, samples int) (int64, bool, error) {
	e, ok, err := s.find(key)
	if err != nil || !ok {
		return 0, false, err
	}
	n, err := s.usage(key, e, samples)
	return n, err == nil, err
}

func (s *Space) usage(key []byte, e entry, samples int) (int64, error) {
	if samples == 0 {
		samples = math.MaxInt
	}
	total := int64(len(s.lookupName(key)) + 1 + len(e.body))
	length, err := s.length(key, e)
	if err != nil {
		return 0, err
	}
	home := e.homeOf(key)
	for i, p := range s.collectionPrefixes(e.kind, home) {
		rows := length
		switch {
		case i == 0: // the row of the length
			rows = 1
		case i == 2 && e.kind == KindStream: // a row for each run of entries, and of what groups have
			rows = 0
		}
		n, err := s.usageOf(p, rows, samples)
		if err != nil {
			return 0, err
		}
		total += n
	}
	if count := e.expiring().count; count > 0 {
		n, err := s.usageOf(s.fieldTTLScan(home), count, samples)
		return total + n, err
	}
	if e.counted() {
		n, err := s.usageOf(s.countScan(home, 0), 0, samples)
		return total + n, err
	}
	return total, nil
}

// usageOf returns the bytes of the rows that begin with prefix. rows says how many there are;
// 0 if nobody knows, and then all are looked at.
func (s *Space) usageOf(prefix []byte, rows int64, samples int) (int64, error) {
	var sampled, bytes int64
	err := s.tx.Walk(store.PrefixSpan(prefix), store.Ascending, func(name []byte, r txn.Row) bool {
		if rows > 0 && sampled >= int64(samples) {
			return false
		}
		sampled++
		bytes += int64(len(name) + len(r.Value))
		return true
	})
	if sampled == 0 || sampled >= rows {
		return bytes, err
	}
	return int64(float64(bytes) / float64(sampled) * float64(rows)), err
}

// length returns the number of rows that a collection whose entry is e has for its elements, 0
// for a string.
func (s *Space) length(key []byte, e entry) (int64, error) {
	c := s.collection(key, e)
	switch e.kind {
	case KindHash, KindSet, KindZSet:
		return c.metaLen()
	case KindList:
		l := &List{collection: c, name: s.listName(c.home)}
		err := l.readMeta()
		return l.n, err
	case KindStream:
		st := &Stream{collection: c}
		err := st.read()
		return st.Len(), err
	}
	return 0, nil
}

// How closely the size of all databases is estimated.
const (
	datasetWalk   = 1 << 12 // rows that are counted if there are no more
	datasetSample = 16      // keys of a database that stand for all of it
	usageSample   = 16      // elements of a collection that stand for all of it
)

// DatasetSize returns the bytes of the rows of all databases. Of many it is an estimate, from a few
// random keys: it costs the same for any number.
func (s *Space) DatasetSize(rnd Random) (int64, error) {
	total, whole, err := s.tx.RowsSize(datasetWalk)
	if err != nil || whole {
		return total, err
	}
	total = 0
	for db := range Databases {
		n, err := s.DB(db).sampledSize(rnd)
		if err != nil {
			return 0, err
		}
		total += n
	}
	return total, nil
}

func (s *Space) sampledSize(rnd Random) (int64, error) {
	size, err := s.Size()
	if err != nil || size.Keys == 0 {
		return 0, err
	}
	var bytes, keys int64
	for range datasetSample {
		key, ok, err := s.Random(rnd)
		if err != nil || !ok {
			return 0, err
		}
		e, ok, err := s.lookUp(key)
		if err != nil {
			return 0, err
		}
		if !ok {
			continue
		}
		n, err := s.usage(key, e, usageSample)
		if err != nil {
			return 0, err
		}
		if e.expireAt != 0 {
			n += int64(len(s.ttlName(e.expireAt, key)))
		}
		bytes += n
		keys++
	}
	return int64(float64(bytes) / float64(max(keys, 1)) * float64(size.Keys)), nil
}

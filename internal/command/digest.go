package command

import (
	"bytes"
	"crypto/sha1"
	"encoding/binary"
	"encoding/hex"
	"math"
	"strconv"

	"github.com/elastickv/elastickv/internal/keyspace"
	"github.com/elastickv/elastickv/internal/rdb"
)

// Digest stands for a value, or for all keys. It is the one that DEBUG DIGEST of Redis
// makes of the same data, so that servers can be compared.
type Digest [sha1.Size]byte

func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// xor adds something whose place among others does not matter.
func (d *Digest) xor(b []byte) {
	sum := sha1.Sum(b)
	for i := range d {
		d[i] ^= sum[i]
	}
}

// mix adds something that comes behind what was there before.
func (d *Digest) mix(b []byte) {
	d.xor(b)
	*d = sha1.Sum(d[:])
}

// digestKinds are Redis' numbers of types.
var digestKinds = map[keyspace.Kind]uint32{
	keyspace.KindString: 0, keyspace.KindList: 1, keyspace.KindSet: 2, keyspace.KindZSet: 3, keyspace.KindHash: 4, keyspace.KindStream: 6,
}

// DigestValue returns the digest of a key's value, zero if the key is not there.
func DigestValue(keys *keyspace.Space, key []byte) (Digest, error) {
	var d Digest
	return d, d.addValue(keys, key)
}

// DigestAll returns the digest of all databases.
func DigestAll(root *keyspace.Space) (Digest, error) {
	var d Digest
	for db := range keyspace.Databases {
		keys := root.DB(db)
		first := true
		err := eachKeyPaged(keys, func(key []byte) error {
			if first {
				d.mix(binary.BigEndian.AppendUint32(nil, uint32(db)))
				first = false
			}
			var one Digest
			one.mix(key)
			err := one.addValue(keys, key)
			d.xor(one[:])
			return err
		})
		if err != nil {
			return d, err
		}
	}
	return d, nil
}

// eachKeyPaged calls fn, which may read, for every key of a database.
func eachKeyPaged(keys *keyspace.Space, fn func(key []byte) error) error {
	const pageLen = 256
	for start := []byte(nil); ; {
		var page [][]byte
		err := keys.Walk(nil, start, func(key []byte, _ keyspace.Kind) bool {
			page = append(page, bytes.Clone(key))
			return len(page) < pageLen
		})
		if err != nil {
			return err
		}
		for _, key := range page {
			if err := fn(key); err != nil {
				return err
			}
		}
		if len(page) < pageLen {
			return nil
		}
		start = append(page[pageLen-1], 0)
	}
}

// addValue adds the value of a key, if that is there, and whether it expires.
func (d *Digest) addValue(keys *keyspace.Space, key []byte) error {
	kind, err := keys.Kind(key)
	if err != nil || kind == keyspace.KindNone {
		return err
	}
	c := &Ctx{Keys: keys, Env: &Env{MaxBulk: math.MaxInt64}}
	v, err := c.dumped(key)
	if err != nil {
		return err
	}
	d.mix(binary.BigEndian.AppendUint32(nil, digestKinds[kind]))
	d.add(v)
	at, _, err := keys.Expiry(key)
	if at != 0 {
		d.xor([]byte("!!expire!!"))
	}
	return err
}

func (d *Digest) add(v rdb.Value) {
	switch v := v.(type) {
	case rdb.String:
		d.mix(v)
	case rdb.List:
		for _, e := range v {
			d.mix(e)
		}
	case rdb.Set:
		for _, m := range v.Members {
			d.xor(m)
		}
	case rdb.ZSet:
		for _, m := range v.Members {
			d.addPair(m.Name, scoreOf17(m.Score))
		}
	case rdb.Hash:
		for _, f := range v.Fields {
			if f.ExpireAt != 0 {
				d.addPair(f.Name, f.Value, "!!hexpire!!")
				continue
			}
			d.addPair(f.Name, f.Value)
		}
	case *rdb.Stream:
		for _, e := range v.Entries {
			d.mix([]byte(strconv.FormatUint(e.ID.Ms, 10) + "." + strconv.FormatUint(e.ID.Seq, 10)))
			for _, f := range e.Fields {
				d.mix(f)
			}
		}
	}
}

// addPair adds two things that belong together, with marks, in whatever place.
func (d *Digest) addPair(a, b []byte, mark ...string) {
	var pair Digest
	pair.mix(a)
	pair.mix(b)
	for _, m := range mark {
		pair.xor([]byte(m))
	}
	d.xor(pair[:])
}

// scoreOf17 prints a score as C does with %.17g.
func scoreOf17(score float64) []byte {
	if math.IsInf(score, 0) {
		return []byte(map[bool]string{true: "inf", false: "-inf"}[score > 0])
	}
	return strconv.AppendFloat(nil, score, 'g', 17, 64)
}

// PayloadLen returns how many bytes the payload that DUMP answers has, without its type and footer.
func PayloadLen(keys *keyspace.Space, key []byte) (int, error) {
	c := &Ctx{Keys: keys, Env: &Env{MaxBulk: math.MaxInt64}}
	v, err := c.dumped(key)
	if err != nil || v == nil {
		return 0, err
	}
	return rdb.Len(v), nil
}

package main

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"

	"github.com/elastickv/elastickv/internal/resp"
)

const (
	ycsbFields    = 10
	ycsbFieldSize = 100
	ycsbScanMost  = 100
	ycsbIndex     = "usertable"
)

// table is the records of YCSB in one server.
type table struct {
	loaded *zipf        // chooses among those that were there first
	count  atomic.Int64 // of records; those below are there, but for those being inserted right now
	newest *zipf        // how far behind the newest one a record of D lies
}

// ycsb has the core workloads, in the order that YCSB recommends. E comes last because D inserts more.
func ycsb(o *mixesCommand) scene {
	t := &table{loaded: newZipf(o.records), newest: newZipf(o.records)}
	t.count.Store(int64(o.records))
	return scene{
		fill: func(ctx context.Context, s *server) error {
			return s.fill(ctx, o.records, func(w *worker, i int) {
				w.add(append([]string{"HSET", userKey(i)}, record(i)...)...)
				w.add("ZADD", ycsbIndex, "0", userKey(i))
			})
		},
		mixes: []mix{
			{name: "YCSB A: 50% read, 50% update", op: either(.5, t.read, t.update)},
			{name: "YCSB B: 95% read, 5% update", op: either(.95, t.read, t.update)},
			{name: "YCSB C: read", op: t.read},
			{name: "YCSB F: 50% read, 50% read and update", op: either(.5, t.read, t.readAndUpdate)},
			{name: "YCSB D: 95% read of the newest, 5% insert", op: either(.95, t.readNewest, t.insert)},
			{name: "YCSB E: 95% scan, 5% insert", op: either(.95, t.scan, t.insert)},
		},
	}
}

// either does one of two by chance.
func either(share float64, first, second operation) operation {
	return func(w *worker) error {
		if w.rng.Float64() < share {
			return first(w)
		}
		return second(w)
	}
}

// userKey returns the key of a record. Neighbours by number are none in order.
func userKey(i int) string { return fmt.Sprintf("user%016x", uint64(i)*0x9e3779b97f4a7c15) }

func fieldName(i int) string { return "field" + strconv.Itoa(i) }

// record returns the fields of a record and their values.
func record(i int) []string {
	fields := make([]string, 0, 2*ycsbFields)
	for f := range ycsbFields {
		fields = append(fields, fieldName(f), value(i*ycsbFields+f, ycsbFieldSize))
	}
	return fields
}

func (t *table) read(w *worker) error { return readRecord(w, userKey(t.loaded.scattered(w.rng))) }

func readRecord(w *worker, key string) error {
	v, err := w.do("HGETALL", key)
	if err == nil && len(v.Elems) != 2*ycsbFields {
		err = wrongAnswer(v, "HGETALL", key)
	}
	return err
}

func (t *table) update(w *worker) error { return updateRecord(w, userKey(t.loaded.scattered(w.rng))) }

func updateRecord(w *worker, key string) error {
	field := fieldName(w.rng.IntN(ycsbFields))
	v, err := w.do("HSET", key, field, value(w.rng.IntN(1<<30), ycsbFieldSize))
	if err == nil && v.Int != 0 {
		err = wrongAnswer(v, "HSET", key, field)
	}
	return err
}

func (t *table) readAndUpdate(w *worker) error {
	key := userKey(t.loaded.scattered(w.rng))
	if err := readRecord(w, key); err != nil {
		return err
	}
	return updateRecord(w, key)
}

// insert adds the next record.
func (t *table) insert(w *worker) error {
	i := int(t.count.Add(1)) - 1
	if _, err := w.do(append([]string{"HSET", userKey(i)}, record(i)...)...); err != nil {
		return err
	}
	_, err := w.do("ZADD", ycsbIndex, "0", userKey(i))
	return err
}

// readNewest reads one of the newest records. The very newest may not be there yet.
func (t *table) readNewest(w *worker) error {
	_, err := w.do("HGETALL", userKey(max(0, int(t.count.Load())-1-t.newest.rank(w.rng))))
	return err
}

// scan reads up to ycsbScanMost records from one on, in the order of keys.
func (t *table) scan(w *worker) error {
	start, limit := userKey(t.loaded.scattered(w.rng)), strconv.Itoa(1+w.rng.IntN(ycsbScanMost))
	keys, err := w.do("ZRANGE", ycsbIndex, "["+start, "+", "BYLEX", "LIMIT", "0", limit)
	if err != nil {
		return err
	}
	if len(keys.Elems) == 0 || keys.Elems[0].Kind != resp.KindBulk || keys.Elems[0].Str != start {
		return wrongAnswer(keys, "ZRANGE", ycsbIndex, start)
	}
	for _, key := range keys.Elems {
		if err := readRecord(w, key.Str); err != nil {
			return err
		}
	}
	return nil
}

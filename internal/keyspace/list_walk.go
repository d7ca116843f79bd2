package keyspace

import (
	"bytes"

	"github.com/elastickv/elastickv/internal/txn"
	"github.com/elastickv/elastickv/store"
)

// ListRange is the elements of a list whose indices are in [From, To).
type ListRange struct{ From, To int64 }

// Walk calls fn for the elements of r with their indices, beginning at the given
// side of r, until fn returns false. It touches no others. r must lie within the
// list. fn must not write; value is valid only during the call.
func (l *List) Walk(r ListRange, from Side, fn func(i int64, value []byte) bool) error {
	if r.From >= r.To {
		return nil
	}
	i, step := r.From, int64(1)
	if from == Right {
		i, step = r.To-1, -1
	}
	stopped, skip := false, len(dbPrefix(l.s.place()))
	var gap error
	span := store.Span{Start: l.itemName(r.From), End: l.itemName(r.To)}
	err := l.s.tx.Walk(span, from.order(), func(name []byte, row txn.Row) bool {
		if seq, ok := store.ExtractListItemSeq(name[skip:], l.name); !ok || seq != l.head+i {
			gap = l.errGap(i)
			return false
		}
		stopped = !fn(i, row.Value)
		i += step
		return !stopped
	})
	if err == nil && gap == nil && !stopped && i >= r.From && i < r.To {
		gap = l.errGap(i)
	}
	if err != nil {
		return err
	}
	return gap
}

// collect returns copies of the elements of r, those at the given side first.
func (l *List) collect(r ListRange, from Side) ([][]byte, error) {
	values := make([][]byte, 0, max(r.To-r.From, 0))
	err := l.Walk(r, from, func(_ int64, value []byte) bool {
		values = append(values, bytes.Clone(value))
		return true
	})
	return values, err
}

package test

import (
	"slices"
	"strconv"

	"github.com/elastickv/elastickv/internal/resp"
)

// as72 returns a reply of a real redis-server as Redis 7.2 makes it: 7.0 prints doubles with 17 digits, 7.2 with as few as
// read back as the same number. Nothing else that is compared with a real server is changed. In protocol 2 doubles are strings; one that
// looks like what 7.0 prints is taken for a double.
func as72(v resp.Value) resp.Value {
	switch v.Kind {
	case resp.KindDouble, resp.KindBulk:
		f, err := strconv.ParseFloat(v.Str, 64)
		if err == nil && strconv.FormatFloat(f, 'g', 17, 64) == v.Str {
			v.Str = resp.FormatDouble(f)
		}
	}
	if len(v.Elems) > 0 {
		v.Elems = slices.Clone(v.Elems)
		for i := range v.Elems {
			v.Elems[i] = as72(v.Elems[i])
		}
	}
	return v
}

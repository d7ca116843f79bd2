package test

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/elastickv/elastickv/internal/resp"
	"github.com/elastickv/elastickv/internal/testkit"
)

// redisVersion returns the version of a real redis-server, as blocks of scripts name it: 7.2 for that and later ones, 7.0 for those
// before. One of 7.0 is not asked what 7.2 has changed: in script files those are blocks, elsewhere names on a list.
func redisVersion(t testing.TB, addr string) string {
	t.Helper()
	c := testkit.Dial(t, addr, 2)
	info := c.MustDo(t, "INFO", "server").Str
	c.Close() // scripts count connections
	_, version, _ := strings.Cut(info, "redis_version:")
	major, rest, _ := strings.Cut(version, ".")
	minor, _, _ := strings.Cut(rest, ".")
	a, errA := strconv.Atoi(major)
	b, errB := strconv.Atoi(minor)
	switch {
	case errA != nil || errB != nil:
		t.Fatalf("redis-server does not tell its version:\n%s", info)
	case a > 7 || a == 7 && b >= 2:
		return "7.2"
	}
	return "7.0"
}

// as72 returns a reply of a real redis-server as Redis 7.2 makes it: 7.0 prints doubles with 17 digits, 7.2 with as few as
// read back as the same number. No other reply of a real server is changed. In protocol 2 doubles are strings; one that
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

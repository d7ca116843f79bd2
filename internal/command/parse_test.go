package command

import (
	"math"
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

func TestParseInt(t *testing.T) {
	for _, s := range []string{"0", "-1", "9223372036854775807", "-9223372036854775808", "10"} {
		n, err := parseInt([]byte(s))
		if err != nil || strconv.FormatInt(n, 10) != s {
			t.Errorf("parseInt(%q) = %d, %v", s, n, err)
		}
	}
	for _, s := range []string{"", "-", "+1", "01", "-0", "-01", " 1", "1 ", "1.0", "1e3", "0x1", "9223372036854775808", "1_0", "\x001"} {
		if n, err := parseInt([]byte(s)); err != ErrNotInteger {
			t.Errorf("parseInt(%q) = %d, %v; want ErrNotInteger", s, n, err)
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		want := rapid.Int64().Draw(rt, "n")
		if got, err := parseInt(formatInt(want)); err != nil || got != want {
			rt.Fatalf("parseInt(%d) = %d, %v", want, got, err)
		}
	})
}

func TestParseFloat(t *testing.T) {
	for s, want := range map[string]float64{
		"0": 0, "-1.5": -1.5, "1e3": 1000, ".5": .5, "5.": 5, "+1": 1, "inf": math.Inf(1), "-inf": math.Inf(-1),
		"+Infinity": math.Inf(1), "0x10": 16, "-0x1.8p1": -3,
	} {
		if got, err := parseFloat([]byte(s)); err != nil || got != want {
			t.Errorf("parseFloat(%q) = %v, %v; want %v", s, got, err, want)
		}
	}
	for _, s := range []string{"", " 1", "1 ", "abc", "1_000", "nan", "1e400", "1e-400", "0x", "--1", "1e", "1,5"} {
		if got, err := parseFloat([]byte(s)); err != ErrNotFloat {
			t.Errorf("parseFloat(%q) = %v, %v; want ErrNotFloat", s, got, err)
		}
	}
}

func TestMoment(t *testing.T) {
	const now = 1_700_000_000_000
	for _, c := range []struct {
		u    unit
		n    int64
		want int64
		ok   bool
	}{
		{inSeconds, 10, now + 10_000, true},
		{inMillis, -10, now - 10, true},
		{atSeconds, 5, 5000, true},
		{atMillis, 5, 5, true},
		{inSeconds, math.MaxInt64, 0, false},
		{inSeconds, math.MinInt64, 0, false},
		{inMillis, math.MaxInt64, 0, false},
		{inMillis, math.MinInt64, math.MinInt64 + now, true},
		{atMillis, math.MaxInt64, maxMoment, true},
		{inSeconds, 1 << 50, maxMoment, true},
	} {
		if got, ok := c.u.moment(c.n, now); got != c.want || ok != c.ok {
			t.Errorf("%+v: %d is %d, %v; want %d, %v", c.u, c.n, got, ok, c.want, c.ok)
		}
	}
}

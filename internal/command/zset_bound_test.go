package command

import (
	"math"
	"testing"
)

func TestParseScoreBound(t *testing.T) {
	inf := math.Inf(1)
	for _, c := range []struct {
		in   string
		want float64
		open bool
	}{
		{"1", 1, false},
		{"(1", 1, true},
		{"-inf", -inf, false},
		{"(+inf", inf, true},
		{"Infinity", inf, false},
		{"", 0, false},
		{"(", 0, true},
		{" 1", 1, false},
		{"(\t\n-1.5", -1.5, true},
		{"2\x00junk", 2, false},
		{"\x00", 0, false},
		{"1e400", inf, false},
		{"-1e400", -inf, false},
		{"1e-400", 0, false},
		{"0x1.8", 1.5, false},
	} {
		score, open, err := parseScoreBound([]byte(c.in))
		if err != nil || score != c.want || open != c.open {
			t.Errorf("parseScoreBound(%q) = %v, %v, %v; want %v, %v", c.in, score, open, err, c.want, c.open)
		}
	}
	for _, in := range []string{"x", "1 ", " ", "( ", "((1", "[1", "nan", "(nan", "1_0", "--1", "1x", "0x", "1,5"} {
		if score, open, err := parseScoreBound([]byte(in)); err != ErrMinMaxFloat {
			t.Errorf("parseScoreBound(%q) = %v, %v, %v; want ErrMinMaxFloat", in, score, open, err)
		}
	}
}

func FuzzParseScoreBound(f *testing.F) {
	for _, s := range []string{"1", "(1", "-inf", "", "(", " 1", "2\x00x", "1e400", "0x1p4", "nan"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		score, _, err := parseScoreBound(in)
		if err == nil && math.IsNaN(score) {
			t.Errorf("parseScoreBound(%q) is not a number", in)
		}
	})
}

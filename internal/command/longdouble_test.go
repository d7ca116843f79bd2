package command

import (
	"bufio"
	"os"
	"strings"
	"testing"
)

// TestAddLongDouble compares with sums that a real server computed: lines of
// two numbers and what HINCRBYFLOAT answered, separated by tabs.
func TestAddLongDouble(t *testing.T) {
	f, err := os.Open("testdata/longdouble.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	n := 0
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "#") {
			continue
		}
		part := strings.Split(lines.Text(), "\t")
		if len(part) != 3 {
			t.Fatalf("line %q has %d parts, want 3", lines.Text(), len(part))
		}
		got, err := addLongDouble([]byte(part[0]), []byte(part[1]))
		text := string(got)
		switch err {
		case ErrNotFloat:
			text = "not a float"
		case ErrIncrNaN:
			text = "NaN or Infinity"
		}
		if text != part[2] {
			t.Errorf("%.60s + %.60s = %s, want %s", part[0], part[1], text, part[2])
		}
		n++
	}
	if err := lines.Err(); err != nil || n < 500 {
		t.Fatalf("read %d sums, error %v", n, err)
	}
}

func TestAddLongDoubleToNothing(t *testing.T) {
	got, err := addLongDouble(nil, []byte("10.50"))
	if string(got) != "10.5" || err != nil {
		t.Errorf("nothing + 10.50 = %q, %v; want 10.5", got, err)
	}
	if _, err := addLongDouble([]byte{}, []byte("1")); err != ErrNotFloat {
		t.Errorf("empty string + 1: error %v, want %v", err, ErrNotFloat)
	}
}

func FuzzAddLongDouble(f *testing.F) {
	f.Add("10.5", "0.1")
	f.Add("0x1.8p-3", "-1e4932")
	f.Add("inf", "1e999999999999999")
	f.Fuzz(func(t *testing.T, a, b string) {
		sum, err := addLongDouble([]byte(a), []byte(b))
		if err != nil {
			return
		}
		back, err := addLongDouble([]byte(b), []byte(a))
		if err != nil || string(back) != string(sum) {
			t.Fatalf("%q + %q = %q, but the other way round %q, %v", a, b, sum, back, err)
		}
		if _, err := parseLongDouble(sum); err != nil {
			t.Fatalf("%q + %q = %q, which is no number", a, b, sum)
		}
	})
}

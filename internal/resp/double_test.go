package resp

import (
	"math"
	"os"
	"strconv"
	"strings"
	"testing"
)

// TestFormatDouble compares with replies recorded from a real server.
func TestFormatDouble(t *testing.T) {
	data, err := os.ReadFile(doublesFile)
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for line := range strings.Lines(string(data)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		words := strings.Fields(line)
		bits, err := strconv.ParseUint(words[0], 16, 64)
		if err != nil || len(words) != 3 {
			t.Fatalf("bad line %q", line)
		}
		f := math.Float64frombits(bits)
		if got := FormatDouble(f); got != words[1] {
			t.Errorf("%s: got %s, want %s", words[0], got, words[1])
		}
		var w Writer
		w.SetProto(3)
		w.Double(f)
		if got, want := string(w.Bytes()), ","+words[2]+"\r\n"; got != want {
			t.Errorf("%s in protocol 3: got %q, want %q", words[0], got, want)
		}
		seen++
	}
	if seen < 200 {
		t.Errorf("%d recorded doubles, want at least 200", seen)
	}
	if got := FormatDouble(math.NaN()); got != "nan" {
		t.Errorf("NaN: got %s, want nan", got)
	}
}

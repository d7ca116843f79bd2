package resp

import (
	"bytes"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
)

// decodeScript returns the bytes that the input of a script stands for: its lines
// joined, with \r, \n, \t, \v, \0, \\ and \xHH decoded. A line "repeat N text"
// stands for text N times.
func decodeScript(t *testing.T, d *datadriven.TestData) []byte {
	t.Helper()
	var b []byte
	for line := range strings.SplitSeq(d.Input, "\n") {
		n := 1
		if rest, ok := strings.CutPrefix(line, "repeat "); ok {
			count, text, _ := strings.Cut(rest, " ")
			var err error
			if n, err = strconv.Atoi(count); err != nil {
				d.Fatalf(t, "line %q: %v", line, err)
			}
			line = text
		}
		text, err := strconv.Unquote(`"` + strings.NewReplacer(`"`, `\"`, `\0`, `\x00`).Replace(line) + `"`)
		if err != nil {
			d.Fatalf(t, "line %q: %v", line, err)
		}
		b = append(b, bytes.Repeat([]byte(text), n)...)
	}
	return b
}

// allocated returns the bytes that this process has allocated so far.
func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

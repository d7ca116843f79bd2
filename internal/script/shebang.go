package script

import (
	"bytes"
	"strings"

	"github.com/elastickv/elastickv/internal/resp"
)

// flags are what a script or a function says of itself.
type flags uint8

const (
	noWrites flags = 1 << iota
	allowOOM
	allowStale
	noCluster
	allowCrossSlot
	// unflagged marks a script without a first line that could have flags: it may do
	// whatever its caller may.
	unflagged
)

// write reports whether what has these flags says of itself that it may write.
func (f flags) write() bool { return f&(unflagged|noWrites) == 0 }

// needRoom reports whether what has these flags is not carried out when there is no room for more data.
func (f flags) needRoom() bool { return f.write() && f&allowOOM == 0 }

// flagNames are the words for flags, in Redis' order.
var flagNames = []string{"no-writes", "allow-oom", "allow-stale", "no-cluster", "allow-cross-slot-keys"}

// flagNamed returns the flag with that name, 0 if there is none.
func flagNamed(name string) flags {
	for i, n := range flagNames {
		if n == name {
			return 1 << i
		}
	}
	return 0
}

// names returns the words of the flags.
func (f flags) names() []string {
	var out []string
	for i, n := range flagNames {
		if f&(1<<i) != 0 {
			out = append(out, n)
		}
	}
	return out
}

// firstLine returns how long the first line of a source is if it begins with #!, and
// whether it does. The length is -1 if the line does not end, which a NUL prevents.
func firstLine(src []byte) (n int, ok bool) {
	if !bytes.HasPrefix(src, []byte("#!")) {
		return 0, false
	}
	n = bytes.IndexAny(src, "\n\x00")
	if n >= 0 && src[n] == 0 {
		n = -1
	}
	return n, true
}

// parseShebang reads the first line of a script, if it has one that begins with #!, and
// returns what that says and how long it is. The line's end stays, so that errors name the
// right lines.
//
//	#!lua flags=no-writes,allow-stale
func parseShebang(body []byte) (f flags, skip int, err error) {
	n, ok := firstLine(body)
	switch {
	case !ok:
		return unflagged, 0, nil
	case n < 0:
		return 0, 0, fault("Invalid script shebang")
	}
	words, ok := resp.SplitWords(body[:n])
	if !ok || len(words) == 0 {
		return 0, 0, fault("Invalid engine in script shebang")
	}
	if string(words[0]) != "#!lua" {
		return 0, 0, fault("Unexpected engine in script shebang: %s", words[0])
	}
	for _, w := range words[1:] {
		list, ok := strings.CutPrefix(string(w), "flags=")
		if !ok {
			return 0, 0, fault("Unknown lua shebang option: %s", w)
		}
		if list == "" {
			continue
		}
		for _, name := range strings.Split(list, ",") {
			flag := flagNamed(name)
			if flag == 0 {
				return 0, 0, fault("Unexpected flag in script shebang: %s", name)
			}
			f |= flag
		}
	}
	return f, n, nil
}

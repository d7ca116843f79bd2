package lua

import "strings"

// position returns the chunk and the line of the function at a level: 0 is the running one.
func (th *thread) position(level int) (chunk string, line int, ok bool) {
	i := th.frameAt(level)
	if i < 0 {
		return "", 0, false
	}
	f := &th.frames[i]
	if f.fn == nil {
		return "=(tail call)", -1, true
	}
	if f.fn.native != nil {
		return "=[C]", -1, true
	}
	return f.fn.proto.chunk, f.fn.proto.line(f.pc - 1), true
}

// frameAt returns the index of the frame at a level, 0 for a caller that a tail call has
// replaced, or -1. The frame at index 0 is nobody's.
func (th *thread) frameAt(level int) int {
	for i := len(th.frames) - 1; i > 0; i-- {
		if level == 0 {
			return i
		}
		level -= 1 + th.frames[i].tailCalls
		if level < 0 {
			return 0
		}
	}
	return -1
}

// displayNameMax is the longest name of a chunk in an error, with a zero byte of C.
const displayNameMax = 60

// displayName returns the name of a chunk as errors show it.
func displayName(chunk string) string {
	switch {
	case strings.HasPrefix(chunk, "="):
		return chunk[1:min(len(chunk), displayNameMax)]
	case strings.HasPrefix(chunk, "@"):
		name, room := chunk[1:], displayNameMax-len(" '...' ")-1
		if len(name) > room {
			return "..." + name[len(name)-room:]
		}
		return name
	}
	text, room := chunk, displayNameMax-len(` [string "..."] `)-1
	cut := strings.IndexAny(text, "\n\r")
	if cut < 0 {
		cut = len(text)
	}
	cut = min(cut, room)
	if cut < len(text) {
		return `[string "` + text[:cut] + `..."]`
	}
	return `[string "` + text + `"]`
}

// calledAs returns the name under which the running function was called, and whether as a
// method; "" if there is none.
func (th *thread) calledAs() (name string, method bool) { return "", false }

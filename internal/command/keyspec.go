package command

import (
	"strconv"
	"strings"
)

// KeySpec says where a command's keys stand among its arguments, as COMMAND
// INFO describes it: where to begin, and how to go on from there.
type KeySpec struct {
	Flags   KeyFlags
	Unknown bool   // they stand where no rule finds them: see Command.FindKeys
	Index   int    // position of the first key, or of the number of keys; the name is 0
	Keyword string // if set, keys begin behind this word, looked for from Index on (from the end, if below 0)

	// Without NumKeys the keys are every Step-th argument up to Last, counted
	// from the first key, or from the end if below 0. A Limit above 1 stops
	// after that fraction of the remaining arguments.
	Last, Step, Limit int

	// With NumKeys an argument gives their number, and they follow it.
	NumKeys bool
}

// KeyFlags say what happens to a key. Their names are those of COMMAND INFO.
type KeyFlags uint16

// The flags of keys.
const (
	KeyRW KeyFlags = 1 << iota
	KeyRO
	KeyOW
	KeyRM
	KeyAccess
	KeyUpdate
	KeyInsert
	KeyDelete
	KeyNotKey
	KeyIncomplete
	KeyVariable
)

var keyFlagNames = []string{
	"RW", "RO", "OW", "RM", "access", "update", "insert", "delete", "not_key", "incomplete", "variable_flags",
}

// Names returns the flags' names, in Redis' order.
func (f KeyFlags) Names() []string { return bitNames(uint64(f), keyFlagNames) }

// keyAt is the spec of one key at a position.
func keyAt(index int, f KeyFlags) KeySpec { return KeySpec{Flags: f, Index: index, Step: 1} }

// oneKey is the spec of commands whose first argument is their only key.
func oneKey(f KeyFlags) []KeySpec { return []KeySpec{keyAt(1, f)} }

// allKeys is the spec of commands whose arguments, from the first on, are keys
// with step-1 other arguments behind each.
func allKeys(step int, f KeyFlags) []KeySpec {
	return []KeySpec{{Flags: f, Index: 1, Last: -1, Step: step}}
}

// numKeys is the spec of keys behind their number.
func numKeys(index int, f KeyFlags) KeySpec {
	return KeySpec{Flags: f, Index: index, NumKeys: true, Step: 1}
}

// unknownKeys is the spec of keys that only the command itself finds.
func unknownKeys(f KeyFlags) KeySpec { return KeySpec{Flags: f, Unknown: true} }

// positions returns where the keys of spec stand in args, and whether the call can be well formed.
func (k KeySpec) positions(args [][]byte) (at []int, ok bool) {
	first, last, ok := k.span(args)
	for i := first; ok && i <= last; i += max(k.Step, 1) {
		at = append(at, i)
	}
	return at, ok
}

// span returns where in args the first key of spec stands, and up to where the others do, Step after Step: none if last is below first. It
// reports whether the call can be well formed: a number of keys is one, and so many are there. Every command refuses a call with another.
func (k KeySpec) span(args [][]byte) (first, last int, ok bool) {
	first = k.begin(args)
	if k.Unknown || first < 1 {
		return 0, -1, true
	}
	if first >= len(args) {
		return 0, -1, !k.NumKeys
	}
	last = first + k.Last
	if k.NumKeys {
		n, err := strconv.Atoi(string(args[first]))
		first++
		if err != nil || n < 1 || n > len(args)-first {
			return 0, -1, false
		}
		last = first + n - 1
	} else if k.Last < 0 {
		last = len(args) + k.Last
		if k.Limit > 1 {
			last = first + (len(args)-first)/k.Limit + k.Last
		}
	}
	return first, min(last, len(args)-1), true
}

func (k KeySpec) begin(args [][]byte) int {
	if k.Keyword == "" {
		return k.Index
	}
	at, step := k.Index, 1
	if at < 0 {
		at, step = len(args)+at, -1
	}
	for ; at > 0 && at < len(args); at += step {
		if strings.EqualFold(string(args[at]), k.Keyword) {
			return at + 1
		}
	}
	return 0
}

// Key is a key of a call.
type Key struct {
	At    int // its position in the arguments
	Flags KeyFlags
}

// KeysOf returns the keys of a call. One that is not well formed has none.
func (c *Command) KeysOf(args [][]byte) []Key {
	if c.FindKeys != nil {
		return c.FindKeys(args)
	}
	var out []Key
	for _, spec := range c.Keys {
		keys, ok := spec.keys(args)
		if !ok {
			return nil
		}
		out = append(out, keys...)
	}
	return out
}

// keys returns the keys of spec in args, and whether the call can be well formed.
func (k KeySpec) keys(args [][]byte) (out []Key, ok bool) {
	at, ok := k.positions(args)
	for _, i := range at {
		out = append(out, Key{i, k.Flags})
	}
	return out, ok
}

// KeyPositions returns where the keys of a call stand in args.
func (c *Command) KeyPositions(args [][]byte) []int {
	var out []int
	for _, k := range c.KeysOf(args) {
		out = append(out, k.At)
	}
	return out
}

// Channels says which arguments of a command are channels that a user needs leave for.
type Channels uint8

// The kinds of commands by their channels.
const (
	NoChannels  Channels = iota
	ChannelArg           // the first argument
	ChannelArgs          // every argument
	PatternArgs          // every argument, each a pattern of channels
)

// ChannelPositions returns where the channels of a call stand in args.
func (c *Command) ChannelPositions(args [][]byte) []int {
	var out []int
	for i := 1; i < len(args) && c.Channels != NoChannels; i++ {
		if out = append(out, i); c.Channels == ChannelArg {
			break
		}
	}
	return out
}

// firstRange is the first key, last key and step of the short form of COMMAND
// INFO, which knows only one range.
func (c *Command) firstRange() (first, last, step int) {
	if len(c.Keys) == 0 || c.Keys[0].NumKeys || c.Keys[0].Keyword != "" {
		return 0, 0, 0
	}
	k := c.Keys[0]
	first, last, step = k.Index, k.Last, k.Step
	if last >= 0 {
		last += first
	}
	for _, next := range c.Keys[1:] {
		if next.NumKeys || next.Unknown || next.Keyword != "" || last < 0 || next.Index != last+1 {
			break
		}
		if last = next.Last; last >= 0 {
			last += next.Index
		}
	}
	return first, last, step
}

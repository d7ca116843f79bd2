package test

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/elastickv/elastickv/internal/resp"
)

// registerCall is a command of one key that is a string: GET, SET, INCR, APPEND or DEL.
type registerCall struct {
	command, key, arg string
}

func (c registerCall) args() []string {
	if c.arg == "" {
		return []string{c.command, c.key}
	}
	return []string{c.command, c.key, c.arg}
}

// registerNil is a key that is not there, or the reply that says so.
const registerNil = "(nil)"

// registerReply shows a reply as the model does.
func registerReply(v resp.Value) string {
	switch {
	case v.Kind == resp.KindError:
		return "error"
	case v.IsNull():
		return registerNil
	case v.Kind == resp.KindInt:
		return strconv.FormatInt(v.Int, 10)
	}
	return v.Str
}

// apply returns what a key is after a call, and what is replied.
func (c registerCall) apply(was string) (is, reply string) {
	content := was
	if was == registerNil {
		content = ""
	}
	switch c.command {
	case "GET":
		return was, was
	case "SET":
		return c.arg, "OK"
	case "APPEND":
		content += c.arg
		return content, strconv.Itoa(len(content))
	case "DEL":
		if was == registerNil {
			return was, "0"
		}
		return registerNil, "1"
	case "INCR":
		n, err := int64(0), error(nil)
		if was != registerNil {
			n, err = strconv.ParseInt(was, 10, 64)
		}
		if err != nil || n == math.MaxInt64 {
			return was, "error"
		}
		is = strconv.FormatInt(n+1, 10)
		return is, is
	}
	panic("no such command: " + c.command)
}

// registerModel is a key, for porcupine. A call without a reply has one of which nobody knows: it may come to pass at any moment
// after it was made, or after everything else, where it makes no difference.
var registerModel = porcupine.Model{
	Init: func() any { return registerNil },
	Step: func(state, input, output any) (bool, any) {
		is, reply := input.(registerCall).apply(state.(string))
		return output == nil || output == reply, is
	},
	DescribeOperation: func(input, output any) string {
		c := input.(registerCall)
		return fmt.Sprintf("%s -> %v", strings.Join(c.args(), " "), output)
	},
}

// registerHistory is what clients have done to keys. Its zero value is ready.
type registerHistory map[string][]porcupine.Operation

// add adds a call. reply is nil if there was none, or none that says what has happened.
func (h registerHistory) add(client int, c registerCall, called, returned time.Duration, reply any) {
	if reply == nil {
		if c.command == "GET" {
			return // it says nothing
		}
		returned = math.MaxInt64
	}
	h[c.key] = append(h[c.key], porcupine.Operation{ClientId: client, Input: c, Output: reply, Call: int64(called), Return: int64(returned)})
}

// check returns an error that tells of a key whose history no order of its calls explains.
func (h registerHistory) check(patience time.Duration) error {
	for key, calls := range h {
		switch porcupine.CheckOperationsTimeout(registerModel, calls, patience) {
		case porcupine.Illegal:
			var text strings.Builder
			for _, c := range calls {
				fmt.Fprintf(&text, "\n%v to %v, client %d: %s", time.Duration(c.Call), time.Duration(c.Return), c.ClientId, registerModel.DescribeOperation(c.Input, c.Output))
			}
			return fmt.Errorf("the history of key %s is not linearizable:%s", key, text.String())
		case porcupine.Unknown:
			return fmt.Errorf("the history of key %s, %d calls, was not checked in %v", key, len(calls), patience)
		}
	}
	return nil
}

// The check of registers finds what is wrong, and nothing else.
func TestRegisterHistory(t *testing.T) {
	type call struct {
		text             string
		called, returned time.Duration
		reply            any
	}
	for _, c := range []struct {
		name  string
		ok    bool
		calls []call
	}{
		{"one after the other", true, []call{{"SET k 1", 0, 1, "OK"}, {"GET k", 2, 3, "1"}, {"INCR k", 4, 5, "2"}, {"APPEND k 7", 6, 7, "2"}, {"GET k", 8, 9, "27"}}},
		{"at the same time", true, []call{{"SET k 1", 0, 5, "OK"}, {"SET k 2", 0, 5, "OK"}, {"GET k", 1, 2, "2"}, {"GET k", 6, 7, "1"}}},
		{"unknown, and done late", true, []call{{"SET k 1", 0, 1, nil}, {"GET k", 2, 3, registerNil}, {"GET k", 4, 5, "1"}}},
		{"unknown, and never done", true, []call{{"SET k 1", 0, 1, nil}, {"GET k", 2, 3, registerNil}}},
		{"a failed INCR", true, []call{{"SET k x", 0, 1, "OK"}, {"INCR k", 2, 3, "error"}, {"DEL k", 4, 5, "1"}, {"INCR k", 6, 7, "1"}}},
		{"a stale read", false, []call{{"SET k 1", 0, 1, "OK"}, {"SET k 2", 2, 3, "OK"}, {"GET k", 4, 5, "1"}}},
		{"a lost write", false, []call{{"SET k 1", 0, 1, "OK"}, {"GET k", 2, 3, registerNil}}},
		{"unknown, done and taken back", false, []call{{"SET k 1", 0, 1, nil}, {"GET k", 2, 3, "1"}, {"GET k", 4, 5, registerNil}}},
		{"unknown, and done twice", false, []call{{"INCR k", 0, 1, nil}, {"GET k", 2, 3, "2"}}},
		{"unknown, and done before it was asked for", false, []call{{"GET k", 0, 1, "1"}, {"SET k 1", 2, 3, nil}}},
		{"a counter that says a number twice", false, []call{{"INCR k", 0, 5, "1"}, {"INCR k", 0, 5, "1"}}},
		{"something refused that is there", false, []call{{"GET k", 0, 1, "9"}}},
	} {
		h := registerHistory{}
		for i, c := range c.calls {
			w := strings.Fields(c.text + " ")
			w = append(w, "")
			h.add(i, registerCall{w[0], w[1], w[2]}, c.called, c.returned, c.reply)
		}
		if err := h.check(time.Minute); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

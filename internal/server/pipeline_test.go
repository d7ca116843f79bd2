package server_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/elastickv/elastickv/internal/command"
)

func TestPipelines(t *testing.T) {
	addr := start(t, nil).addr
	for _, tc := range []struct{ name, send, want string }{
		{"inline", "PING\r\n", "+PONG\r\n"},
		{"empty lines are nothing", "\r\n\r\nPING\r\n*0\r\nPING\r\n", "+PONG\r\n+PONG\r\n"},
		{"reads see the writes before them", "SET a 1\r\nGET a\r\nINCR a\r\nGET a\r\nDEL a\r\nGET a\r\n",
			"+OK\r\n$1\r\n1\r\n:2\r\n$1\r\n2\r\n:1\r\n$-1\r\n"},
		{"slow reads, too", "SET a 1\r\nKEYS a\r\nDEL a\r\nKEYS a\r\n", "+OK\r\n*1\r\n$1\r\na\r\n:1\r\n*0\r\n"},
		{"an error leaves the others alone", "SET a x\r\nINCR a\r\nNOSUCH\r\nGET\r\nGET a\r\n",
			"+OK\r\n-ERR value is not an integer or out of range\r\n-ERR unknown command 'NOSUCH', with args beginning with: \r\n" +
				"-ERR wrong number of arguments for 'get' command\r\n$1\r\nx\r\n"},
		{"databases", "SELECT 1\r\nSET d one\r\nSELECT 0\r\nGET d\r\nSELECT 1\r\nGET d\r\nDEL d\r\nSELECT 0\r\n",
			"+OK\r\n+OK\r\n+OK\r\n$-1\r\n+OK\r\n$3\r\none\r\n:1\r\n+OK\r\n"},
		{"a transaction", "MULTI\r\nSET m 1\r\nINCR m\r\nEXEC\r\nGET m\r\n", "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n:2\r\n$1\r\n2\r\n"},
		{"a transaction that only reads", "FLUSHALL\r\nSET m 7\r\nMULTI\r\nGET m\r\nDBSIZE\r\nEXEC\r\n", "+OK\r\n+OK\r\n+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n$1\r\n7\r\n:1\r\n"},
		{"WATCH in the pipeline", "WATCH m\r\nGET m\r\nMULTI\r\nSET m 8\r\nEXEC\r\nWATCH m\r\nSET m 9\r\nMULTI\r\nSET m 10\r\nEXEC\r\nGET m\r\n",
			"+OK\r\n$1\r\n7\r\n+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n+QUEUED\r\n*-1\r\n$1\r\n9\r\n"},
		{"replies switched off", "CLIENT REPLY OFF\r\nSET q 1\r\nGET q\r\nNOSUCH\r\nCLIENT REPLY ON\r\nGET q\r\n", "+OK\r\n$1\r\n1\r\n"},
		{"one reply skipped", "CLIENT REPLY SKIP\r\nSET q 2\r\nGET q\r\n", "$1\r\n2\r\n"},
		{"skipped twice", "CLIENT REPLY SKIP\r\nCLIENT REPLY SKIP\r\nSET q 3\r\nGET q\r\n", "$1\r\n3\r\n"},
		{"RESET", "CLIENT SETNAME x\r\nRESET\r\nGET nosuch\r\nCLIENT GETNAME\r\n", "+OK\r\n+RESET\r\n$-1\r\n$-1\r\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := dial(t, addr)
			w.send(tc.send)
			w.expect(tc.want)
			w.send("QUIT\r\n")
			w.expect("+OK\r\n")
			w.expectClosed()
		})
	}
}

func TestProtocolErrorsEndOnlyTheirConnection(t *testing.T) {
	addr := start(t, nil).addr
	for _, tc := range []struct{ name, send, want string }{
		{"huge length", "*1\r\n$9223372036854775807\r\nabc\r\n", "-ERR Protocol error: invalid bulk length\r\n"},
		{"huge count", "*9223372036854775807\r\n", "-ERR Protocol error: invalid multibulk length\r\n"},
		{"no dollar", "*1\r\nPING\r\n", "-ERR Protocol error: expected '$', got 'P'\r\n"},
		{"quotes", "GET \"a\r\n", "-ERR Protocol error: unbalanced quotes in request\r\n"},
		{"after good commands", "SET k 1\r\nGET k\r\n*x\r\nGET k\r\n", "+OK\r\n$1\r\n1\r\n-ERR Protocol error: invalid multibulk length\r\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := dial(t, addr)
			w.send(tc.send)
			w.expect(tc.want)
			w.expectClosed()
		})
	}
	w := dial(t, addr)
	w.ask("PING", "+PONG\r\n")
	w.ask("GET k", "$1\r\n1\r\n")
}

// A pipeline may be far longer than what is taken off the wire at once.
func TestLongPipelineMixesReadsAndWrites(t *testing.T) {
	w := dial(t, start(t, nil).addr)
	const n = 20_000
	go func() {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "INCR n\r\nGET n\r\nTYPE k%d\r\n", i%10)
			if i%1000 == 0 {
				b.WriteString("KEYS nosuch*\r\n")
			}
		}
		w.Conn.Write([]byte(b.String()))
	}()
	for i := range n {
		s := strconv.Itoa(i + 1)
		w.expect(":" + s + "\r\n$" + strconv.Itoa(len(s)) + "\r\n" + s + "\r\n+none\r\n")
		if i%1000 == 0 {
			w.expect("*0\r\n")
		}
	}
}

// Many replies larger than the piece that is sent at once.
func TestLargeReplies(t *testing.T) {
	w := dial(t, start(t, nil).addr)
	value := strings.Repeat("v", 300_000)
	w.send("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$300000\r\n" + value + "\r\n")
	w.expect("+OK\r\n")
	w.send(strings.Repeat("GET k\r\nINCR n\r\n", 20))
	for i := range 20 {
		w.expect("$300000\r\n" + value + "\r\n:" + strconv.Itoa(i+1) + "\r\n")
	}
}

// slowlyRow is a write that takes a while.
var slowlyRow = &command.Command{
	Name: "slowly", Arity: 1, Flags: command.Write, Group: command.GroupGeneric, Summary: "Takes 20 ms.", Since: "1.0.0",
	Run: func(c *command.Ctx) error {
		time.Sleep(20 * time.Millisecond)
		c.Out.OK()
		return nil
	},
}

// Others do not wait for all the slow commands of a pipeline.
func TestSlowPipelineLetsOthersPass(t *testing.T) {
	inBubble(t, func(b *bubble) {
		const n = 100
		slow, quick := b.dial(), b.dial()
		go slow.Conn.Write([]byte(strings.Repeat("SLOWLY\r\n", n))) // what is lost is missed below
		time.Sleep(time.Millisecond)
		began := time.Now()
		quick.ask("INCR n", ":1\r\n")
		if took := time.Since(began); took > 100*time.Millisecond {
			t.Errorf("INCR took %v behind a pipeline of commands that take 20 ms each", took)
		}
		for range n {
			slow.expect("+OK\r\n")
		}
	})
}

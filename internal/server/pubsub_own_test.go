package server_test

import (
	"net"
	"strings"
	"testing"
)

// What a client publishes in a transaction it hears itself behind the reply of EXEC, if it had subscribed by then, whatever it
// asks for next and however long the sync takes.
func TestOwnMessagesOfATransaction(t *testing.T) {
	for name, s := range map[string]*running{"watched": start(t, nil), "a goroutine each": startOn(t, func(ln net.Listener) net.Listener { return plain{ln} })} {
		t.Run(name, func(t *testing.T) {
			w := dial(t, s.addr)
			for range 50 {
				w.send("MULTI\r\nINCR n\r\nPUBLISH ch early\r\nSUBSCRIBE ch\r\nPUBLISH ch late\r\nEXEC\r\nRESET\r\nDEL n\r\n")
				w.expect("+OK\r\n" + strings.Repeat("+QUEUED\r\n", 4) +
					"*4\r\n:1\r\n:0\r\n*3\r\n$9\r\nsubscribe\r\n$2\r\nch\r\n:1\r\n:1\r\n" +
					"*3\r\n$7\r\nmessage\r\n$2\r\nch\r\n$4\r\nlate\r\n" +
					"+RESET\r\n:1\r\n")
			}
		})
	}
}

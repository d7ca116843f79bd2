//go:build !linux

package admin

import (
	"net"
	"os"
)

// peerUser relies on the mode of the socket, which these systems go by.
func peerUser(net.Conn) (int, error) { return os.Geteuid(), nil }

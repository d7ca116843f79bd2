package admin

import (
	"fmt"
	"net"
	"syscall"
)

// peerUser returns the user id of the process at the other end.
func peerUser(c net.Conn) (int, error) {
	unix, ok := c.(*net.UnixConn)
	if !ok {
		return 0, fmt.Errorf("admin: %T is no connection of a socket", c)
	}
	raw, err := unix.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *syscall.Ucred
	var credErr error
	err = raw.Control(func(fd uintptr) {
		cred, credErr = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	if err != nil || credErr != nil {
		return 0, fmt.Errorf("admin: peer: %v, %w", err, credErr)
	}
	return int(cred.Uid), nil
}

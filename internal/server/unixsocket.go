package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
)

// socketPathMost is how long the path of a socket may be: the least that systems have room for.
const socketPathMost = 103

// openSocket listens on a socket of the file system. One that a server which is gone has left
// behind is replaced; anything else that stands there is not touched.
func openSocket(ctx context.Context, e endpoint, mode uint32) (*listener, error) {
	if err := clearSocket(ctx, e.path); err != nil {
		return nil, fmt.Errorf("unixsocket: %w", err)
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "unix", e.path)
	if err != nil {
		return nil, fmt.Errorf("unixsocket: %w", err)
	}
	if mode != 0 {
		if err := os.Chmod(e.path, fs.FileMode(mode)); err != nil {
			return nil, errors.Join(fmt.Errorf("unixsocketperm: %w", err), ln.Close())
		}
	}
	return &listener{Listener: ln, at: e}, nil
}

// clearSocket removes a socket at which nobody listens.
func clearSocket(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%s is there and is no socket", path)
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", path)
	if err == nil {
		_ = conn.Close()
		return fmt.Errorf("%s: %w", path, syscall.EADDRINUSE)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	return os.Remove(path)
}

// checkSocketPath accepts a path that is short enough, or none.
func checkSocketPath(v string) error {
	if len(v) > socketPathMost {
		return errSettingSocket
	}
	return nil
}

// places returns the addresses of both ends of a connection as CLIENT LIST shows them. The
// ends of a socket of the file system have none of their own; Redis gives them the socket's path,
// with port 0.
func places(conn net.Conn) (remote, local string, socket bool) {
	if a, ok := conn.LocalAddr().(*net.UnixAddr); ok {
		return a.Name + ":0", a.Name + ":0", true
	}
	return conn.RemoteAddr().String(), conn.LocalAddr().String(), false
}

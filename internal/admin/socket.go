package admin

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"sync"
)

// SocketName is the socket's name in the data folder.
const SocketName = "admin.sock"

// pathMost is how long the path of a socket may be: sockaddr_un has room for 108 bytes, or
// for 104, with the zero behind it.
const pathMost = 103

// shortPath returns a path to the socket of dir that is short enough, which is good until done
// is called.
func shortPath(dir string) (path string, done func(), err error) {
	path = filepath.Join(dir, SocketName)
	if len(path) <= pathMost {
		return path, func() {}, nil
	}
	if runtime.GOOS != "linux" {
		return "", nil, fmt.Errorf("admin: the path %s is too long for a socket; use a shorter one for the data folder", path)
	}
	d, err := os.Open(dir)
	if err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", d.Fd(), SocketName), func() { _ = d.Close() }, nil
}

// Listen opens the door in dir. Whoever calls it has the folder for himself: a socket that is
// there is one that nobody listens at.
func Listen(ctx context.Context, dir string) (net.Listener, error) {
	real := filepath.Join(dir, SocketName)
	if err := os.Remove(real); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("admin: %w", err)
	}
	path, done, err := shortPath(dir)
	if err != nil {
		return nil, err
	}
	defer done()
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("admin: %w", err)
	}
	ln.(*net.UnixListener).SetUnlinkOnClose(false) // path may be gone; the owner removes it
	if err := os.Chmod(real, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("admin: %w", err), ln.Close())
	}
	return &doorway{Listener: ln, path: real}, nil
}

// doorway removes the socket when it is closed.
type doorway struct {
	net.Listener
	path string
	once sync.Once
}

func (d *doorway) Close() (err error) {
	d.once.Do(func() {
		_ = os.Remove(d.path)
		err = d.Listener.Close()
	})
	return err
}

// owned lets in connections of the server's own user, and of root: between the making of the
// socket and the change of its mode, and on systems where a socket's mode says nothing,
// others could have come. It lets in as many at a time as room has.
type owned struct {
	net.Listener
	room chan struct{}
}

func (o *owned) Accept() (net.Conn, error) {
	for {
		c, err := o.Listener.Accept()
		if err != nil {
			return nil, err
		}
		select {
		case o.room <- struct{}{}:
		default:
			_ = c.Close()
			continue
		}
		if uid, err := peerUser(c); err != nil || uid != 0 && uid != os.Geteuid() {
			<-o.room
			_ = c.Close()
			continue
		}
		return &visitor{Conn: c, room: o.room}, nil
	}
}

// visitor is a connection that makes room when it is closed.
type visitor struct {
	net.Conn
	room chan struct{}
	once sync.Once
}

func (v *visitor) Close() error {
	v.once.Do(func() { <-v.room })
	return v.Conn.Close()
}

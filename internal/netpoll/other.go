//go:build !linux

package netpoll

import (
	"errors"
	"net"
	"time"
)

// Poller watches connections. There is none on this system.
type Poller struct{}

// Conn is a connection of a Poller.
type Conn struct {
	net.Conn
	Data any
}

// New fails.
func New(func() time.Time) (*Poller, error) { return nil, errors.ErrUnsupported }

// Adopt fails.
func (*Poller) Adopt(*net.TCPConn, func(*Conn)) (*Conn, error) { return nil, errors.ErrUnsupported }

// Wait fails.
func (*Poller) Wait(ready []*Conn) ([]*Conn, error) { return ready, errors.ErrUnsupported }

// Close does nothing.
func (*Poller) Close() {}

// Rest reports false.
func (*Conn) Rest() bool { return false }

// ReadNow fails.
func (*Conn) ReadNow([]byte) (int, error) { return 0, errors.ErrUnsupported }

// WriteNow fails.
func (*Conn) WriteNow([]byte) (int, error) { return 0, errors.ErrUnsupported }

// Expired reports false.
func (*Conn) Expired() bool { return false }

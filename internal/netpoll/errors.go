package netpoll

import "errors"

// ErrWouldBlock says that a call which does not wait would have had to.
var ErrWouldBlock = errors.New("netpoll: not now")

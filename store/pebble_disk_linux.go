package store

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// readPresent reads as much of a file as the machine has in memory, from the offset on. It fails if it cannot know.
func readPresent(fd uintptr, b []byte, offset int64) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	// unix.Preadv2 would allocate. The kernel puts the offset together from two halves; on 64 bits the low one is all of it.
	v := unix.Iovec{Base: &b[0]}
	v.SetLen(len(b))
	n, _, errno := unix.Syscall6(unix.SYS_PREADV2, fd, uintptr(unsafe.Pointer(&v)), 1, uintptr(offset), uintptr(uint64(offset)>>32), unix.RWF_NOWAIT)
	switch errno {
	case 0:
		return int(n), nil
	case unix.EAGAIN, unix.EINTR:
		return 0, nil
	}
	return 0, errno
}

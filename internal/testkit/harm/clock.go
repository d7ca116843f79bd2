package harm

import (
	"fmt"
	"os"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// told is what is done to this process.
var told = new(page)

func init() {
	file := os.Getenv(FileVariable)
	if file == "" {
		return
	}
	p, err := read(file)
	if err != nil {
		panic(fmt.Sprintf("%s: %v", FileVariable, err))
	}
	told = p
	vfs.Default = slowFS{vfs.Default}
}

// Now is time.Now on a machine whose clock was stepped. As on such a machine the monotonic reading goes on as if nothing
// had happened, which no method of time.Time does.
func Now() time.Time {
	return Stepped(time.Now(), time.Duration(atomic.LoadInt64(&told.step))*time.Second)
}

// Stepped changes the wall clock of a time that has a monotonic reading, by whole seconds, and leaves that reading. Times of a
// bubble of synctest have none.
func Stepped(t time.Time, by time.Duration) time.Time {
	// The first two fields of time.Time; with a monotonic reading the seconds of the wall clock lie above 30 bits of nanoseconds.
	wall := (*uint64)(unsafe.Pointer(&t))
	*wall += uint64(by/time.Second) << 30
	return t
}

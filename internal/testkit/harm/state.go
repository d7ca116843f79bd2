package harm

import (
	"encoding/binary"
	"os"
	"syscall"
	"time"
	"unsafe"
)

// FileVariable is the variable of the environment that names the file by which a process is told what is done to it.
const FileVariable = "ELASTICKV_HARM"

// State is what is done to a process. The zero State is none.
type State struct {
	Step time.Duration // how far the clock is ahead of that of the machine, in whole seconds; behind it if below 0
	Sync time.Duration // how much longer a sync of the disk takes
}

// page is a State as it lies in the file, in the byte order of the machine.
type page struct{ step, sync int64 }

const pageBytes = int(unsafe.Sizeof(page{}))

// Write tells those who have the file, from this moment on.
func (s State) Write(file string) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	b := binary.NativeEndian.AppendUint64(nil, uint64(s.Step/time.Second))
	b = binary.NativeEndian.AppendUint64(b, uint64(s.Sync))
	_, err = f.WriteAt(b, 0)
	if closed := f.Close(); err == nil {
		err = closed
	}
	return err
}

// read maps a file that Write has made, and sees what is written later.
func read(file string) (*page, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := syscall.Mmap(int(f.Fd()), 0, pageBytes, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	return (*page)(unsafe.Pointer(&b[0])), nil
}

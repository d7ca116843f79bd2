package testkit

import (
	"os/exec"
	"syscall"
)

// endWithUs has the kernel kill what cmd starts when the tests end without their clean-up: by a time
// limit or a signal. It goes by the thread that has started the process; those of Go last as long as
// the program, unless a goroutine ends that is locked to one.
func endWithUs(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}

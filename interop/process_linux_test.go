package interop_test

import (
	"os/exec"
	"syscall"
)

// endWithParent makes the kernel end a program when the tests end.
func endWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}

//go:build unix

package lambdahost

import "syscall"

const (
	stopSignal   = syscall.SIGSTOP
	resumeSignal = syscall.SIGCONT
	killSignal   = syscall.SIGKILL
)

// signal sends a signal to the whole group. Nothing can go wrong but that the group is gone, which is fine.
func (p *process) signal(s syscall.Signal) {
	_ = syscall.Kill(-p.cmd.Process.Pid, s)
}

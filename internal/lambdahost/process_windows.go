package lambdahost

import "syscall"

const (
	stopSignal   = syscall.Signal(-1)
	resumeSignal = syscall.Signal(-2)
	killSignal   = syscall.SIGKILL
)

// attributes has nothing to ask for: Windows has neither groups of processes to stop nor functions for provided.al2023.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{} }

// signal kills the process; instances are not frozen.
func (p *process) signal(s syscall.Signal) {
	if s == killSignal {
		_ = p.cmd.Process.Kill()
	}
}

func residentSet(int) int64 { return 0 }

func largestResidentSet(int) int64 { return 0 }

//go:build unix && !linux

package lambdahost

import "syscall"

// attributes puts a process into a group of its own. Nothing but Linux kills it when the host is killed.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// residentSet is known on Linux only; elsewhere memory is not bounded.
func residentSet(int) int64 { return 0 }

func largestResidentSet(int) int64 { return 0 }

package lambdahost

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// outputDelay is how long the output of a process that has ended is waited for, where another process holds it open.
const outputDelay = time.Second

// process is a process and those that it starts, as one group.
type process struct {
	cmd *exec.Cmd
	// exited is closed when the process has ended and been reaped; err is how it ended.
	exited chan struct{}
	err    error
	// seen is the most memory that was seen, in bytes.
	seen int64
}

// startProcess starts a process whose output goes to the writer, which several goroutines must be able to use.
func startProcess(binary, dir string, env []string, output io.Writer) (*process, error) {
	cmd := &exec.Cmd{Path: binary, Args: []string{binary}, Dir: dir, Env: env, Stdout: output, Stderr: output, WaitDelay: outputDelay}
	cmd.SysProcAttr = attributes()
	p := &process{cmd: cmd, exited: make(chan struct{})}
	started := make(chan error, 1)
	go p.keep(started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("starting %s: %w", binary, err)
	}
	return p, nil
}

// keep starts the process and stays on the thread that did until it ends: Linux sends the signal of a parent's death when the
// thread that started the process ends.
func (p *process) keep(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := p.cmd.Start(); err != nil {
		started <- err
		return
	}
	started <- nil
	p.err = p.cmd.Wait()
	p.signal(killSignal) // What the process started and left behind.
	close(p.exited)
}

// exit says how a process that has ended did, in Lambda's words.
func (p *process) exit() string {
	select {
	case <-p.exited:
	default:
		return "Runtime exited without providing a reason"
	}
	if p.err == nil {
		return "Runtime exited without providing a reason"
	}
	return "Runtime exited with error: " + p.err.Error()
}

// gone tells whether the process has ended, which exited says a little later.
func (p *process) gone() bool {
	select {
	case <-p.exited:
		return true
	default:
		return errors.Is(p.cmd.Process.Signal(syscall.Signal(0)), os.ErrProcessDone)
	}
}

// stop keeps all threads of the group from running, resume lets them run.
func (p *process) stop() { p.signal(stopSignal) }

func (p *process) resume() { p.signal(resumeSignal) }

// kill ends the group, stopped or not, and waits until the process is reaped.
func (p *process) kill() {
	p.signal(killSignal)
	<-p.exited
}

// memory is the resident set now, in bytes; zero where that is not known.
func (p *process) memory() int64 {
	now := residentSet(p.cmd.Process.Pid)
	p.seen = max(p.seen, now)
	return now
}

// peakMemory is the largest resident set that was seen, in bytes.
func (p *process) peakMemory() int64 {
	p.seen = max(p.seen, largestResidentSet(p.cmd.Process.Pid))
	return p.seen
}

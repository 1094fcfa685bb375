package lambdahost

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// memoryInterval is how often a running instance's memory is looked at.
const memoryInterval = 20 * time.Millisecond

// instance is one execution environment: a process, its Runtime API and its log. One goroutine at a time has it.
type instance struct {
	cfg     *Config
	api     *runtimeAPI
	log     *instanceLog
	process *process
	// idling ends the instance when it has been idle for long.
	idling *time.Timer
}

// ending says why a wait for an instance ended.
type ending int

const (
	done ending = iota
	exited
	timedOut
	outOfMemory
	initFailed
	closed
)

// coldStart starts an instance for an invocation and sets the invocation's deadline. A start that fails is tried once more in the
// invocation's own time, which Lambda calls a suppressed init.
func (f *Function) coldStart(inv *invocation) (*instance, error) {
	begun := time.Now()
	i, err := f.start(inv, "init", begun.Add(f.cfg.InitTimeout))
	if err == nil {
		inv.init = time.Since(begun)
		inv.deadline = time.Now().Add(f.cfg.Timeout)
		return i, nil
	}
	if _, failed := errors.AsType[*FunctionError](err); !failed {
		return nil, err
	}
	inv.deadline = time.Now().Add(f.cfg.Timeout)
	return f.start(inv, "invoke", inv.deadline)
}

// start starts an instance and waits until it asks for its first event.
func (f *Function) start(inv *invocation, phase string, deadline time.Time) (*instance, error) {
	begun := time.Now()
	i, err := f.launch()
	if err != nil {
		return nil, unhandled(InitFailed, inv.id, "Runtime.InvalidEntrypoint", err.Error())
	}
	end := i.await(f.life, deadline, i.api.ready)
	if end == done {
		return i, nil
	}
	i.kill()
	err = i.initError(end, inv.id, f.cfg.Timeout)
	if status, errorType := statusOf(err); status != "" {
		i.log.printf("INIT_REPORT Init Duration: %s ms\tPhase: %s\tStatus: %s\tError Type: %s",
			milliseconds(time.Since(begun)), phase, status, errorType)
	}
	return nil, err
}

// launch starts the process of a new instance.
func (f *Function) launch() (*instance, error) {
	f.mu.Lock()
	f.started++
	number := f.started
	f.mu.Unlock()
	api, err := newRuntimeAPI(f.life)
	if err != nil {
		return nil, err
	}
	log := &instanceLog{out: f.logs, prefix: fmt.Sprintf("%s/%d ", f.cfg.Name, number)}
	stream := fmt.Sprintf("%s/[%s]%s", time.Now().UTC().Format("2006/01/02"), version, randomHex(16))
	p, err := startProcess(f.cfg.Binary, f.cfg.TaskRoot, f.cfg.environment(api.endpoint(), stream), log)
	if err != nil {
		api.close()
		return nil, err
	}
	log.printf("INIT_START Runtime Version: provided:al2023")
	return &instance{cfg: &f.cfg, api: api, log: log, process: p}, nil
}

// initError says why an instance that ended so did not start.
func (i *instance) initError(end ending, requestID string, timeout time.Duration) error {
	switch end {
	case closed:
		return ErrClosed
	case initFailed:
		e := i.api.initError()
		e.RequestID = requestID
		return e
	case timedOut:
		return timeoutError(requestID, timeout)
	case outOfMemory:
		return memoryError(requestID)
	default:
		return unhandled(InitFailed, requestID, "Runtime.ExitError", i.process.exit())
	}
}

// run gives the instance an event and waits for the answer, and until the instance asks for the next event: only then may it be
// used again.
func (i *instance) run(life context.Context, inv *invocation) (answer []byte, reusable bool, err error) {
	begun := time.Now()
	i.log.printf("START RequestId: %s Version: %s", inv.id, version)
	inv.arn = fmt.Sprintf("arn:aws:lambda:%s:%s:function:%s", i.cfg.Region, i.cfg.Account, i.cfg.Name)
	i.api.deliver(inv)
	end := i.await(life, inv.deadline, inv.finished)
	if end == done {
		end = i.await(life, inv.deadline, i.api.ready)
	}
	inv.finish(nil, i.runError(end, inv.id))
	i.log.report(report{
		requestID: inv.id, duration: time.Since(begun), init: inv.init, memoryMB: i.cfg.MemoryMB, peak: i.process.peakMemory(), err: inv.err,
	})
	return inv.answer, end == done, inv.err
}

// runError says why an instance that ended so gave no answer.
func (i *instance) runError(end ending, requestID string) error {
	switch end {
	case closed:
		return ErrClosed
	case timedOut:
		return timeoutError(requestID, i.cfg.Timeout)
	case outOfMemory:
		return memoryError(requestID)
	default:
		return unhandled(Exited, requestID, "Runtime.ExitError", i.process.exit())
	}
}

func timeoutError(requestID string, timeout time.Duration) *FunctionError {
	return unhandled(TimedOut, requestID, "Sandbox.Timedout", fmt.Sprintf("Task timed out after %.2f seconds", timeout.Seconds()))
}

func memoryError(requestID string) *FunctionError {
	return unhandled(OutOfMemory, requestID, "Runtime.OutOfMemory", "Runtime exited with error: signal: killed")
}

// statusOf returns what REPORT says of an error; nothing for none, and for what is no fault of the function.
func statusOf(err error) (status, errorType string) {
	failed, ok := errors.AsType[*FunctionError](err)
	switch {
	case !ok || failed.Cause == Handled:
		return "", ""
	case failed.Cause == TimedOut:
		return "timeout", ""
	default:
		return "error", failed.Type
	}
}

// await waits until something is done or the instance fails. Whichever is seen first counts.
func (i *instance) await(life context.Context, deadline time.Time, something <-chan struct{}) ending {
	over := time.NewTimer(time.Until(deadline))
	defer over.Stop()
	look := time.NewTicker(memoryInterval)
	defer look.Stop()
	limit := int64(i.cfg.MemoryMB) << 20
	for {
		select {
		case <-something:
			return done
		case <-i.api.initFailed:
			return initFailed
		case <-i.process.exited:
			return i.afterExit(something)
		case <-over.C:
			return timedOut
		case <-life.Done():
			return closed
		case <-look.C:
			if i.process.memory() > limit {
				return outOfMemory
			}
		}
	}
}

// afterExit says what an instance that has exited did last.
func (i *instance) afterExit(something <-chan struct{}) ending {
	select {
	case <-i.api.initFailed:
		return initFailed
	default:
	}
	select {
	case <-something:
		return done
	default:
		return exited
	}
}

// gone tells whether the process has ended by itself.
func (i *instance) gone() bool { return i.process.gone() }

// freeze stops all threads of the instance, thaw lets them go on.
func (i *instance) freeze() { i.process.stop() }

func (i *instance) thaw() { i.process.resume() }

// kill ends the instance, frozen or not, and returns when its process is gone.
func (i *instance) kill() {
	i.process.kill()
	i.api.close()
	i.log.flush()
}

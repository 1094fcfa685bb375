// Package lambdahost runs Lambda functions, the very bootstrap binaries that are deployed to provided.al2023, without Lambda and
// without Docker: for tests and for a platform on one machine. It serves the documented Lambda Runtime API
// (docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html) to processes that it starts, and feeds them events in the shapes
// that AWS sends: of an HTTP API (Gateway), an SQS FIFO queue (SQSSource), a DynamoDB stream (StreamSource) and a schedule (Schedule).
//
// A Function promises what Lambda does: an instance works on one event at a time; it is started when none is free (cold start), up to
// a bound beyond which invocations are throttled; between invocations it is frozen, so that nothing in it makes progress; it is killed
// when an invocation takes too long or too much memory; it is used again after an error that the function returned. No process
// outlives Close, and on Linux none outlives the host either.
//
// Not carried: extensions and their SIGTERM, response streaming, SnapStart, provisioned concurrency, the asynchronous queue with its
// retries, the file system and the CPU share of an instance (it has the host's). Memory is the resident set, looked at every 20 ms and
// on Linux only: what grows faster than that is killed late. The Gateway says what it does not carry.
package lambdahost

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

const (
	// MaxEvent is the size of the largest event in bytes: Lambda's quota for synchronous invocations.
	MaxEvent = 6 << 20
	// MaxAnswer is the size of the largest answer in bytes; Lambda allows 100 more than for an event.
	MaxAnswer = 6<<20 + 100
)

// Lambda's own defaults, and what an account on one machine needs.
const (
	defaultMemoryMB       = 128
	defaultTimeout        = 3 * time.Second
	defaultInitTimeout    = 10 * time.Second
	defaultIdleTimeout    = 5 * time.Minute
	defaultMaxConcurrency = 10
	defaultRegion         = "us-east-1"
	defaultAccount        = "000000000000"
)

// Config is what a function is made of. Name and Binary are required.
type Config struct {
	// Name is the function's name.
	Name string
	// Binary is the path of the bootstrap file.
	Binary string
	// TaskRoot is the folder that instances run in, LAMBDA_TASK_ROOT; default: Binary's.
	TaskRoot string
	// Env are the function's environment variables; an instance sees no others of the host's. Those that Lambda reserves are refused,
	// but for the credentials, which stand for the function's role.
	Env map[string]string
	// Region and Account are in the function's ARN; default: us-east-1 and 000000000000, LocalStack's.
	Region, Account string
	// MemoryMB is how much an instance may have in MiB; default: 128.
	MemoryMB int
	// Timeout is how long an invocation may last; default: 3 s.
	Timeout time.Duration
	// InitTimeout is how long an instance may take until it asks for its first event; default: 10 s, which is Lambda's bound.
	InitTimeout time.Duration
	// MaxConcurrency bounds the invocations under way at once, and so the instances: the reserved concurrency. Default: 10.
	MaxConcurrency int
	// IdleTimeout is how long an instance stays without an invocation; default: 5 minutes.
	IdleTimeout time.Duration
	// Logs gets what instances write, and the lines that Lambda adds to it, each with the function's name and the instance's number
	// before it, in one Write; default: nobody. What an instance writes last may come after the invocation's END.
	Logs io.Writer
}

func (c Config) withDefaults() (Config, error) {
	if c.Name == "" {
		return Config{}, errors.New("lambdahost: a function without a name")
	}
	binary, err := executable(c.Binary)
	if err != nil {
		return Config{}, fmt.Errorf("lambdahost: the function %s: %w", c.Name, err)
	}
	c.Binary = binary
	if c.TaskRoot == "" {
		c.TaskRoot = filepath.Dir(binary)
	}
	for name := range c.Env {
		if slices.Contains(reservedVariables(), name) {
			return Config{}, fmt.Errorf("lambdahost: the function %s: Lambda sets %s itself", c.Name, name)
		}
	}
	c.Region, c.Account = orDefault(c.Region, defaultRegion), orDefault(c.Account, defaultAccount)
	c.MemoryMB = orDefault(c.MemoryMB, defaultMemoryMB)
	c.Timeout, c.InitTimeout = orDefault(c.Timeout, defaultTimeout), orDefault(c.InitTimeout, defaultInitTimeout)
	c.MaxConcurrency = orDefault(c.MaxConcurrency, defaultMaxConcurrency)
	c.IdleTimeout = orDefault(c.IdleTimeout, defaultIdleTimeout)
	if c.MemoryMB < 0 || c.Timeout < 0 || c.InitTimeout < 0 || c.MaxConcurrency < 0 || c.IdleTimeout < 0 {
		return Config{}, fmt.Errorf("lambdahost: the function %s: a bound below zero", c.Name)
	}
	if c.Logs == nil {
		c.Logs = io.Discard
	}
	return c, nil
}

// executable returns the absolute path of a file that can be run.
func executable(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("its binary: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("its binary: %w", err)
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0 {
		return "", fmt.Errorf("its binary: %s is no executable file", path)
	}
	return path, nil
}

func orDefault[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

// Invoker runs a function with an event, both JSON. A Function is one. Errors are those of Function.Invoke.
type Invoker interface {
	Invoke(ctx context.Context, event []byte) ([]byte, error)
}

// Function is one Lambda function with its instances.
type Function struct {
	cfg  Config
	logs *logWriter

	// life ends with Close, which waits for ending: the invocations under way and the instances that end by themselves.
	life   context.Context //nolint:containedctx // the life of what goes on without a caller
	end    context.CancelFunc
	ending sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	busy    int
	started int
	// idle are the frozen instances, the one used last at the end.
	idle []*instance
}

var _ Invoker = (*Function)(nil)

// NewFunction makes a function; no instance is started before the first invocation. Close it.
func NewFunction(cfg Config) (*Function, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	f := &Function{cfg: cfg, logs: &logWriter{to: cfg.Logs}}
	f.life, f.end = context.WithCancel(context.Background())
	return f, nil
}

// ARN is the function's name in AWS.
func (f *Function) ARN() string {
	return fmt.Sprintf("arn:aws:lambda:%s:%s:function:%s", f.cfg.Region, f.cfg.Account, f.cfg.Name)
}

// Invoke calls the function and returns its answer. It fails with ErrThrottled, ErrClosed, ErrNotJSON or a *TooLargeError when the
// function was not called, and with a *FunctionError when it was and failed. When ctx ends before, Invoke returns its error at once and
// the invocation goes on to its end without a caller, as on Lambda.
func (f *Function) Invoke(ctx context.Context, event []byte) ([]byte, error) {
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case len(event) > MaxEvent:
		return nil, &TooLargeError{Bytes: len(event), Limit: MaxEvent}
	case !json.Valid(event):
		return nil, ErrNotJSON
	}
	i, err := f.admit()
	if err != nil {
		return nil, err
	}
	type outcome struct {
		answer []byte
		err    error
	}
	over := make(chan outcome, 1)
	go func() {
		defer f.ending.Done()
		answer, err := f.serve(i, newInvocation(event))
		over <- outcome{answer, err}
	}()
	select {
	case o := <-over:
		return o.answer, o.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// admit counts an invocation in and takes an idle instance for it, nil if there is none.
func (f *Function) admit() (*instance, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.closed:
		return nil, ErrClosed
	case f.busy >= f.cfg.MaxConcurrency:
		return nil, ErrThrottled
	}
	f.busy++
	f.ending.Add(1)
	if len(f.idle) == 0 {
		return nil, nil //nolint:nilnil // no instance is no error
	}
	last := len(f.idle) - 1
	i := f.idle[last]
	f.idle = f.idle[:last]
	i.idling.Stop()
	return i, nil
}

// serve runs an invocation in the instance, or in a new one, and counts it out before its caller knows the answer, so that the
// caller's next invocation finds the instance idle.
func (f *Function) serve(i *instance, inv *invocation) ([]byte, error) {
	if i != nil && i.gone() {
		i.kill()
		i = nil
	}
	if i == nil {
		started, err := f.coldStart(inv)
		if err != nil {
			f.countOut(nil)
			return nil, err
		}
		i = started
	} else {
		inv.deadline = time.Now().Add(f.cfg.Timeout)
		i.thaw()
	}
	answer, reusable, err := i.run(f.life, inv)
	if reusable {
		i.freeze()
		f.countOut(i)
	} else {
		i.kill()
		f.countOut(nil)
	}
	return answer, err
}

// countOut ends an invocation; the instance, if any, waits for the next.
func (f *Function) countOut(i *instance) {
	if f.keep(i) || i == nil {
		return
	}
	i.kill()
}

// keep counts an invocation out and keeps its instance, unless the function is closed.
func (f *Function) keep(i *instance) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.busy--
	if i == nil || f.closed {
		return false
	}
	i.idling = time.AfterFunc(f.cfg.IdleTimeout, func() { f.retire(i) })
	f.idle = append(f.idle, i)
	return true
}

// retire ends an instance that has been idle for long; not so when it has been taken meanwhile.
func (f *Function) retire(i *instance) {
	f.mu.Lock()
	at := slices.Index(f.idle, i)
	if at >= 0 {
		f.idle = slices.Delete(f.idle, at, at+1)
		f.ending.Add(1) // Close, which would have taken it, waits.
	}
	f.mu.Unlock()
	if at >= 0 {
		defer f.ending.Done()
		i.kill()
	}
}

// Close ends the function: invocations under way fail with ErrClosed. When it returns, no process of the function is left.
func (f *Function) Close() error {
	f.mu.Lock()
	f.closed = true
	idle := f.idle
	f.idle = nil
	f.mu.Unlock()
	f.end()
	for _, i := range idle {
		i.idling.Stop()
		i.kill()
	}
	f.ending.Wait()
	return nil
}

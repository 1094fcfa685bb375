package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// startTimeout bounds how long a process may take to be ready.
const startTimeout = time.Minute

// process is a program that was started for the measurement.
type process struct {
	name       string
	cmd        *exec.Cmd
	log        bytes.Buffer
	exited     chan error
	operations string // host:port of its metrics; empty: it has none
}

// startProcess starts a program; an empty path is this binary itself.
func startProcess(ctx context.Context, o options, name, operations, path string, args ...string) (*process, error) {
	if path == "" {
		self, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("finding this binary: %w", err)
		}
		path = self
	}
	p := &process{name: name, operations: operations, exited: make(chan error, 1)}
	p.cmd = exec.CommandContext(ctx, path, args...) //nolint:gosec // Programs of this measurement.
	p.cmd.Cancel = func() error { return p.cmd.Process.Signal(syscall.SIGTERM) }
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	p.cmd.Env = append(os.Environ(), o.env...)
	if o.profiles != "" {
		p.cmd.Env = append(p.cmd.Env, profileVariable+"="+filepath.Join(o.profiles, name))
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	go func() { p.exited <- p.cmd.Wait() }()
	return p, nil
}

// await asks a URL until it answers 200, or the process ends.
func (p *process) await(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w: %s", p.name, ctx.Err(), p.log.String())
		case err := <-p.exited:
			p.exited <- err
			return fmt.Errorf("%s ended: %w: %s", p.name, errors.Join(err, errEnded), p.log.String())
		case <-tick.C:
		}
		if body, err := get(ctx, url); err == nil {
			return body.Body.Close() //nolint:wrapcheck // nothing was read
		}
	}
}

var errEnded = errors.New("the process has ended")

// get returns a 200 answer.
func get(ctx context.Context, url string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("making a request: %w", err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("asking: %w", err)
	}
	if answer.StatusCode != http.StatusOK {
		return nil, errors.Join(fmt.Errorf("%s answers %s", url, answer.Status), answer.Body.Close())
	}
	return answer, nil
}

// stop tells the process to end and waits for it.
func (p *process) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stopping %s: %w", p.name, err)
	}
	select {
	case err := <-p.exited:
		if err != nil {
			return fmt.Errorf("%s ended: %w: %s", p.name, err, p.log.String())
		}
		return nil
	case <-time.After(startTimeout):
		return errors.Join(fmt.Errorf("%s does not end", p.name), p.cmd.Process.Kill())
	}
}

// usage is what a process has used since its start.
type usage struct{ cpuSeconds, mallocs float64 }

// usage reads the process's own metrics.
func (p *process) usage(ctx context.Context) (usage, error) {
	if p.operations == "" {
		return usage{}, nil
	}
	answer, err := get(ctx, "http://"+p.operations+"/metrics")
	if err != nil {
		return usage{}, fmt.Errorf("reading the metrics of %s: %w", p.name, err)
	}
	defer func() { _ = answer.Body.Close() }()
	var u usage
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " ")
		number, err := strconv.ParseFloat(value, 64)
		if err != nil {
			continue // A comment.
		}
		switch name {
		case "process_cpu_seconds_total":
			u.cpuSeconds = number
		case "go_memstats_mallocs_total":
			u.mallocs = number
		}
	}
	if err := lines.Err(); err != nil {
		return usage{}, fmt.Errorf("reading the metrics of %s: %w", p.name, err)
	}
	return u, nil
}

// freeBase is a port base whose 25 ports were all free a moment ago.
func freeBase(ctx context.Context) (int, error) {
	const ports = 25
	var lc net.ListenConfig
	free := func(port int) bool {
		l, err := lc.Listen(ctx, "tcp", net.JoinHostPort(loopback, strconv.Itoa(port)))
		return err == nil && l.Close() == nil
	}
	for base := 21080; base < 32000; base += ports {
		n := 0
		for n < ports && free(base+n) {
			n++
		}
		if n == ports {
			return base, nil
		}
	}
	return 0, errors.New("no run of free ports")
}

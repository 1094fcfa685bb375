package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/domicile-api/domicile/internal/app"
	"github.com/domicile-api/domicile/internal/cli"
	"github.com/domicile-api/domicile/internal/durablefile"
	"github.com/domicile-api/domicile/internal/lambdahost"
	"github.com/domicile-api/domicile/internal/topology"
	"github.com/domicile-api/domicile/services"
)

// operationsPort is where operators find the platform: that of the control region's services.
func (d *deployment) operationsPort() int { return d.topology.OperationsPort() }

// deployment is everything that runs.
type deployment struct {
	cfg      options
	topology *topology.Topology

	loops     sync.WaitGroup
	failed    chan error
	processes []*exec.Cmd
	functions []*lambdahost.Function
	servers   []*http.Server
	files     []*os.File
}

// packed is the file with the topology as functions read it, as it is packed with them on AWS.
func (d *deployment) packed() string { return filepath.Join(d.cfg.logs, "topology.bin") }

// start begins everything. What it has begun is ended by close.
func (d *deployment) start(ctx context.Context) error {
	packed, err := topology.Marshal(d.topology)
	if err != nil {
		return fmt.Errorf("packing the topology: %w", err)
	}
	if err := os.WriteFile(d.packed(), packed, 0o600); err != nil {
		return fmt.Errorf("packing the topology: %w", err)
	}
	fronts := make(map[topology.Index]http.Handler, d.topology.Len())
	for _, i := range d.topology.Regions() {
		r := &region{deployment: d, index: i, id: string(d.topology.ID(i))}
		if err := r.startServices(ctx); err != nil {
			return fmt.Errorf("starting the services of %s: %w", r.id, err)
		}
		front, err := r.startFunctions(ctx)
		if err != nil {
			return fmt.Errorf("starting the functions of %s: %w", r.id, err)
		}
		fronts[i] = front
		if err := d.serve(ctx, d.topology.Port(i), front); err != nil {
			return err
		}
	}
	return d.serveGlobal(ctx, fronts)
}

// log opens the file that a process's output goes to. What an earlier start wrote stays in front.
func (d *deployment) log(name string) (*os.File, error) {
	path := filepath.Join(d.cfg.logs, name+".log")
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600) //nolint:gosec // the person who starts it names the folder
	if err != nil {
		return nil, fmt.Errorf("opening a log: %w", err)
	}
	d.files = append(d.files, file)
	return file, nil
}

// fail keeps the first failure of something that should go on.
func (d *deployment) fail(err error) {
	if err == nil {
		return
	}
	select {
	case d.failed <- err:
	default: // The first one is what matters.
	}
}

// loop runs something until ctx ends.
func (d *deployment) loop(ctx context.Context, name string, run func(context.Context) error) {
	d.loops.Go(func() {
		if err := run(ctx); err != nil && ctx.Err() == nil {
			d.fail(fmt.Errorf("%s: %w", name, err))
		}
	})
}

// waitReady returns when the control region's services are, which know of all others.
func (d *deployment) waitReady(ctx context.Context) error {
	url := "http://127.0.0.1:" + strconv.Itoa(d.operationsPort()) + "/readyz"
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		if answers(ctx, url) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the services of the control region did not get ready; see %s: %w", d.cfg.logs, ctx.Err())
		case err := <-d.failed:
			return err
		case <-tick.C:
		}
	}
}

func answers(ctx context.Context, url string) bool {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return false
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return false
	}
	return answer.Body.Close() == nil && answer.StatusCode == http.StatusOK
}

// announce writes the table. It appears whole.
func (d *deployment) announce() error {
	demo, err := app.ReadDemoFile(d.cfg.data)
	if err != nil {
		return err
	}
	var text bytes.Buffer
	if err := cli.Announce(&text, d.topology, demo, services.All()...); err != nil {
		return err
	}
	return durablefile.Replace(d.cfg.table, text.Bytes(), 0o600)
}

// stopTimeout is how long a process has to end by itself.
const stopTimeout = 10 * time.Second

// close ends everything, in the reverse order of its start.
func (d *deployment) close() error {
	errs := make([]error, 0, len(d.servers)+len(d.functions)+len(d.files))
	for _, server := range d.servers {
		errs = append(errs, server.Close())
	}
	d.loops.Wait()
	for _, f := range d.functions {
		errs = append(errs, f.Close())
	}
	var ending sync.WaitGroup
	for _, p := range d.processes {
		ending.Go(func() { end(p) })
	}
	ending.Wait()
	for _, file := range d.files {
		errs = append(errs, file.Close())
	}
	_ = os.Remove(d.cfg.table) // It may never have been made.
	return errors.Join(errs...)
}

// end stops a process, by force if need be.
func end(p *exec.Cmd) {
	_ = p.Process.Signal(syscall.SIGTERM) // It may have ended.
	force := time.AfterFunc(stopTimeout, func() { _ = p.Process.Kill() })
	defer force.Stop()
	_ = p.Wait() // How it ended is in its log.
}

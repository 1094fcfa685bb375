// Command awslocal runs a deployment on this machine the way AWS runs it: the services of each region as a process of
// `domicile serve --backend aws`, its functions as the binaries that Lambda runs, fed by an HTTP API, the streams of the tables, the
// queues and a schedule. What AWS itself keeps (tables, queues, keys, secrets) must be there already, at AWS_ENDPOINT_URL.
//
// infra/local/aws-local.sh makes all that and starts this; `make aws-local` is how people do.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/domicile-api/domicile/internal/topology/topologyfile"
)

// readyTimeout bounds the start, on a busy machine.
const readyTimeout = 5 * time.Minute

type options struct {
	// bin has the binaries: domicile, and functions/<name>/bootstrap.
	bin string
	// data is where demo.json goes, logs where each process's output does.
	data, logs string
	// topology is the deployment's file.
	topology   string
	deployment string
	// sweep is how often the functions sweep are called.
	sweep time.Duration
	// table is a file that says where everything is and what to try first. It is made when everything answers, and goes when it ends.
	table string
}

func main() {
	var cfg options
	flag.StringVar(&cfg.bin, "bin", "bin", "folder with domicile, and functions/<name>/bootstrap for each function")
	flag.StringVar(&cfg.data, "data", ".domicile", "folder for demo.json")
	flag.StringVar(&cfg.logs, "logs", ".domicile/aws/logs", "folder for the output of all processes")
	flag.StringVar(&cfg.topology, "topology", "", "topology file, with an endpoint and a services_endpoint of this machine for each region")
	flag.StringVar(&cfg.deployment, "deployment", "", "the deployment's name")
	flag.DurationVar(&cfg.sweep, "sweep", time.Minute, "how often the sweep functions are called")
	flag.StringVar(&cfg.table, "table", ".domicile/aws/table", "file to make when everything answers: where it is and what to try first")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, cfg); err != nil {
		slog.Error("the local deployment stopped", slog.Any("error", err))
		os.Exit(1) //nolint:gocritic // stop only restores signals, which the end does too
	}
}

// run starts everything and waits until ctx ends, or until something fails that should go on.
func run(ctx context.Context, cfg options) (err error) {
	if os.Getenv("AWS_ENDPOINT_URL") == "" {
		return errors.New("AWS_ENDPOINT_URL is not set: this is for an emulator of AWS on this machine, not for an account")
	}
	topo, err := topologyfile.Load(cfg.topology)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(cfg.logs, 0o750); err != nil {
		return fmt.Errorf("making the folder of the logs: %w", err)
	}
	d := &deployment{cfg: cfg, topology: topo, failed: make(chan error, 1)}
	defer func() { err = errors.Join(err, d.close()) }()
	running, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := d.start(running); err != nil {
		return err
	}
	ready, give := context.WithTimeout(ctx, readyTimeout)
	defer give()
	if err := d.waitReady(ready); err != nil {
		return err
	}
	if err := d.announce(); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-d.failed:
		return err
	}
}

// Command bench measures Domicile and prints one table: each figure beside its bound, or beside a peer that was measured in the same
// run. Nothing is asserted: a figure is for people to judge, on the machine that gave it.
//
// It runs the Go benchmarks of the packages whose bounds are in the table, and then real processes: the home region's services, the edge
// of another region, a plain httputil.ReverseProxy in the edge's place, and, if it is asked to, other proxies. All of them are called in
// turns, round after round, so that a machine's noise hits all alike; the table has medians of rounds, and ratios of what stood
// beside each other in one round. The load comes from this process, so client, edge and service share the machine's cores.
//
// What the platform asks of AWS is measured over a stand-in for AWS in memory: calls and request units, one tenant's commits against
// transactions that take their time, and the functions as they are deployed, from their execution on.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// options are what the command line says.
type options struct {
	// rounds of all calls, round the time of one cell, conns the connections of a loaded cell.
	rounds, conns int
	round         time.Duration
	// tenants is how many the edge's directory has beside those of the demonstration.
	tenants int
	// goRounds of the Go benchmarks, each benchtime long; 0: none.
	goRounds  int
	benchtime time.Duration
	// awsRounds of what is measured of the platform on AWS; 0: none.
	awsRounds int
	// caddy is a Caddy binary to measure as well; profiles a folder for profiles of the processes; both may be empty.
	caddy, profiles string
	// env is what a process gets besides this one's environment.
	env []string
}

func main() {
	if len(os.Args) > 1 {
		if role, ok := roles[os.Args[1]]; ok {
			os.Exit(role(os.Args[2:]))
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		_, _ = fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&o.rounds, "rounds", 7, "rounds of calls; each round calls every way in turn; 0: no calls")
	flags.DurationVar(&o.round, "round", 300*time.Millisecond, "time of one cell of a round")
	flags.IntVar(&o.conns, "conns", 32, "connections of a loaded cell")
	flags.IntVar(&o.tenants, "tenants", 1_000_000, "tenants in the edge's directory, beside the one that calls")
	flags.IntVar(&o.goRounds, "go-rounds", 3, "rounds of the Go benchmarks; 0: none")
	flags.DurationVar(&o.benchtime, "benchtime", 500*time.Millisecond, "time of one Go benchmark")
	flags.IntVar(&o.awsRounds, "aws-rounds", 5, "rounds of what is measured of the platform on AWS; 0: none")
	flags.StringVar(&o.caddy, "caddy", "", "a Caddy binary to measure beside the edge")
	flags.StringVar(&o.profiles, "profiles", "", "folder for CPU and allocation profiles of the processes")
	if err := flags.Parse(args); err != nil {
		return o, fmt.Errorf("reading the flags: %w", err)
	}
	if o.round <= 0 || o.conns < 1 || o.rounds < 0 || o.goRounds < 0 || o.awsRounds < 0 || o.tenants < 0 {
		return o, errors.New("-round, -conns, -rounds, -go-rounds, -aws-rounds and -tenants are not negative, and the first two not zero")
	}
	return o, nil
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "domicile-bench-")
	if err != nil {
		return fmt.Errorf("making a folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	t := &table{note: fmt.Sprintf("%s, %d CPUs shared by client, edge and service; medians of %d rounds (on AWS %d), (lowest–highest)",
		runtime.Version(), runtime.NumCPU(), o.rounds, o.awsRounds)}
	if o.goRounds > 0 {
		if err := goBenchmarks(ctx, o, filepath.Join(dir, "packages"), t, stderr); err != nil {
			return err
		}
	}
	if o.rounds > 0 {
		if err := callBenchmarks(ctx, o, dir, t, stderr); err != nil {
			return err
		}
	}
	if o.awsRounds > 0 {
		if err := awsBenchmarks(ctx, o, filepath.Join(dir, "aws"), t, stderr); err != nil {
			return err
		}
	}
	return t.print(stdout)
}

// callBenchmarks starts the processes, calls them and adds the rows.
func callBenchmarks(ctx context.Context, o options, dir string, t *table, stderr io.Writer) (err error) {
	_, _ = fmt.Fprintln(stderr, "starting the processes")
	s, err := startStack(ctx, o, filepath.Join(dir, "data"))
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, s.stop()); err != nil {
			err = fmt.Errorf("%w\n%s", err, s.logs())
		}
	}()
	cells, err := measure(ctx, o, s, stderr)
	if err != nil {
		return err
	}
	cells.rows(o, s, t)
	return nil
}

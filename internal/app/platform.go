package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/routing"
	"github.com/domicile-api/domicile/internal/rpc"
	"github.com/domicile-api/domicile/internal/seal"
	"github.com/domicile-api/domicile/internal/store/tracestore"
)

// closeTimeout bounds how long accepted mutations may take to get their outcome when the process stops.
const closeTimeout = time.Second

// Platform is what a process runs: regions, their ports, and the loops behind them.
type Platform struct {
	cfg      Config
	tracing  *Tracing
	registry *prometheus.Registry
	logger   *slog.Logger
	services []protoreflect.ServiceDescriptor
	methods  *routing.Methods
	regions  []*region
	courier  *seal.InProcess
	tables   *tables
	demo     DemoFile

	listeners map[string]*listener
	// cancel ends the loops; loops waits for them; failed gets the first failure of anything that should go on.
	cancel context.CancelFunc
	loops  sync.WaitGroup
	failed chan error
	ready  atomic.Bool
	closed sync.Once
}

// Start opens everything and begins to serve. It returns when all ports are open; WaitReady tells when all can answer. What was
// opened before a failure is closed again.
func Start(ctx context.Context, cfg Config) (*Platform, error) {
	p := &Platform{
		cfg: cfg, logger: cfg.Logger, registry: prometheus.NewRegistry(), courier: seal.NewInProcess(),
		listeners: map[string]*listener{}, failed: make(chan error, 1),
	}
	loops, cancel := context.WithCancel(context.WithoutCancel(ctx))
	p.cancel = cancel
	if err := p.start(ctx, loops); err != nil {
		return nil, errors.Join(err, p.Close()) //nolint:contextcheck // What was opened is closed also when ctx has ended.
	}
	return p, nil
}

func (p *Platform) start(ctx, loops context.Context) error {
	p.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	var err error
	if p.tracing, err = NewTracing(ctx, p.cfg.Env); err != nil {
		return err
	}
	for _, id := range p.cfg.regions() {
		r, err := openRegion(p.cfg, id) //nolint:contextcheck // See Start.
		if err != nil {
			return err
		}
		p.regions = append(p.regions, r)
		if r.regional != nil && p.tracing.Provider != nil {
			r.regional = tracestore.New(r.regional, p.tracing.Provider, regionalTable)
		}
	}
	if err := p.openRegions(ctx); err != nil {
		return err
	}
	if err := p.serve(ctx); err != nil {
		return err
	}
	p.tables.run(loops, p.loop)
	for _, r := range p.regions {
		r.run(func(name string, run func(context.Context) error) { p.loop(loops, name, run) })
	}
	p.loop(loops, "seeding", p.seed)
	return nil
}

// openRegions puts the regions' components together. All directories are opened before any data, since keys travel between regions.
func (p *Platform) openRegions(ctx context.Context) error {
	var err error
	if p.tables, err = openTables(ctx, p.cfg, p.regions); err != nil {
		return err
	}
	for _, r := range p.regions {
		if err := r.openDirectory(p.cfg, p.tables.of(r.id)); err != nil {
			return err
		}
		if !p.cfg.EdgeOnly {
			if err := r.openData(p.cfg, p.courier); err != nil {
				return err
			}
		}
	}
	if err := p.describeServices(); err != nil {
		return err
	}
	metrics := newCallMetrics(p.registry)
	for _, r := range p.regions {
		local, err := p.servicesOf(r)
		if err != nil {
			return fmt.Errorf("mounting the services of %s: %w", r.id, err)
		}
		if r.edge, err = p.newEdge(r, local, metrics.at(r.id)); err != nil {
			return err
		}
	}
	return nil
}

// serve opens the ports.
func (p *Platform) serve(ctx context.Context) error {
	for _, r := range p.regions {
		if err := p.open(ctx, string(r.id), p.cfg.Topology.Port(r.index), rpc.CORS(r.edge)); err != nil {
			return err
		}
	}
	if p.cfg.Global {
		global, err := p.globalName()
		if err != nil {
			return err
		}
		if err := p.open(ctx, "the global name", p.cfg.Topology.GlobalPort(), rpc.CORS(global)); err != nil {
			return err
		}
	}
	ops := opsPort{ready: p.notReady, metrics: p.registry, operators: p.regions[0].edge}
	return p.open(ctx, "operations", p.cfg.OperationsPort, ops.handler())
}

func (p *Platform) open(ctx context.Context, name string, port int, handler http.Handler) error {
	server := rpc.NewServer(rpc.ServerConfig{Handler: handler, Logger: p.logger})
	l, err := p.cfg.listen(ctx, name, port, server)
	if err != nil {
		return err
	}
	p.listeners[name] = l
	p.loops.Go(func() { p.fail(l.serve()) })
	return nil
}

// loop runs something that should go on until its context ends.
func (p *Platform) loop(ctx context.Context, name string, run func(context.Context) error) {
	p.loops.Go(func() {
		if err := run(ctx); err != nil && ctx.Err() == nil {
			p.fail(fmt.Errorf("%s: %w", name, err))
		}
	})
}

// fail keeps the first failure, for Wait.
func (p *Platform) fail(err error) {
	if err == nil {
		return
	}
	select {
	case p.failed <- err:
	default: // The first one is what matters.
	}
}

// Wait returns when ctx ends (nil), or when something that should go on has failed.
func (p *Platform) Wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case err := <-p.failed:
		return err
	}
}

// Close stops everything, in the reverse order of its start. It may be called more than once.
func (p *Platform) Close() error {
	var errs []error
	p.closed.Do(func() {
		p.ready.Store(false)
		errs = append(errs, p.stopListeners())
		p.cancel()
		p.loops.Wait()
		errs = append(errs, p.closeRegions())
		if p.tracing != nil {
			ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
			defer cancel()
			errs = append(errs, p.tracing.Shutdown(ctx))
		}
	})
	return errors.Join(errs...)
}

// stopListeners lets open calls end on all ports at once.
func (p *Platform) stopListeners() error {
	stops := make([]func() error, 0, len(p.listeners))
	for _, l := range p.listeners {
		stops = append(stops, l.stop)
	}
	return together(stops)
}

// closeRegions closes all regions at once: none needs another for it, and each may take closeTimeout.
func (p *Platform) closeRegions() error {
	closes := make([]func() error, 0, len(p.regions))
	for _, r := range p.regions {
		closes = append(closes, r.close)
	}
	return together(closes)
}

// together runs functions at the same time and returns all their errors.
func together(run []func() error) error {
	var wg sync.WaitGroup
	errs := make(chan error, len(run))
	for _, f := range run {
		wg.Go(func() { errs <- f() })
	}
	wg.Wait()
	close(errs)
	var all []error
	for err := range errs {
		all = append(all, err)
	}
	return errors.Join(all...)
}

// Endpoint is the URL of a region.
func (p *Platform) Endpoint(id ident.RegionID) string {
	i, _ := p.cfg.Topology.Index(id)
	return p.cfg.Topology.Endpoint(i)
}

// OperationsURL is the URL of the operations port.
func (p *Platform) OperationsURL() string {
	host := p.cfg.Host
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, strconv.Itoa(p.cfg.OperationsPort))
}

// Demo is what demo.json says. It is complete once the platform is ready.
func (p *Platform) Demo() DemoFile { return p.demo }

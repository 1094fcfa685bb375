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

	"github.com/domicile-api/domicile/internal/edge"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/residency"
	"github.com/domicile-api/domicile/internal/routing"
	"github.com/domicile-api/domicile/internal/rpc"
)

// operatorsTimeout bounds an operator's call: some look at all data of all regions.
const operatorsTimeout = 10 * time.Minute

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
	catalog  *residency.Catalog
	calls    *callMetrics
	// paths knows the services' own paths, which go before those of the portal.
	paths *edge.Matcher
	// nodes are the regions of this process; network is how they reach each other and those of other processes.
	nodes   []*node
	network *network
	demo    DemoFile

	// listeners are the ports that are no region's.
	listeners []*listener
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
	p := &Platform{cfg: cfg, logger: cfg.Logger, registry: prometheus.NewRegistry(), failed: make(chan error, 1)}
	loops, cancel := context.WithCancel(context.WithoutCancel(ctx))
	p.cancel = cancel
	if err := p.start(ctx, loops); err != nil {
		return nil, errors.Join(err, p.Close()) //nolint:contextcheck // What was opened is closed also when ctx has ended.
	}
	return p, nil
}

func (p *Platform) start(ctx, loops context.Context) error {
	p.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	p.calls = newCallMetrics(p.registry)
	var err error
	if p.tracing, err = NewTracing(ctx, p.cfg.Env); err != nil {
		return err
	}
	if err := p.describeServices(); err != nil {
		return err
	}
	if err := p.openPortal(); err != nil {
		return err
	}
	if p.catalog, err = residency.NewCatalog(entitiesOf(p.cfg)...); err != nil {
		return fmt.Errorf("reading the entities of the services: %w", err)
	}
	p.network = newNetwork(p.cfg)
	for _, id := range p.cfg.regions() {
		n, err := p.newNode(loops, id)
		if err != nil {
			return err
		}
		p.nodes = append(p.nodes, n)
	}
	p.registry.MustRegister(syncMetrics{p.nodes})
	for _, n := range p.nodes {
		if err := n.prepare(ctx); err != nil {
			return err
		}
	}
	for _, n := range p.nodes {
		n.region().run()
	}
	if err := p.serve(ctx); err != nil {
		return err
	}
	p.loop(loops, "seeding", p.seed)
	p.warmPortal()
	return nil
}

// newNode makes the place of a region. Its region lives as long as loops, or until it is killed.
func (p *Platform) newNode(loops context.Context, id ident.RegionID) (*node, error) {
	index, ok := p.cfg.Topology.Index(id)
	if !ok {
		return nil, fmt.Errorf("region %s is not in the topology", id)
	}
	n := &node{id: id, index: index}
	n.open = func(ctx context.Context) (*region, error) { return p.openRegion(ctx, loops, n) }
	return n, nil
}

// regions returns those that run.
func (p *Platform) regions() []*region {
	running := make([]*region, 0, len(p.nodes))
	for _, n := range p.nodes {
		if r := n.region(); r != nil {
			running = append(running, r)
		}
	}
	return running
}

// serve opens the ports that are no region's.
func (p *Platform) serve(ctx context.Context) error {
	if p.cfg.Global {
		global, err := p.globalName()
		if err != nil {
			return err
		}
		if err := p.open(ctx, "the global name", p.cfg.Topology.GlobalPort(), rpc.ServerConfig{
			Handler: rpc.CORS(p.besidePortal(global, p.newPortal(nil))),
		}); err != nil {
			return err
		}
	}
	ops := opsPort{ready: p.notReady, metrics: p.registry, operators: p.operators()}
	return p.open(ctx, "operations", p.cfg.OperationsPort, rpc.ServerConfig{Handler: ops.handler(), CallTimeout: operatorsTimeout})
}

// operators returns what answers operators' calls: the edge of the control region if it is in this process, which takes no other region
// to be there, and else that of any.
func (p *Platform) operators() http.Handler {
	for _, n := range p.nodes {
		if n.index == p.cfg.Topology.Control() {
			return n
		}
	}
	return p.nodes[0]
}

func (p *Platform) open(ctx context.Context, name string, port int, cfg rpc.ServerConfig) error {
	cfg.Logger = p.logger
	server := rpc.NewServer(cfg)
	l, err := p.cfg.listen(ctx, name, port, server)
	if err != nil {
		return err
	}
	p.listeners = append(p.listeners, l)
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
		errs = append(errs, p.stopListeners(), p.stopNodes())
		p.cancel()
		p.loops.Wait()
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

// stopNodes stops all regions at once: none needs another for it, and each may take closeTimeout.
func (p *Platform) stopNodes() error {
	stops := make([]func() error, 0, len(p.nodes))
	for _, n := range p.nodes {
		stops = append(stops, n.stop)
	}
	return together(stops)
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

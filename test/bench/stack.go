package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	directoryv1 "github.com/domicile-api/domicile/gen/domicile/directory/v1"
	tenancyv1 "github.com/domicile-api/domicile/gen/domicile/tenancy/v1"
	"github.com/domicile-api/domicile/internal/app"
	"github.com/domicile-api/domicile/internal/directory"
	"github.com/domicile-api/domicile/internal/topology"
)

const (
	loopback = "127.0.0.1"
	// The tenant that calls, its home, and the region whose edge it calls. The tenant has no standby, so that its home can be started alone.
	caller = "acme-sg"
	home   = "ap-southeast-1"
	abroad = "us-east-1"
)

// The ways to the home region.
const (
	wayDirect = "direct"
	wayPlain  = "plain proxy"
	wayEdge   = "edge"
	wayCaddy  = "Caddy"
)

// way is one address at which the home region is reached, and the process between, if there is one.
type way struct {
	name    string
	address string
	process *process
}

// stack is all that runs.
type stack struct {
	key     string
	service *process
	ways    []way
	started []*process
}

// stop ends all processes, the newest first.
func (s *stack) stop() error {
	var errs []error
	for _, p := range slices.Backward(s.started) {
		errs = append(errs, p.stop())
	}
	return errors.Join(errs...)
}

// logs are what the processes complained of.
func (s *stack) logs() string {
	var all strings.Builder
	for _, p := range s.started {
		all.WriteString(p.log.String())
	}
	return all.String()
}

// ports of one run.
type ports struct{ base int }

func (p ports) at(offset int) string { return net.JoinHostPort(loopback, strconv.Itoa(p.base+offset)) }

// The offsets of the default topology, and beyond them those of proxies.
const (
	homePort       = 5
	abroadPort     = 3
	devOperations  = 10
	homeOperations = homePort + topology.OperationsOffset
	edgeOperations = abroadPort + topology.OperationsOffset
	proxyPort      = 20
	proxyMetrics   = 21
	caddyPort      = 22
)

// startStack makes a platform's data, and starts the home region, another region's edge and the plain proxy on it.
func startStack(ctx context.Context, o options, data string) (*stack, error) {
	base, err := freeBase(ctx)
	if err != nil {
		return nil, err
	}
	at := ports{base}
	s := &stack{}
	if err := s.prepare(ctx, o, data, at); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	if err := s.start(ctx, o, data, at); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

// prepare lets all regions run once in one process, so that they know each other and the tenants, and enlarges the directory copy that the
// edge will start from.
func (s *stack) prepare(ctx context.Context, o options, data string, at ports) error {
	o.profiles = ""
	dev, err := startProcess(ctx, o, "dev", at.at(devOperations), "",
		roleDomicile, "dev", "--data", data, "--port-base", strconv.Itoa(at.base))
	if err != nil {
		return err
	}
	err = dev.await(ctx, "http://"+at.at(devOperations)+"/readyz")
	if err := errors.Join(err, dev.stop()); err != nil {
		return fmt.Errorf("preparing the data: %w: %s", err, dev.log.String())
	}
	if err := s.readKey(data); err != nil {
		return err
	}
	return enlarge(filepath.Join(data, abroad, "directory.snapshot"), o.tenants)
}

// readKey finds the tenant's key.
func (s *stack) readKey(data string) error {
	demo, err := app.ReadDemoFile(data)
	if err != nil {
		return fmt.Errorf("reading the demonstration's keys: %w", err)
	}
	for _, t := range demo.Tenants {
		if t.ID == caller {
			s.key = t.APIKey
			return nil
		}
	}
	return fmt.Errorf("the demonstration has no tenant %s", caller)
}

// enlarge adds tenants to a directory copy.
func enlarge(path string, n int) error {
	var records collector
	loaded, err := directory.LoadSnapshot(path, &records)
	if err != nil {
		return fmt.Errorf("reading the directory copy: %w", err)
	}
	homes := []string{home, abroad, "eu-central-1", "sa-east-1"}
	err = directory.SaveSnapshot(path, loaded.Positions, func(yield func(*directoryv1.Record) bool) {
		for _, r := range records {
			if !yield(r) {
				return
			}
		}
		for i := range n {
			if !yield(&directoryv1.Record{Writer: abroad, Wseq: uint64(i + 1), Subject: &directoryv1.Record_Tenant{Tenant: &tenancyv1.Tenant{
				Id: "customer-" + strconv.Itoa(i), Home: homes[i%len(homes)], Standby: "none", Epoch: 1,
				Transit: tenancyv1.Transit_TRANSIT_FORWARD, Projections: tenancyv1.Projections_PROJECTIONS_EVERYWHERE,
				State: tenancyv1.TenantState_TENANT_STATE_ACTIVE,
			}}}) {
				return
			}
		}
	})
	if err != nil {
		return fmt.Errorf("writing the directory copy: %w", err)
	}
	return nil
}

// collector is a directory.Sink that keeps all.
type collector []*directoryv1.Record

// Apply implements directory.Sink.
func (c *collector) Apply(records []*directoryv1.Record) { *c = append(*c, records...) }

func (s *stack) start(ctx context.Context, o options, data string, at ports) error {
	add := func(name, operations, ready, path string, args ...string) (*process, error) {
		p, err := startProcess(ctx, o, strings.ReplaceAll(name, " ", "-"), operations, path, args...)
		if err != nil {
			return nil, err
		}
		s.started = append(s.started, p)
		return p, p.await(ctx, ready)
	}
	serve := func(name, region, operations string, more ...string) (*process, error) {
		args := append([]string{roleDomicile, "serve", "--data", data, "--port-base", strconv.Itoa(at.base), "--region", region}, more...)
		return add(name, operations, "http://"+operations+"/readyz", "", args...)
	}
	var err error
	if s.service, err = serve("service", home, at.at(homeOperations)); err != nil {
		return err
	}
	edge, err := serve(wayEdge, abroad, at.at(edgeOperations), "--role", "edge")
	if err != nil {
		return err
	}
	plain, err := add(wayPlain, at.at(proxyMetrics), "http://"+at.at(proxyMetrics)+"/readyz", "",
		roleProxy, "-listen", at.at(proxyPort), "-operations", at.at(proxyMetrics), "-target", "http://"+at.at(homePort),
		"-key", filepath.Join(data, abroad, "route.key"), "-origin", abroad, "-home", home, "-tenant", caller)
	if err != nil {
		return err
	}
	s.ways = []way{{wayDirect, at.at(homePort), nil}, {wayPlain, at.at(proxyPort), plain}, {wayEdge, at.at(abroadPort), edge}}
	if o.caddy == "" {
		return nil
	}
	config := filepath.Join(data, "caddy.json")
	if err := writeCaddyConfig(config, at); err != nil {
		return err
	}
	caddy, err := add(wayCaddy, at.at(caddyAdmin), "http://"+at.at(caddyAdmin)+"/config/", o.caddy, "run", "--config", config)
	if err != nil {
		return err
	}
	s.ways = append(s.ways, way{wayCaddy, at.at(caddyPort), caddy})
	return nil
}

package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/domicile-api/domicile/internal/credential"
	"github.com/domicile-api/domicile/internal/ident"
)

// errStarting says that a platform is not ready and nothing is wrong.
var errStarting = errors.New("regions are learning of each other")

// readyPoll is how often WaitReady and WaitKnown look again.
const readyPoll = 5 * time.Millisecond

// seed makes what a platform needs before anyone can ask it for more, waits until each region knows all of it and of the others, writes
// it to the file, and calls the platform ready.
func (p *Platform) seed(ctx context.Context) error {
	if err := p.seedControl(ctx); err != nil {
		return err
	}
	if err := p.poll(ctx, p.allKnown); err != nil {
		return err
	}
	p.ready.Store(true)
	return nil
}

// seedControl runs in the process of the control region only: it alone writes tenants and keys.
func (p *Platform) seedControl(ctx context.Context) error {
	control := p.cfg.Topology.Control()
	for _, r := range p.regions() {
		if r.index != control || r.writer == nil {
			continue
		}
		if _, located := p.cfg.Backend.(Located); located && !p.cfg.Demo {
			continue // Nobody reads this process's folder; see NewOperatorKey.
		}
		path := demoPath(p.cfg)
		known, err := readDemoFile(path)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			p.logger.WarnContext(ctx, "the file of an earlier start cannot be used; new keys are made", "error", err)
		}
		s := seeder{topo: p.cfg.Topology, writer: r.writer, random: p.cfg.Random, clock: p.cfg.Clock}
		if p.demo, err = s.seed(ctx, known, p.cfg.Demo); err != nil {
			return err
		}
		if err := p.poll(ctx, p.allKnown); err != nil {
			return err
		}
		p.demo.Server = p.OperationsURL()
		if located, ok := p.cfg.Backend.(Located); ok {
			p.demo.Cloud = located.Cloud()
		}
		return p.demo.write(path)
	}
	return nil
}

// allKnown returns nil when each region of the process knows the others' route keys, the operator's key, and the seeded tenants.
func (p *Platform) allKnown() error {
	for _, r := range p.regions() {
		if r.writer == nil {
			continue
		}
		for _, other := range p.regions() {
			if _, ok := r.directory.Index.RouteKey(other.id, other.routeKey.id); !ok {
				return fmt.Errorf("%s does not know the route key of %s yet: %w", r.id, other.id, errStarting)
			}
			if err := r.tokens.ready(); err != nil {
				return fmt.Errorf("%s cannot authenticate tokens yet: %w", r.id, err)
			}
		}
		for _, t := range p.demo.Tenants {
			if err := r.knowsKey(t.APIKey); err != nil {
				return err
			}
		}
		if p.demo.OperatorKey != "" {
			if err := r.knowsKey(p.demo.OperatorKey); err != nil {
				return err
			}
		}
	}
	return nil
}

// knowsKey returns nil when the region's directory has a key, and its tenant.
func (r *region) knowsKey(full string) error {
	k, err := credential.Parse(full)
	if err != nil {
		return fmt.Errorf("reading a seeded key: %w", err)
	}
	if _, ok := r.directory.Index.KeyVerifier(k.Tenant, k.ID); !ok {
		return fmt.Errorf("%s does not know key %s yet: %w", r.id, k.ID, errStarting)
	}
	return r.knowsTenant(k.Tenant)
}

func (r *region) knowsTenant(id ident.TenantID) error {
	if id == "" {
		return nil // An operator's.
	}
	if _, ok := r.directory.Index.Tenant(string(id)); !ok {
		return fmt.Errorf("%s does not know tenant %s yet: %w", r.id, id, errStarting)
	}
	return nil
}

// notReady returns what is still missing, or nil.
func (p *Platform) notReady() error {
	if !p.ready.Load() {
		return errStarting
	}
	return nil
}

// WaitReady returns when the platform can answer everywhere, or has failed, or ctx ends.
func (p *Platform) WaitReady(ctx context.Context) error { return p.poll(ctx, p.notReady) }

// WaitKnown returns when each region of the process knows a tenant and a key of it.
func (p *Platform) WaitKnown(ctx context.Context, tenant ident.TenantID, keyID string) error {
	return p.poll(ctx, func() error {
		for _, r := range p.regions() {
			if err := r.knowsTenant(tenant); err != nil {
				return err
			}
			if _, ok := r.directory.Index.KeyVerifier(tenant, keyID); !ok {
				return errStarting
			}
		}
		return nil
	})
}

// poll asks until there is nothing missing.
func (p *Platform) poll(ctx context.Context, missing func() error) error {
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	for {
		err := missing()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w (waiting: %w)", err, ctx.Err())
		case failure := <-p.failed:
			p.fail(failure) // Wait returns it too.
			return failure
		case <-tick.C:
		}
	}
}

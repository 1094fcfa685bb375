package app

import (
	"fmt"
	"net/http"

	"connectrpc.com/connect"

	"github.com/domicile-api/domicile"
	"github.com/domicile-api/domicile/guard"
	"github.com/domicile-api/domicile/internal/directory"
	"github.com/domicile-api/domicile/internal/idempotency"
	"github.com/domicile-api/domicile/internal/rpc/mount"
	"github.com/domicile-api/domicile/services/operations"
	"github.com/domicile-api/domicile/services/settings"
	"github.com/domicile-api/domicile/services/tenancy"
)

// mountServices makes the handlers of a region's services behind the guard.
func (r *region) mountServices(p *Platform) (http.Handler, error) {
	regional := domicile.Runtime{Entities: r.entities}
	var err error
	if regional.HandlerOptions, err = r.handlerOptions(p, r.tokens.service, idempotency.New(idempotency.Config{
		Store: r.regional, Sealer: r.keys, Jurisdiction: p.cfg.Topology.Jurisdiction(r.index), Clock: p.cfg.Clock,
	})); err != nil {
		return nil, err
	}
	// Calls of the platform's own services commit to the directory, so their repetitions are looked up in this region's log.
	log := directory.NewReader(directory.ReaderConfig{Table: r.res.Directory, Control: r.id})
	platform := domicile.Runtime{Entities: r.entities}
	if platform.HandlerOptions, err = r.handlerOptions(p, r.tokens.service, tenancy.Replayer{Log: log}); err != nil {
		return nil, err
	}
	// Answers to writes of settings lie beside the settings.
	everywhere := domicile.Runtime{Entities: r.entities}
	if everywhere.HandlerOptions, err = r.handlerOptions(p, settingsTokens{r.tokens.service, r.settings}, r.settings.kept); err != nil {
		return nil, err
	}
	var mounts []mount.Mount
	add := func(s domicile.Service, rt domicile.Runtime) error {
		m, err := register(s, rt, p.services)
		mounts = append(mounts, m)
		return err
	}
	for _, s := range []domicile.Service{r.tenancy(p), r.operations(p)} {
		if err := add(s, platform); err != nil {
			return nil, err
		}
	}
	if err := add(settings.Service(r.settings.kept), everywhere); err != nil {
		return nil, err
	}
	for _, s := range p.cfg.Services {
		if err := add(s, regional); err != nil {
			return nil, err
		}
	}
	for _, m := range mounts {
		r.serves = append(r.serves, m.ServiceName())
	}
	return mount.NewHandler(mount.HandlerConfig{Region: r.id, Release: Build().Release(), Mounts: mounts, Guard: r.guard(p)})
}

func (r *region) handlerOptions(p *Platform, tokens mount.Tokens, replayer idempotency.Replayer) ([]connect.HandlerOption, error) {
	options, err := mount.HandlerOptions(mount.Config{
		Authenticator: authenticator{credentials: r.directory.Credentials, region: r.index, index: r.directory.Index},
		Replayer:      replayer, Tokens: tokens, Logger: r.logger, Clock: p.cfg.Clock, Tracer: p.tracing.Provider, Propagator: p.tracing.Propagator,
	})
	if err != nil {
		return nil, fmt.Errorf("making the handlers' options: %w", err)
	}
	return options, nil
}

func (r *region) guard(p *Platform) func(http.Handler) http.Handler {
	return guard.New(guard.Config{
		Region: string(r.id), Jurisdiction: string(p.cfg.Topology.Jurisdiction(r.index)), Clock: p.cfg.Clock,
		Keys: r.routeKeyOf,
		Epoch: func(tenant string) (uint64, bool) {
			t, known := r.directory.Index.Tenant(tenant)
			return uint64(t.Epoch), known
		},
	})
}

func (r *region) tenancy(p *Platform) domicile.Service {
	return tenancy.Service(tenancy.Config{
		Topology: p.cfg.Topology, Writer: r.writer, Reader: r.directory.Reader, Resolver: r.directory.Resolver,
		Methods: p.methods, Health: healthy,
		PageKey: r.routeKey.derive("page tokens"), Clock: p.cfg.Clock, Random: p.cfg.Random,
	})
}

func (r *region) operations(p *Platform) domicile.Service {
	return operations.Service(operations.Config{
		Topology: p.cfg.Topology, Resolver: r.directory.Resolver, Methods: p.methods,
		Health: healthy, Regions: operators{r}, Faults: p.faults(),
	})
}

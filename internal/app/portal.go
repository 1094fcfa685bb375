package app

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	"github.com/domicile-api/domicile/internal/edge"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/peer"
	"github.com/domicile-api/domicile/internal/rpc"
	"github.com/domicile-api/domicile/internal/topology"
)

// Portal makes what developers are served without a tenant, at the ports of a region or at the global name. internal/app/developers has one; it is no
// part of this package so that functions do not link it.
type Portal func(Site) (http.Handler, error)

// Site is what a portal is made for.
type Site struct {
	// Topology is the deployment's; Region is the site's own, or topology.NoRegion for the one at the global name.
	Topology *topology.Topology
	Region   topology.Index
	// GlobalURL is the global name's; empty: this process does not serve it.
	GlobalURL string
	// Services are the full names of those that the process runs; nil: all.
	Services []string
	// Look asks the other regions whether they answer, and says from which region it asks: none, if none can.
	Look func(ctx context.Context) (from ident.RegionID, seen map[ident.RegionID]Sight)
	// Clock is the process's.
	Clock func() time.Time
}

// Sight is what a region sees of another.
type Sight struct {
	// Asked says that the other region was asked at all; Answered, that it answered.
	Asked, Answered bool
	// RoundTrip is how long the answer took.
	RoundTrip time.Duration
}

// openPortal finds out which paths are the services' own: they go before the portal's.
func (p *Platform) openPortal() error {
	var err error
	if p.paths, err = edge.NewMatcher(p.services...); err != nil {
		return fmt.Errorf("reading the services' paths: %w", err)
	}
	return nil
}

// besidePortal puts a portal before an edge.
func (p *Platform) besidePortal(e http.Handler, made *lazyPortal) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if made != nil && rpc.IsDocumentation(r.URL.Path) {
			if method, allow := p.paths.Match(r.Method, r.URL.Path); method == nil && allow == "" {
				made.ServeHTTP(w, r)
				return
			}
		}
		e.ServeHTTP(w, r)
	})
}

// lazyPortal is a portal that is made when it is first asked for: laying a region's part over the documents takes a while, and most
// regions of a process on somebody's machine are never asked.
type lazyPortal struct {
	logger *slog.Logger
	once   func() (http.Handler, error)
}

// newPortal makes the portal of a region; nil stands for the global name. It is nil where the process has none.
func (p *Platform) newPortal(r *region) *lazyPortal {
	if p.cfg.Portal == nil {
		return nil
	}
	return &lazyPortal{logger: p.logger, once: sync.OnceValues(func() (http.Handler, error) {
		site := Site{Topology: p.cfg.Topology, Region: topology.NoRegion, GlobalURL: p.globalURL(), Look: p.look, Clock: p.cfg.Clock}
		if r != nil {
			site.Region, site.Services, site.Look = r.index, r.serves, r.look(p.cfg.Topology)
		}
		return p.cfg.Portal(site)
	})}
}

// warmPortal makes the portal of the first region, so that its first reader does not wait, and documents of which none can be made end the
// process early.
func (p *Platform) warmPortal() {
	if p.cfg.Portal == nil {
		return
	}
	first := p.nodes[0].region().portal
	p.loops.Go(func() {
		if _, err := first.once(); err != nil {
			p.fail(fmt.Errorf("making the portal: %w", err))
		}
	})
}

// ServeHTTP implements http.Handler.
func (l *lazyPortal) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	made, err := l.once()
	if err != nil {
		l.logger.ErrorContext(r.Context(), "the portal could not be made", slog.Any("error", err))
		rpc.WriteError(w, r, fault.Wrap(errorsv1.Reason_REASON_INTERNAL, err, "an internal error"))
		return
	}
	made.ServeHTTP(w, r)
}

// globalURL is where this process serves the global name; empty: it does not.
func (p *Platform) globalURL() string {
	if !p.cfg.Global {
		return ""
	}
	host := p.cfg.Host
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, strconv.Itoa(p.cfg.Topology.GlobalPort()))
}

// look asks all other regions whether they answer.
func (r *region) look(t *topology.Topology) func(context.Context) (ident.RegionID, map[ident.RegionID]Sight) {
	return func(ctx context.Context) (ident.RegionID, map[ident.RegionID]Sight) {
		seen := make(map[ident.RegionID]Sight, t.Len())
		if r.edgeOnly {
			return r.id, seen // An edge alone has no way to other regions but that of the calls it forwards.
		}
		var (
			asking sync.WaitGroup
			mu     sync.Mutex
			sender = peer.NewSender(r.peers)
		)
		for _, id := range t.IDs() {
			if id == r.id {
				continue
			}
			asking.Go(func() {
				begin := time.Now()
				err := sender.Compare(ctx, id)
				mu.Lock()
				defer mu.Unlock()
				seen[id] = Sight{Asked: true, Answered: err == nil, RoundTrip: time.Since(begin)}
			})
		}
		asking.Wait()
		return r.id, seen
	}
}

// look asks from the control region if it runs in this process, or else from any that does.
func (p *Platform) look(ctx context.Context) (ident.RegionID, map[ident.RegionID]Sight) {
	var from *region
	for _, r := range p.regions() {
		if from == nil || r.index == p.cfg.Topology.Control() {
			from = r
		}
	}
	if from == nil {
		return ident.NoRegion, nil
	}
	return from.look(p.cfg.Topology)(ctx)
}

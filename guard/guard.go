// Package guard is the door of a region's services: net/http middleware that lets in only what an edge has lawfully routed
// here. It works in front of any handler, built on Domicile or not:
//
//	http.ListenAndServe(addr, guard.New(guard.Config{Region: "eu-central-1", Keys: keys})(mux))
//
// What it promises:
//
//   - No call passes without a route header that the edge of a known region signed, for this region, within the last half minute, or
//     without having been handed over by this region's own edge inside the process. Which it was is not the caller's to say.
//   - A call that was routed under an ownership which this region knows to have ended is refused.
//   - A refusal is MISROUTED or STALE_EPOCH (HTTP 421), in the shape of the protocol that the call asks in. It repeats nothing of
//     the call, of which the body is not read.
//   - The header goes no further: a handler does not see it.
//
// The guard says where a call was routed, not who makes it: the credential is judged behind it.
package guard

import (
	"context"
	"crypto/ed25519"
	"net/http"
	"time"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	"github.com/domicile-api/domicile/internal/call"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/handover"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/routeheader"
	"github.com/domicile-api/domicile/internal/rpc"
)

// Config is what a guard is made of.
type Config struct {
	// Region is the id of the region that the guarded services answer for. Without one nothing is let in.
	Region string
	// Jurisdiction is the region's, e.g. "EU"; it is passed on to handlers.
	Jurisdiction string
	// Keys returns the public key of that id that a region's edge signs with, and whether there is one. Without it nothing from
	// other processes is let in.
	Keys func(region, keyID string) (ed25519.PublicKey, bool)
	// Epoch returns the number of a tenant's present ownership as this region knows it, and whether it knows one. Without it no
	// call is stale.
	Epoch func(tenant string) (epoch uint64, known bool)
	// Clock is time.Now when nil.
	Clock func() time.Time
	// MaxAge is how long a route header is good for; zero: 30 seconds.
	MaxAge time.Duration
}

// Route is what the edge decided about a call.
type Route struct {
	// Tenant is the id of the tenant whose call it is; empty for an operator's call that names none.
	Tenant string
	// Epoch numbers the tenant's ownership as the edge knew it.
	Epoch uint64
	// Edge is the id of the region that the call came in at.
	Edge string
	// Region is the id of the region that answers.
	Region string
}

// FromContext returns the route of the call that a handler behind the guard answers.
func FromContext(ctx context.Context) (Route, bool) {
	c := call.From(ctx)
	if c == nil {
		return Route{}, false
	}
	return Route{Tenant: string(c.Tenant), Epoch: uint64(c.Epoch), Edge: string(c.Edge), Region: string(c.Region)}, true
}

// New returns the middleware.
func New(cfg Config) func(http.Handler) http.Handler {
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	g := &guard{cfg: cfg, verifier: routeheader.NewVerifier(routeheader.VerifierConfig{
		Region: ident.RegionID(cfg.Region), Keys: keySource(cfg.Keys), Clock: cfg.Clock, MaxAge: cfg.MaxAge,
	})}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c, err := g.admit(r)
			if err != nil {
				rpc.WriteError(w, r, err)
				return
			}
			r.Header.Del(routeheader.Name)
			next.ServeHTTP(w, r.WithContext(call.With(r.Context(), c)))
		})
	}
}

type guard struct {
	cfg      Config
	verifier *routeheader.Verifier
}

// keySource gives the function the form that the verifier asks for.
type keySource func(region, keyID string) (ed25519.PublicKey, bool)

// RouteKey implements routeheader.KeySource.
func (s keySource) RouteKey(region ident.RegionID, keyID string) (ed25519.PublicKey, bool) {
	if s == nil {
		return nil, false
	}
	return s(string(region), keyID)
}

// admit returns the call that was routed here.
func (g *guard) admit(r *http.Request) (*call.Call, error) {
	if g.cfg.Region == "" {
		return nil, misrouted()
	}
	c := handover.From(r.Context())
	if c == nil {
		var err error
		if c, err = g.verified(r.Header); err != nil {
			return nil, err
		}
	}
	if string(c.Region) != g.cfg.Region {
		return nil, misrouted()
	}
	if g.cfg.Epoch != nil && c.Tenant != "" {
		if epoch, known := g.cfg.Epoch(string(c.Tenant)); known && uint64(c.Epoch) < epoch {
			return nil, fault.New(errorsv1.Reason_REASON_STALE_EPOCH, "the call was routed under an ownership that has ended")
		}
	}
	return c, nil
}

// verified makes a call of a signed header. A call of a tenant that was forwarded was forwarded to its home.
func (g *guard) verified(header http.Header) (*call.Call, error) {
	values := header.Values(routeheader.Name)
	if len(values) != 1 {
		return nil, misrouted()
	}
	claims, err := g.verifier.Verify(values[0])
	if err != nil {
		return nil, err
	}
	c := &call.Call{
		Tenant:       ident.TenantID(claims.GetTenant()),
		Epoch:        ident.Epoch(claims.GetEpoch()),
		Jurisdiction: ident.Jurisdiction(g.cfg.Jurisdiction),
		Region:       ident.RegionID(claims.GetTarget()),
		Edge:         ident.RegionID(claims.GetOrigin()),
	}
	if c.Tenant != "" {
		c.Home = c.Region
	}
	return c, nil
}

func misrouted() error {
	return fault.New(errorsv1.Reason_REASON_MISROUTED, "the call was not routed to this region by an edge")
}

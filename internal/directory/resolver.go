package directory

import (
	"context"
	"fmt"
	"strings"
	"time"

	directoryv1 "github.com/domicile-api/domicile/gen/domicile/directory/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/routing"
	"github.com/domicile-api/domicile/internal/topology"
)

// What a ResolverConfig says when it says nothing.
const (
	// DefaultUnknownFor is how long a name is remembered as unknown, unless it appears.
	DefaultUnknownFor = 5 * time.Second
	// DefaultMaxUnknown is how many unknown names are remembered: about 5 MB.
	DefaultMaxUnknown = 1 << 17
	// DefaultMaxLookups is how many look-ups run at once.
	DefaultMaxLookups = 16
	// DefaultMaxWaiting is how many more names may wait for a look-up.
	DefaultMaxWaiting = 1024
	// DefaultLookupTimeout bounds one look-up.
	DefaultLookupTimeout = 2 * time.Second
)

// ResolverConfig is what a Resolver is made of. Zero numbers stand for the defaults above.
type ResolverConfig struct {
	// Index answers what is known.
	Index *Index
	// Table is asked for what is not; nil: nobody is.
	Table Table
	// Topology says which region is the control region.
	Topology *topology.Topology
	// HostSuffixes are domains under which each tenant's id is a host: "localhost" makes "acme.localhost" stand for acme.
	HostSuffixes []string
	// Clock is time.Now in production.
	Clock                  func() time.Time
	UnknownFor             time.Duration
	LookupTimeout          time.Duration
	MaxUnknown, MaxLookups int
	MaxWaiting             int
}

// Resolver finds tenants and keys by name: in the index, and if they are not there, because they are newer than what the
// follower has seen or do not exist, in the table. Known names cost no I/O and no allocation. Of an unknown name it says so; if
// it cannot know, because the table is not reachable, the error is a fault REGION_UNAVAILABLE, or OVERLOADED when too many
// unknown names are asked for at once. All methods are safe for concurrent use.
type Resolver struct {
	cfg     ResolverConfig
	control ident.RegionID
	// suffixes are HostSuffixes with a dot in front.
	suffixes []string
	// lookups find nothing but that a name is there: what is found goes into the index.
	lookups *lookups[struct{}]
}

// The kinds of name that look-ups are for.
const (
	nameTenant = 't'
	nameHost   = 'h'
	nameKey    = 'k'
)

// NewResolver returns a resolver.
func NewResolver(cfg ResolverConfig) *Resolver {
	r := &Resolver{cfg: cfg, control: cfg.Topology.ID(cfg.Topology.Control()), suffixes: dotted(cfg.HostSuffixes)}
	r.lookups = newLookups[struct{}](cfg.Clock, lookupLimits{
		timeout: cfg.LookupTimeout, unknownFor: cfg.UnknownFor, lookups: cfg.MaxLookups, waiting: cfg.MaxWaiting, unknownNames: cfg.MaxUnknown,
	})
	return r
}

func orDefault[N int | time.Duration](n, otherwise N) N {
	if n <= 0 {
		return otherwise
	}
	return n
}

// ResolveTenant returns how a tenant's calls are routed, and whether there is such a tenant. Deleted and purged tenants are
// known; their State makes routing.Decide refuse them.
func (r *Resolver) ResolveTenant(ctx context.Context, id ident.TenantID) (routing.Tenant, bool, error) {
	if tenant, ok := r.cfg.Index.Tenant(string(id)); ok {
		return tenant, true, nil
	}
	return r.findTenant(ctx, id)
}

// find tells whether a name is in the table. fetch puts what it finds into the index.
func (r *Resolver) find(ctx context.Context, kind byte, name string, fetch func(context.Context) (bool, error)) (bool, error) {
	_, found, err := r.lookups.find(ctx, kind, name, func(ctx context.Context) (struct{}, bool, error) {
		found, err := fetch(ctx)
		return struct{}{}, found, err
	})
	return found, err
}

// findTenant is the part of ResolveTenant that may allocate.
func (r *Resolver) findTenant(ctx context.Context, id ident.TenantID) (routing.Tenant, bool, error) {
	if !plausible(string(id), maxTenantID) {
		return routing.Tenant{}, false, nil
	}
	found, err := r.find(ctx, nameTenant, string(id), func(ctx context.Context) (bool, error) {
		return r.fetchTenant(ctx, id)
	})
	if err != nil || !found {
		return routing.Tenant{}, false, err
	}
	tenant, ok := r.cfg.Index.Tenant(string(id))
	return tenant, ok, nil
}

// ResolveHost returns the tenant that a host stands for, and whether there is one. The host is lower-case and without port.
func (r *Resolver) ResolveHost(ctx context.Context, host string) (ident.TenantID, routing.Tenant, bool, error) {
	// The suffixes come first: under them a host is its tenant's, whatever another tenant was given.
	if id, ok := underSuffix(r.suffixes, host); ok {
		tenant, known, err := r.ResolveTenant(ctx, id)
		return id, tenant, known, err
	}
	if id, tenant, ok := r.cfg.Index.Host(host); ok {
		return id, tenant, true, nil
	}
	return r.findHost(ctx, host)
}

// findHost is the part of ResolveHost that may allocate.
func (r *Resolver) findHost(ctx context.Context, host string) (ident.TenantID, routing.Tenant, bool, error) {
	if !plausible(host, maxHost) {
		return "", routing.Tenant{}, false, nil
	}
	found, err := r.find(ctx, nameHost, host, func(ctx context.Context) (bool, error) {
		return r.fetchHost(ctx, host)
	})
	if err != nil || !found {
		return "", routing.Tenant{}, false, err
	}
	id, tenant, ok := r.cfg.Index.Host(host)
	return id, tenant, ok, nil
}

// KeyVerifier returns what proves an API key, and whether there is such a key.
func (r *Resolver) KeyVerifier(ctx context.Context, tenant ident.TenantID, keyID string) (Verifier, bool, error) {
	if tenant == "" {
		return Verifier{}, false, nil // Operators' keys are not a tenant's.
	}
	if v, ok := r.cfg.Index.KeyVerifier(tenant, keyID); ok {
		return v, true, nil
	}
	if !validPart(keyID) || !plausible(string(tenant), maxTenantID) {
		return Verifier{}, false, nil
	}
	return r.findKey(ctx, tenant, keyID, kindAPIKey, string(tenant), keyID)
}

// OperatorKeyVerifier returns what proves an operator's key, and whether there is such a key.
func (r *Resolver) OperatorKeyVerifier(ctx context.Context, keyID string) (Verifier, bool, error) {
	if v, ok := r.cfg.Index.OperatorKeyVerifier(keyID); ok {
		return v, true, nil
	}
	if !validPart(keyID) {
		return Verifier{}, false, nil
	}
	return r.findKey(ctx, "", keyID, kindOperatorKey, keyID)
}

func (r *Resolver) findKey(
	ctx context.Context, tenant ident.TenantID, keyID, kind string, ids ...string,
) (Verifier, bool, error) {
	name := string(appendKeyName(nil, tenant, keyID))
	found, err := r.find(ctx, nameKey, name, func(ctx context.Context) (bool, error) {
		if err := r.fetchRevocation(ctx, tenant, keyID); err != nil {
			return false, err
		}
		return r.fetch(ctx, r.control, kind, ids...)
	})
	if err != nil || !found {
		return Verifier{}, false, err
	}
	v, ok := r.cfg.Index.KeyVerifier(tenant, keyID)
	return v, ok, nil
}

// fetchRevocation reads what the tenant's home says of a key, so that a key found before the follower has seen its revocation
// is revoked all the same.
func (r *Resolver) fetchRevocation(ctx context.Context, tenant ident.TenantID, keyID string) error {
	known, ok := r.cfg.Index.Tenant(string(tenant))
	if !ok || !r.cfg.Topology.Has(known.Home) {
		return nil
	}
	_, err := r.fetch(ctx, r.cfg.Topology.ID(known.Home), kindRevocation, string(tenant), keyID)
	return err
}

func (r *Resolver) fetchTenant(ctx context.Context, id ident.TenantID) (bool, error) {
	return r.fetch(ctx, r.control, kindTenant, string(id))
}

func (r *Resolver) fetchHost(ctx context.Context, host string) (bool, error) {
	if r.cfg.Table == nil {
		return false, errNoTable
	}
	owner, err := getHostOwner(ctx, r.cfg.Table, r.control, host)
	if err != nil || owner == "" {
		return false, err
	}
	if _, err := r.fetchTenant(ctx, owner); err != nil {
		return false, err
	}
	// Items replicate one by one: the owner may not be here yet, or no longer have the host. Then the host is not found.
	_, _, found := r.cfg.Index.Host(host)
	return found, nil
}

// fetch reads a state item into the index.
func (r *Resolver) fetch(ctx context.Context, writer ident.RegionID, kind string, ids ...string) (bool, error) {
	if r.cfg.Table == nil {
		return false, errNoTable
	}
	record, err := getSaid(ctx, r.cfg.Table, r.control, writer, kind, ids...)
	if err != nil || record == nil {
		return false, err
	}
	r.cfg.Index.Apply([]*directoryv1.Record{record})
	return true, nil
}

// getSaid is getState for what may not be believed: it refuses an item of which its writer has no say.
func getSaid(
	ctx context.Context, table Table, control, writer ident.RegionID, kind string, ids ...string,
) (*directoryv1.Record, error) {
	record, err := getState(ctx, table, writer, kind, ids...)
	if err != nil || record == nil {
		return nil, err
	}
	if ident.RegionID(record.GetWriter()) != writer || !authorized(record, control) {
		return nil, fmt.Errorf("a directory item of %s speaks of what that region has no say in", writer)
	}
	return record, nil
}

// dotted returns suffixes with a dot in front.
func dotted(suffixes []string) []string {
	all := make([]string, 0, len(suffixes))
	for _, suffix := range suffixes {
		all = append(all, "."+suffix)
	}
	return all
}

// underSuffix returns the tenant whose id is a host under one of the suffixes.
func underSuffix(suffixes []string, host string) (ident.TenantID, bool) {
	for _, suffix := range suffixes {
		if id, ok := strings.CutSuffix(host, suffix); ok && !strings.Contains(id, ".") {
			return ident.TenantID(id), true
		}
	}
	return "", false
}

// maxTenantID is how long a tenant's id may be.
const maxTenantID = 40

// plausible tells whether a name can be one of a tenant or host at all; of others no look-up is made.
func plausible(name string, longest int) bool {
	if name == "" || len(name) > longest {
		return false
	}
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '.':
		default:
			return false
		}
	}
	return true
}

package directory

import (
	"context"
	"log/slog"
	"time"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/routing"
	"github.com/domicile-api/domicile/internal/topology"
)

// What a ReadThroughConfig says when it says nothing.
const (
	// DefaultMaxAge is how long what was read from the table is true. What the table's replication takes comes on top of it, and
	// both together stay below the five seconds in which a revocation holds everywhere.
	DefaultMaxAge = 2 * time.Second
	// DefaultMaxNames is how many known names are remembered: about 25 MB.
	DefaultMaxNames = 1 << 16
	// DefaultCopyAge is how old the last good copy gets, while the table is away, before it is loaded again.
	DefaultCopyAge = 5 * time.Minute
)

// ReadThroughConfig is what a ReadThrough is made of. Zero numbers stand for the defaults, here and of ResolverConfig.
type ReadThroughConfig struct {
	// Table is asked for what is not known, or was read too long ago.
	Table Table
	// Topology says which index a region has, and which one is the control region.
	Topology *topology.Topology
	// HostSuffixes are domains under which each tenant's id is a host.
	HostSuffixes []string
	// Copy is the last good copy, for names that were not asked for before the table went away; nil: there is none. It is not
	// loaded before it is needed.
	Copy Copy
	// Clock is time.Now in production.
	Clock func() time.Time
	// MaxAge is how long what was read is true, of tenants, hosts and keys.
	MaxAge time.Duration
	// MaxNames is how many known names are remembered; beyond it the one that was not asked for longest is forgotten.
	MaxNames int
	// CopyAge is how old a loaded copy gets before it is loaded again.
	CopyAge time.Duration
	// UnknownFor, LookupTimeout, MaxUnknown, MaxLookups and MaxWaiting are those of a ResolverConfig.
	UnknownFor, LookupTimeout time.Duration
	MaxUnknown, MaxLookups    int
	MaxWaiting                int
	// Logger is told when the table goes away and comes back; nothing is logged without it.
	Logger *slog.Logger
}

// ReadThrough finds tenants and keys by name like a Resolver, without a follower: for a process that is frozen between calls. It
// asks the table, and remembers a bounded number of answers for MaxAge of real time, which goes on while the process is frozen. So
// no home and no key is older than MaxAge, and what replication takes, while the table can be read.
//
// While it cannot be read, names that are known go on as last seen, in this process or in the last good copy, whichever is newer;
// of others it says that it cannot know, with the errors of a Resolver. What an unknown name costs is bounded as there.
//
// An API key is revoked if the control region or its tenant's present home says so.
//
// All methods are safe for concurrent use.
type ReadThrough struct {
	cfg      ReadThroughConfig
	control  ident.RegionID
	suffixes []string
	table    *watchedTable
	lookups  *lookups[reading]
	readings *readings
	copy     *spare
}

// NewReadThrough returns a resolver without a follower.
func NewReadThrough(cfg ReadThroughConfig) *ReadThrough {
	cfg.MaxAge = orDefault(cfg.MaxAge, DefaultMaxAge)
	cfg.CopyAge = orDefault(cfg.CopyAge, DefaultCopyAge)
	cfg.LookupTimeout = orDefault(cfg.LookupTimeout, DefaultLookupTimeout)
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	// Only the wall clock goes on while a process is frozen.
	monotonic := cfg.Clock
	cfg.Clock = func() time.Time { return monotonic().Round(0) }
	return &ReadThrough{
		cfg: cfg, control: cfg.Topology.ID(cfg.Topology.Control()), suffixes: dotted(cfg.HostSuffixes),
		table: &watchedTable{
			Table: cfg.Table, clock: cfg.Clock, frozen: cfg.LookupTimeout + time.Second, logger: cfg.Logger,
		},
		lookups: newLookups[reading](cfg.Clock, lookupLimits{
			timeout: cfg.LookupTimeout, unknownFor: cfg.UnknownFor, lookups: cfg.MaxLookups, waiting: cfg.MaxWaiting,
			unknownNames: cfg.MaxUnknown,
		}),
		readings: newReadings(orDefault(cfg.MaxNames, DefaultMaxNames)),
		copy: &spare{
			copy: cfg.Copy, topology: cfg.Topology, clock: cfg.Clock, age: cfg.CopyAge, patience: cfg.LookupTimeout, logger: cfg.Logger,
		},
	}
}

// ResolveTenant is that of a Resolver.
func (r *ReadThrough) ResolveTenant(ctx context.Context, id ident.TenantID) (routing.Tenant, bool, error) {
	e, known, err := r.tenant(ctx, id)
	if err != nil || !known {
		return routing.Tenant{}, false, err
	}
	return e.routing(), true, nil
}

func (r *ReadThrough) tenant(ctx context.Context, id ident.TenantID) (tenantEntry, bool, error) {
	if !plausible(string(id), maxTenantID) {
		return tenantEntry{}, false, nil
	}
	value, err := r.get(ctx, nameTenant, string(id), func(ctx context.Context) (string, error) {
		return r.readTenant(ctx, id)
	})
	if err != nil || value == "" {
		return tenantEntry{}, false, err
	}
	return decodeTenant(value), true, nil
}

// ResolveHost is that of a Resolver.
func (r *ReadThrough) ResolveHost(ctx context.Context, host string) (ident.TenantID, routing.Tenant, bool, error) {
	if id, ok := underSuffix(r.suffixes, host); ok {
		tenant, known, err := r.ResolveTenant(ctx, id)
		return id, tenant, known, err
	}
	if !plausible(host, maxHost) {
		return "", routing.Tenant{}, false, nil
	}
	owner, err := r.get(ctx, nameHost, host, func(ctx context.Context) (string, error) {
		id, err := getHostOwner(ctx, r.table, r.control, host)
		return string(id), err
	})
	if err != nil || owner == "" {
		return "", routing.Tenant{}, false, err
	}
	e, known, err := r.tenant(ctx, ident.TenantID(owner))
	if err != nil || !known || !e.has(host) {
		// Items replicate one by one: the owner may not be here yet, or no longer have the host.
		return "", routing.Tenant{}, false, err
	}
	return ident.TenantID(owner), e.routing(), true, nil
}

// KeyVerifier is that of a Resolver. A key of a tenant that is not known is not known.
func (r *ReadThrough) KeyVerifier(ctx context.Context, tenant ident.TenantID, keyID string) (Verifier, bool, error) {
	if !validPart(keyID) {
		return Verifier{}, false, nil
	}
	// The tenant comes first, and not inside the key's look-up: look-ups that wait for others could wait forever.
	t, known, err := r.tenant(ctx, tenant)
	if err != nil || !known {
		return Verifier{}, false, err
	}
	return r.verifier(ctx, tenant, keyID, func(ctx context.Context) (string, error) {
		return r.readKey(ctx, tenant, keyID, t.routing().Home)
	})
}

// OperatorKeyVerifier is that of a Resolver.
func (r *ReadThrough) OperatorKeyVerifier(ctx context.Context, keyID string) (Verifier, bool, error) {
	if !validPart(keyID) {
		return Verifier{}, false, nil
	}
	return r.verifier(ctx, "", keyID, func(ctx context.Context) (string, error) {
		record, err := getSaid(ctx, r.table, r.control, r.control, kindOperatorKey, keyID)
		if err != nil || record == nil {
			return "", err
		}
		return entryOfKey(record).encode(), nil
	})
}

func (r *ReadThrough) verifier(
	ctx context.Context, tenant ident.TenantID, keyID string, read func(context.Context) (string, error),
) (Verifier, bool, error) {
	value, err := r.get(ctx, nameKey, string(appendKeyName(nil, tenant, keyID)), read)
	if err != nil || value == "" {
		return Verifier{}, false, err
	}
	v, ok := decodeKey(value).proves()
	return v, ok, nil
}

// readTenant reads a tenant; "" if there is none.
func (r *ReadThrough) readTenant(ctx context.Context, id ident.TenantID) (string, error) {
	record, err := getSaid(ctx, r.table, r.control, r.control, kindTenant, string(id))
	if err != nil || record == nil {
		return "", err
	}
	t := record.GetTenant()
	return encodeTenant(t, r.code(t.GetHome()), r.code(t.GetStandby()), ident.Seq(record.GetWseq())), nil
}

// code returns a region's code; noRegion for one that the topology does not have.
func (r *ReadThrough) code(region string) regionCode {
	if i, ok := r.cfg.Topology.Index(ident.RegionID(region)); ok {
		return regionCode(i)
	}
	return noRegion
}

// readKey reads an API key and what its tenant's home says of it; "" if there is none.
func (r *ReadThrough) readKey(ctx context.Context, tenant ident.TenantID, keyID string, home topology.Index) (string, error) {
	record, err := getSaid(ctx, r.table, r.control, r.control, kindAPIKey, string(tenant), keyID)
	if err != nil || record == nil {
		return "", err
	}
	e := entryOfKey(record)
	if e.revoked == 0 && r.cfg.Topology.Has(home) {
		revocation, err := getSaid(ctx, r.table, r.control, r.cfg.Topology.ID(home), kindRevocation, string(tenant), keyID)
		if err != nil {
			return "", err
		}
		if revocation != nil {
			e.revoked = max(micros(revocation.GetRevocation().GetRevokeTime()), 1)
		}
	}
	return e.encode(), nil
}

// tries is how often a look-up is made for one call: again when it turns out to have begun before the process was frozen.
const tries = 3

// get returns the value of a name, "" if there is none: what was read a moment ago, or what the table says, or while it is away
// what was known last.
func (r *ReadThrough) get(
	ctx context.Context, kind byte, name string, read func(context.Context) (string, error),
) (string, error) {
	now := r.cfg.Clock()
	last, known := r.readings.get(string(kind) + name)
	if known && r.fresh(last, now) {
		return last.value, nil
	}
	if r.table.isAway() {
		// One call asks whether the table is back; others who have something to say do not wait for it.
		if value, ok := r.lastKnown(ctx, kind, name, last); ok && !r.table.try(now) {
			return value, nil
		}
	}
	value, err := r.ask(ctx, kind, name, known, read)
	if err == nil || ctx.Err() != nil {
		return value, err
	}
	if value, ok := r.lastKnown(ctx, kind, name, last); ok {
		return value, nil
	}
	return "", err
}

// ask returns what the table says of a name now. If there is something to say without it, the call does not wait behind others.
func (r *ReadThrough) ask(
	ctx context.Context, kind byte, name string, known bool, read func(context.Context) (string, error),
) (string, error) {
	if known {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, r.cfg.LookupTimeout)
		defer cancel()
	}
	failed := unavailable(errFrozen)
	for range tries {
		found, there, err := r.lookups.find(ctx, kind, name, func(ctx context.Context) (reading, bool, error) {
			return r.lookUp(ctx, string(kind)+name, read)
		})
		switch {
		case err == nil && !there:
			return "", nil
		case err == nil && r.fresh(found, r.cfg.Clock()):
			return found.value, nil
		case err != nil && (ctx.Err() != nil || r.table.isAway()):
			return "", err
		case err != nil:
			failed = err
		}
	}
	return "", failed
}

// lookUp reads a name from the table and remembers the answer, as of the moment before.
func (r *ReadThrough) lookUp(ctx context.Context, key string, read func(context.Context) (string, error)) (reading, bool, error) {
	at := r.cfg.Clock()
	value, err := read(ctx)
	if err != nil {
		return reading{}, false, err
	}
	r.readings.put(key, reading{value: value, at: at})
	return reading{value: value, at: at}, value != "", nil
}

// fresh tells whether a reading is true now. One from the future is not: the clock was set back.
func (r *ReadThrough) fresh(last reading, now time.Time) bool {
	age := now.Sub(last.at)
	return age >= 0 && age < r.cfg.MaxAge
}

// lastKnown returns what was known of a name last, here or in the copy; false if nothing was.
func (r *ReadThrough) lastKnown(ctx context.Context, kind byte, name string, last reading) (string, bool) {
	now := r.cfg.Clock()
	// The copy is loaded for names that were not asked for, and for what may have changed in it since.
	needed := last.value == "" || now.Sub(last.at) > r.cfg.CopyAge
	x, saved := r.copy.index(ctx, needed)
	if x == nil {
		return last.value, last.value != ""
	}
	value := newest(x, saved, kind, name, last)
	return value, value != ""
}

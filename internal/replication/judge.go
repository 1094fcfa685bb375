package replication

import (
	"errors"

	policyv1 "github.com/domicile-api/domicile/gen/domicile/policy/v1"
	replicationv1 "github.com/domicile-api/domicile/gen/domicile/replication/v1"
	tenancyv1 "github.com/domicile-api/domicile/gen/domicile/tenancy/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/keyspace"
	"github.com/domicile-api/domicile/internal/routing"
)

// judgement is what becomes of an event, before anything of the stream is read.
type judgement uint8

const (
	// poison: it makes no sense, now or later.
	poison judgement = iota
	// take: it may be applied.
	take
	// takeWithheld: it may be applied, but this release cannot hold what it says; reads of the entity go home.
	takeWithheld
	// forget: it concerns nobody any more.
	forget
	// park: the directory here has to know more first.
	park
	// ungranted: the tenant's record does not let this region have it, though the law would.
	ungranted
	// unlawful: it holds what this region may not have.
	unlawful
	// impostor: its sender does not own the tenant.
	impostor
	// hand: it is of the settings' feed, and for who keeps them.
	hand
)

// ErrMalformed says that an event makes no sense; it has no detail, which could be content.
var ErrMalformed = errors.New("replication: an event that makes no sense")

// formed tells whether an event says whose position it is.
func (a *Applier) formed(e *replicationv1.Event) bool {
	s := e.GetStream()
	origin, known := a.cfg.Topology.Index(ident.RegionID(s.GetOrigin()))
	return addressable(s) && known && origin != a.self && e.GetEpoch() > 0 && e.GetParts() <= maxParts && e.GetPart() < max(e.GetParts(), 1)
}

// wellFormed tells whether an event's own words agree with each other.
func (a *Applier) wellFormed(e *replicationv1.Event) bool {
	if !a.formed(e) {
		return false
	}
	if e.GetOpen() != nil {
		return true
	}
	return e.GetSeq() > 0 && speaks(e)
}

// speaks tells whether what an event says of its position is whole.
func speaks(e *replicationv1.Event) bool {
	switch what := e.GetWhat().(type) {
	case *replicationv1.Event_Nothing:
		return true
	case *replicationv1.Event_Idempotency:
		return len(what.Idempotency.GetKeyHash()) == 32
	case *replicationv1.Event_State:
		state := what.State
		return state.GetEpoch() > 0 && state.GetSeq() > 0 && names(e.GetStream(), state.GetEntity(), state.GetId())
	case *replicationv1.Event_Tombstone:
		return names(e.GetStream(), what.Tombstone.GetEntity(), what.Tombstone.GetId())
	default:
		return false
	}
}

// names tells whether an entity is one of the stream's lane.
func names(s *replicationv1.Stream, entity, id string) bool {
	return entity != "" && id != "" && uint32(keyspace.LaneOf(id)) == s.GetLane()
}

// judge says what becomes of an event.
func (a *Applier) judge(e *replicationv1.Event) (judgement, routing.Tenant) {
	switch e.GetStream().GetFeed() {
	case replicationv1.Feed_FEED_PROJECTIONS, replicationv1.Feed_FEED_STANDBY:
	case replicationv1.Feed_FEED_SETTINGS:
		return a.judgeSettings(e), routing.Tenant{}
	case replicationv1.Feed_FEED_UNSPECIFIED:
		return poison, routing.Tenant{}
	default:
		return poison, routing.Tenant{} // it becomes a dead letter, and can be put back when the release knows it
	}
	if !a.wellFormed(e) {
		return poison, routing.Tenant{}
	}
	tenant, known := a.cfg.Directory.Tenant(ident.TenantID(e.GetStream().GetTenant()))
	origin, _ := a.cfg.Topology.Index(ident.RegionID(e.GetStream().GetOrigin()))
	wait := park
	if !a.off.class && !a.cfg.Topology.SameJurisdiction(a.self, origin) && guarded(e) {
		wait = impostor // Whatever the record will say: nothing of it is put aside.
	}
	if !known {
		return wait, tenant
	}
	epoch := ident.Epoch(e.GetEpoch())
	switch {
	case tenant.State == uint8(tenancyv1.TenantState_TENANT_STATE_PURGED), epoch < tenant.Epoch:
		return forget, tenant
	case epoch > tenant.Epoch:
		return wait, tenant
	case origin != tenant.Home:
		return impostor, tenant
	}
	return a.judgeContent(e, tenant), tenant
}

// guarded tells whether an event has what only the home's jurisdiction may have.
func guarded(e *replicationv1.Event) bool {
	state := e.GetState()
	return e.GetStream().GetFeed() == replicationv1.Feed_FEED_STANDBY || e.GetIdempotency() != nil || len(state.GetSealed()) > 0 ||
		len(state.GetLookups()) > 0 || state.GetScope() == policyv1.Scope_SCOPE_JURISDICTION
}

// judgeSettings says what becomes of an event of the settings' feed. What is in it is for who keeps them to say. All of it is GLOBAL, so
// that no grant is asked for.
func (a *Applier) judgeSettings(e *replicationv1.Event) judgement {
	if a.cfg.Settings == nil {
		return park
	}
	tenant, known := a.cfg.Directory.Tenant(ident.TenantID(e.GetStream().GetTenant()))
	switch {
	case !a.formed(e) || e.GetStream().GetLane() != 0 || e.GetOpen() == nil && (e.GetSeq() == 0 || e.GetSettings() == nil):
		return poison
	case !known:
		return park
	case tenant.State == uint8(tenancyv1.TenantState_TENANT_STATE_PURGED):
		return forget
	default:
		return hand
	}
}

// judgeContent holds an event of the tenant's home against grant, law and class tables.
func (a *Applier) judgeContent(e *replicationv1.Event, tenant routing.Tenant) judgement {
	if a.off.class {
		return take
	}
	grant := GrantOf(a.cfg.Topology, tenant, a.self)
	inside := a.cfg.Topology.SameJurisdiction(a.self, tenant.Home)
	feed := e.GetStream().GetFeed()
	state := e.GetState()
	switch {
	case feed == replicationv1.Feed_FEED_STANDBY && !inside:
		return unlawful
	case !grant.Has(feed):
		if state != nil && len(state.GetSealed()) > 0 && !inside {
			return unlawful
		}
		return ungranted
	case feed == replicationv1.Feed_FEED_PROJECTIONS && e.GetIdempotency() != nil:
		return unlawful
	case state == nil:
		return take
	case feed == replicationv1.Feed_FEED_PROJECTIONS:
		return a.judgeProjection(state, grant, inside)
	}
	return a.judgeCopy(state)
}

// judgeCopy holds a whole entity against the table that it was made under. This release's own classes do not matter: a lawful copy
// may hold them all.
func (a *Applier) judgeCopy(state *replicationv1.State) judgement {
	named, ok := a.cfg.Directory.Classes(state.GetTable())
	switch {
	case !ok:
		return park
	case state.GetScope() != policyv1.Scope_SCOPE_UNSPECIFIED:
		return poison
	case named.CheckClear(state.GetEntity(), state.GetClear()) != nil:
		return unlawful
	default:
		return take
	}
}

// judgeProjection holds a projection against the grant, the law, the table that it was made under and this release's own.
func (a *Applier) judgeProjection(state *replicationv1.State, grant Grant, inside bool) judgement {
	scope := state.GetScope()
	if scope != policyv1.Scope_SCOPE_GLOBAL && scope != policyv1.Scope_SCOPE_JURISDICTION {
		return poison
	}
	sealed := len(state.GetSealed()) > 0
	switch {
	case len(state.GetLookups()) > 0, sealed && (!inside || scope != policyv1.Scope_SCOPE_JURISDICTION):
		return unlawful
	case scope > grant.Scope && !inside:
		return unlawful
	case scope > grant.Scope:
		return ungranted
	}
	named, ok := a.cfg.Directory.Classes(state.GetTable())
	if !ok {
		return park
	}
	if named.CheckClear(state.GetEntity(), state.GetClear()) != nil {
		return unlawful
	}
	own := a.cfg.Classes
	if !own.Has(state.GetEntity()) {
		return takeWithheld
	}
	kept, dropped, err := own.Keep(state.GetEntity(), state.GetClear())
	if err != nil {
		return unlawful
	}
	if dropped {
		// What is left was made under this release's table, so to say: a later release sees that it is not whole.
		state.Clear, state.Table = kept, own.Fingerprint()
	}
	return take
}

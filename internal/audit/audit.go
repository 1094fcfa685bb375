// Package audit looks at what a region holds and says what lies where it may not. It reads every item of every table and queue by
// its tag, holds the tag against the tenant's record, and holds what lies in the clear against its class. It asks nothing of the
// code that put the item there, so that a mistake of that code shows.
package audit

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/proto"

	policyv1 "github.com/domicile-api/domicile/gen/domicile/policy/v1"
	storagev1 "github.com/domicile-api/domicile/gen/domicile/storage/v1"
	tenancyv1 "github.com/domicile-api/domicile/gen/domicile/tenancy/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/keyspace"
	"github.com/domicile-api/domicile/internal/routing"
	"github.com/domicile-api/domicile/internal/store"
	"github.com/domicile-api/domicile/internal/topology"
)

// Kind is what a place is for, and so what may lie in it.
type Kind uint8

// The kinds.
const (
	// Directory is a replica of the directory: GLOBAL only, of any tenant.
	Directory Kind = iota + 1
	// Regional is where the region keeps tenants that are at home in it, and sealed copies of those that it is the standby of.
	Regional
	// Replicas is where it keeps projections of tenants that are at home elsewhere.
	Replicas
	// Keys is where it keeps wrapped keys of the tenants that it may open.
	Keys
	// Queues is where it keeps messages that are addressed to it.
	Queues
	// Settings is where it keeps multi-primary entities: GLOBAL only, of any tenant.
	Settings
)

// Place is a table to look at.
type Place struct {
	// Name is how reports call it.
	Name  string
	Kind  Kind
	Table store.Walker
}

// Tenants is what the region knows of tenants.
type Tenants interface {
	// Tenant returns a tenant's record, and whether there is one.
	Tenant(id string) (routing.Tenant, bool)
}

// Config is what an Auditor is made of.
type Config struct {
	Region   topology.Index
	Topology *topology.Topology
	Tenants  Tenants
	Places   []Place
	// CheckReplica returns an error when a projection at rest has a field that is not GLOBAL in the clear.
	CheckReplica func(*storagev1.Replica) error
}

// Auditor looks at one region.
type Auditor struct{ cfg Config }

// New returns an auditor.
func New(cfg Config) *Auditor { return &Auditor{cfg} }

// Finding is an item that lies where it may not.
type Finding struct {
	Place  string
	Tenant ident.TenantID
	Class  store.Class
	// Key is the item's, as it is.
	Key store.Key
	// Rule says in words what forbids it.
	Rule string
}

// Scan looks at every item, and calls found with each that lies where it may not. It returns how many items it has looked at.
func (a *Auditor) Scan(ctx context.Context, found func(Finding)) (items uint64, err error) {
	for _, p := range a.cfg.Places {
		err := p.Table.Walk(ctx, func(it store.Item) error {
			items++
			if rule := a.forbids(p.Kind, it); rule != "" {
				found(Finding{Place: p.Name, Tenant: it.Tag.Tenant, Class: it.Tag.Class, Key: it.Key, Rule: rule})
			}
			return nil
		})
		if err != nil {
			return items, fmt.Errorf("looking at %s: %w", p.Name, err)
		}
	}
	return items, nil
}

// Holding is what of a tenant lies in a place.
type Holding struct {
	Place        string
	Class        store.Class
	Items, Bytes uint64
}

// Report returns what the region holds of a tenant, by place and class.
func (a *Auditor) Report(ctx context.Context, tenant ident.TenantID) ([]Holding, error) {
	var all []Holding
	for _, p := range a.cfg.Places {
		var byClass [store.ClassPII + 1]Holding
		err := p.Table.Walk(ctx, func(it store.Item) error {
			if it.Tag.Tenant == tenant && int(it.Tag.Class) < len(byClass) {
				h := &byClass[it.Tag.Class]
				h.Items++
				h.Bytes += uint64(len(it.Value))
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("looking at %s: %w", p.Name, err)
		}
		for class, h := range byClass {
			if h.Items > 0 {
				h.Place, h.Class = p.Name, store.Class(class)
				all = append(all, h)
			}
		}
	}
	return all, nil
}

// forbids returns which rule forbids an item in a place of a kind; nothing when none does.
func (a *Auditor) forbids(kind Kind, it store.Item) string {
	class := it.Tag.Class
	if class < store.ClassGlobal || class > store.ClassPII {
		return "an item without a class"
	}
	if it.Tag.Tenant == "" {
		if class > store.ClassGlobal {
			return "an item above GLOBAL that is no tenant's"
		}
		return ""
	}
	if kind == Directory {
		return onlyGlobal(class)
	}
	t, known := a.cfg.Tenants.Tenant(string(it.Tag.Tenant))
	switch {
	case !known && class == store.ClassGlobal && keyspace.IsParked(it.Key.Sort):
		return "" // It waits for the directory, which may be behind.
	case !known:
		return "the directory has no such tenant"
	case t.State == uint8(tenancyv1.TenantState_TENANT_STATE_PURGED):
		if kind == Keys && isMark(it.Value) {
			return ""
		}
		return "the tenant was purged"
	}
	if class > store.ClassGlobal {
		if rule := a.forbidsLaw(t, it); rule != "" {
			return rule
		}
	}
	return a.forbidsKind(kind, t, it)
}

// forbidsKind is what a place of a kind may have of a tenant, beyond the law.
func (a *Auditor) forbidsKind(kind Kind, t routing.Tenant, it store.Item) string {
	class := it.Tag.Class
	switch kind {
	case Regional:
		return a.forbidsRegional(t)
	case Replicas:
		return a.forbidsReplica(t, it)
	case Keys:
		return a.forbidsKey(t)
	case Queues:
		return a.forbidsMessage(t, class)
	case Settings:
		return onlyGlobal(class)
	case Directory:
		return onlyGlobal(class)
	default:
		return "a place that holds nothing"
	}
}

// isMark tells whether an item of the keys table has no key in it: it is all that may remain of a purged tenant, for it keeps
// the tenant from ever getting a key again. Only what the item holds counts, whatever it is tagged with.
func isMark(value []byte) bool {
	var k storagev1.WrappedKey
	return proto.Unmarshal(value, &k) == nil && len(k.GetWrapped()) == 0 && len(k.ProtoReflect().GetUnknown()) == 0
}

func onlyGlobal(class store.Class) string {
	if class > store.ClassGlobal {
		return "only GLOBAL items may lie here"
	}
	return ""
}

// forbidsLaw is the first rule of all: nothing above GLOBAL outside the tenant's jurisdiction, whatever it is and whoever put it there.
func (a *Auditor) forbidsLaw(t routing.Tenant, it store.Item) string {
	law := a.cfg.Topology.Jurisdiction(a.cfg.Region)
	switch {
	case !a.cfg.Topology.SameJurisdiction(a.cfg.Region, t.Home):
		return "data above GLOBAL outside the tenant's jurisdiction"
	case it.Tag.Jurisdiction != law:
		return "data that is tagged with another jurisdiction"
	default:
		return ""
	}
}

// whole tells whether whole entities may lie here.
func (a *Auditor) whole(t routing.Tenant) bool {
	return t.Home == a.cfg.Region || t.Standby == a.cfg.Region
}

func (a *Auditor) scope(t routing.Tenant) policyv1.Scope {
	return routing.ScopeAt(a.cfg.Topology, &t, a.cfg.Region)
}

func (a *Auditor) forbidsRegional(t routing.Tenant) string {
	if !a.whole(t) {
		return "rows of a tenant whose home and standby are elsewhere"
	}
	return ""
}

func (a *Auditor) forbidsKey(t routing.Tenant) string {
	if a.whole(t) || a.scope(t) == policyv1.Scope_SCOPE_JURISDICTION {
		return ""
	}
	return "a key of a tenant that this region has nothing sealed of"
}

func (a *Auditor) forbidsMessage(t routing.Tenant, class store.Class) string {
	switch {
	case class == store.ClassGlobal:
		return ""
	case class == store.ClassPII && !a.whole(t):
		return "a whole entity on its way to a region that is neither home nor standby"
	case class == store.ClassRegional && !a.whole(t) && a.scope(t) != policyv1.Scope_SCOPE_JURISDICTION:
		return "a projection of scope JURISDICTION, which the tenant does not allow here"
	default:
		return ""
	}
}

func (a *Auditor) forbidsReplica(t routing.Tenant, it store.Item) string {
	scope := a.scope(t)
	switch {
	case t.Home == a.cfg.Region:
		return "a projection at the tenant's own home"
	case scope == policyv1.Scope_SCOPE_UNSPECIFIED:
		return "the tenant allows no projections here"
	case it.Tag.Class > store.ClassRegional:
		return "personal data among projections"
	case it.Tag.Class == store.ClassRegional && scope != policyv1.Scope_SCOPE_JURISDICTION:
		return "a projection of scope JURISDICTION, which the tenant does not allow here"
	}
	if _, _, lane := keyspace.ParseLane(it.Key.Partition); !lane || !keyspace.IsEntity(it.Key.Sort) {
		return ""
	}
	var r storagev1.Replica
	if err := proto.Unmarshal(it.Value, &r); err != nil {
		return "a projection that cannot be decoded"
	}
	if len(r.GetSealed()) > 0 && it.Tag.Class < store.ClassRegional {
		return "a sealed part in an item that is tagged GLOBAL"
	}
	if err := a.cfg.CheckReplica(&r); err != nil {
		return "a field above GLOBAL in the clear"
	}
	return ""
}

package entity

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	policyv1 "github.com/domicile-api/domicile/gen/domicile/policy/v1"
	storagev1 "github.com/domicile-api/domicile/gen/domicile/storage/v1"
	"github.com/domicile-api/domicile/internal/call"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/keyspace"
	"github.com/domicile-api/domicile/internal/residency"
	"github.com/domicile-api/domicile/internal/seal"
	"github.com/domicile-api/domicile/internal/store"
)

// Replica is a region's copy of the projections of tenants that are at home elsewhere.
type Replica struct {
	// Table is the replica table.
	Table store.Store
	// Lanes says how far it is.
	Lanes ReplicaLanes
}

// ReplicaLanes says how far the lanes of a region's replica are applied.
type ReplicaLanes interface {
	// Highest returns the newest version that anything of a lane was applied of, and whether the replica can answer for the lane: it has
	// heard of it, and no repair is owed.
	Highest(ctx context.Context, tenant ident.TenantID, home ident.RegionID, lane ident.Lane) (ident.Version, bool, error)
}

// errNotHere says that the region's replica cannot answer. The edge takes the call home, so nobody sees it but a product's own
// handler.
func errNotHere() error {
	return fault.New(errorsv1.Reason_REASON_MISROUTED, "the region's replica cannot answer this call")
}

// notHere tells the edge to take the call home.
func notHere(c *call.Call) error {
	c.NotHere = true
	return errNotHere()
}

// source is where the answer to a call is read from: the regional table at home, the replica table elsewhere.
type source struct {
	engine  *Engine
	table   store.Store
	replica bool
}

// source returns where a call is answered from.
func (e *Engine) source(c *call.Call) (source, error) {
	s := source{engine: e, table: e.cfg.Store, replica: e.away(c)}
	if s.replica {
		if e.cfg.Replica == nil {
			return source{}, notHere(c)
		}
		s.table = e.cfg.Replica.Table
	}
	return s, nil
}

// away tells whether the call's tenant is at home in another region.
func (e *Engine) away(c *call.Call) bool { return c.Home != "" && c.Home != e.cfg.Region }

// wholeEntities returns the call, unless it is one of a tenant of another home: a replica has no whole entities.
func (e *Engine) wholeEntities(ctx context.Context) (*call.Call, error) {
	c, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	if e.away(c) {
		return nil, notHere(c)
	}
	return c, nil
}

// item reads the item of an entity, and notes how far the lane is that it was read from.
func (s source) item(ctx context.Context, c *call.Call, id string) (store.Item, error) {
	lane := keyspace.LaneOf(id)
	item, err := s.table.Get(ctx, keyspace.Entity(c.Tenant, id))
	absent := errors.Is(err, store.ErrNotFound)
	if err != nil && !absent {
		return store.Item{}, fmt.Errorf("reading the entity: %w", err)
	}
	switch {
	case s.replica:
		if absent {
			// It may be too new to be here, and the home knows.
			return store.Item{}, notHere(c)
		}
		return item, s.saw(ctx, c, lane)
	case absent:
		// What is gone is as much a thing that was seen as what is there.
		if err := s.saw(ctx, c, lane); err != nil {
			return store.Item{}, err
		}
		return store.Item{}, notFound()
	default:
		c.Seen.Raise(lane, item.Version)
		return item, nil
	}
}

// saw notes how far a lane is, after it was read.
func (s source) saw(ctx context.Context, c *call.Call, lane ident.Lane) error {
	version, err := s.position(ctx, c, lane)
	if err != nil {
		return refused(c, err)
	}
	c.Seen.Raise(lane, version)
	return nil
}

// refused tells the edge of a position that the replica cannot give.
func refused(c *call.Call, err error) error {
	if fault.Is(err, errorsv1.Reason_REASON_MISROUTED) {
		return notHere(c)
	}
	return err
}

// sawAll notes how far all lanes are, after they were read.
func (s source) sawAll(ctx context.Context, c *call.Call) error {
	var versions [ident.Lanes]ident.Version
	group, ctx := errgroup.WithContext(ctx)
	for lane := range ident.Lane(ident.Lanes) {
		group.Go(func() (err error) {
			versions[lane], err = s.position(ctx, c, lane)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return refused(c, err)
	}
	for lane, v := range versions {
		c.Seen.Raise(ident.Lane(lane), v)
	}
	return nil
}

// follows tells whether a list goes on after its page. In a replica that what follows is only the notes of what was deleted does not count,
// so that the last page of a list is the last one here too.
func (s source) follows(ctx context.Context, merged *merge) (bool, error) {
	for {
		item, ok, err := merged.next(ctx)
		if err != nil || !ok || !s.replica {
			return ok, err
		}
		var stored storagev1.Replica
		if err := proto.Unmarshal(item.Value, &stored); err != nil {
			return false, fmt.Errorf("decoding a replica: %w", err)
		}
		if !stored.GetDeleted() {
			return true, nil
		}
	}
}

// atHome is the source of what only the home reads: whole entities, to answer or to change.
func (e *Engine) atHome() source { return source{engine: e, table: e.cfg.Store} }

// showing returns a refusal after it has noted what the refusal shows of other entities than the one asked for: that none has a value,
// or that one does. The answer's token then covers it.
func (s source) showing(ctx context.Context, c *call.Call, refusal error) error {
	if err := s.sawAll(ctx, c); err != nil {
		return err
	}
	return refusal
}

// position returns the version of the newest write that a lane may show. It does not touch the call, so several may run at once.
func (s source) position(ctx context.Context, c *call.Call, lane ident.Lane) (ident.Version, error) {
	if !s.replica {
		item, err := s.engine.cfg.Store.Get(ctx, keyspace.Counter(c.Tenant, lane))
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return ident.Version{}, fmt.Errorf("reading the lane's counter: %w", err)
		}
		return item.Version, nil
	}
	version, known, err := s.engine.cfg.Replica.Lanes.Highest(ctx, c.Tenant, c.Home, lane)
	if err != nil {
		return ident.Version{}, fmt.Errorf("reading how far the replica is: %w", err)
	}
	if !known {
		return ident.Version{}, errNotHere()
	}
	return version, nil
}

// projectReplica reads an item of the replica as a projection; false if the entity is gone.
func projectReplica[P, E proto.Message](ctx context.Context, r *Repository[E], v *view, c *call.Call, item store.Item) (P, bool, error) {
	var none P
	var stored storagev1.Replica
	if err := proto.Unmarshal(item.Value, &stored); err != nil {
		return none, false, fmt.Errorf("decoding a replica: %w", err)
	}
	tooSmall := v.scope != policyv1.Scope_SCOPE_GLOBAL && stored.GetScope() != v.scope
	switch {
	case stored.GetWithheld(), !stored.GetDeleted() && tooSmall:
		return none, false, notHere(c)
	case stored.GetDeleted():
		return none, false, nil
	}
	dst := v.typ.New().Interface()
	if err := proto.Unmarshal(stored.GetClear(), dst); err != nil {
		return none, false, fmt.Errorf("decoding a replica's clear part: %w", err)
	}
	if v.scope != policyv1.Scope_SCOPE_GLOBAL && len(stored.GetSealed()) > 0 {
		id := item.Key.Sort[len(keyspace.EntityPrefix):]
		plain, err := r.engine.cfg.Sealer.Open(ctx, seal.Bind{Tenant: c.Tenant, Type: keyspace.SealType(r.name), ID: id}, stored.GetSealed())
		if errors.Is(err, seal.ErrNoKey) {
			return none, false, notHere(c) // the key is on its way
		}
		if err != nil {
			return none, false, fmt.Errorf("opening a replica: %w", err)
		}
		regional := v.typ.New().Interface()
		if err := proto.Unmarshal(plain, regional); err != nil {
			return none, false, fmt.Errorf("decoding a replica's sealed part: %w", err)
		}
		dst = residency.Merge(dst, regional)
	}
	residency.DropUnknown(dst)
	v.etag.setEtag(dst.ProtoReflect(), item.Version)
	return as[P](dst), true, nil
}

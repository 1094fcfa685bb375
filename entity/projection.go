package entity

import (
	"context"
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	policyv1 "github.com/domicile-api/domicile/gen/domicile/policy/v1"
	"github.com/domicile-api/domicile/internal/call"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/residency"
	"github.com/domicile-api/domicile/internal/store"
)

// view is a projection that a repository's entities can be read as.
type view struct {
	name      string
	typ       protoreflect.MessageType
	projector *residency.Projector
	etag      *shape
	// scope says which fields the projection has.
	scope policyv1.Scope
}

// GetProjection returns the projection P of an entity of the caller's tenant; see Repository.Get. A projection of scope GLOBAL
// is made of the part that is stored in the clear, without a key. In a region that is not the tenant's home it is read from the
// region's replica; where that cannot answer, the call goes home by itself, and whatever is returned here is not sent.
//
//	entity.GetProjection[*profilev1.UserSummary](ctx, users, id)
func GetProjection[P, E proto.Message](ctx context.Context, r *Repository[E], id string) (P, error) {
	var none P
	v, err := viewOf[P](r)
	if err != nil {
		return none, err
	}
	c, err := caller(ctx)
	if err != nil {
		return none, err
	}
	if err := r.checkID(id); err != nil {
		return none, err
	}
	from, err := r.engine.source(c)
	if err != nil {
		return none, err
	}
	item, err := from.item(ctx, c, id)
	if err != nil {
		return none, err
	}
	if from.replica {
		p, there, err := projectReplica[P](ctx, r, v, c, item)
		if err == nil && !there {
			err = notFound()
		}
		return p, err
	}
	return project[P](ctx, r, v, c.Tenant, item)
}

// ListProjections returns a page of the projections P of the tenant's entities; see Repository.List. Its page tokens are not
// those of another projection or of List.
func ListProjections[P, E proto.Message](ctx context.Context, r *Repository[E], page Page) (found []P, next string, err error) {
	v, err := viewOf[P](r)
	if err != nil {
		return nil, "", err
	}
	return list(ctx, r, v.name, page, func(c *call.Call, item store.Item) (P, bool, error) {
		if r.engine.away(c) {
			return projectReplica[P](ctx, r, v, c, item)
		}
		p, err := project[P](ctx, r, v, c.Tenant, item)
		return p, true, err
	})
}

// project reads an item as a projection.
func project[P, E proto.Message](ctx context.Context, r *Repository[E], v *view, tenant ident.TenantID, item store.Item) (P, error) {
	var none P
	src, _, err := decodeClear(r.typ, item)
	if err != nil {
		return none, err
	}
	if v.scope != policyv1.Scope_SCOPE_GLOBAL {
		stored, err := r.engine.open(ctx, r.shape, r.typ, tenant, item)
		if err != nil {
			return none, err
		}
		src = stored.message
	}
	dst := v.typ.New().Interface()
	v.projector.Project(dst, src)
	v.etag.setEtag(dst.ProtoReflect(), item.Version)
	return as[P](dst), nil
}

// viewOf returns the view P of a repository, compiled at the first use.
func viewOf[P, E proto.Message](r *Repository[E]) (*view, error) {
	var zero P
	typ := zero.ProtoReflect().Type()
	md := typ.Descriptor()
	if v, ok := r.views.Load(md.FullName()); ok {
		return v.(*view), nil //nolint:forcetypeassert // the map holds nothing else
	}
	projector, err := residency.NewProjector(r.typ.Descriptor(), md)
	if err != nil {
		return nil, fmt.Errorf("entity: %s is no projection to read: %s", md.FullName(), strings.TrimPrefix(err.Error(), "residency: "))
	}
	options, _ := residency.ProjectionOf(md)
	v := &view{
		name: string(md.FullName()), typ: typ, projector: projector, etag: &shape{},
		scope: options.GetScope(),
	}
	v.etag.setFilled(md)
	r.views.Store(md.FullName(), v)
	return v, nil
}

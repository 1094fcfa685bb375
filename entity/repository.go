package entity

import (
	"context"
	"sync"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	"github.com/domicile-api/domicile/internal/call"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/residency"
)

// Repository keeps the entities of one type, of all tenants that are at home in its region; each call sees its own tenant's
// alone. E is the pointer type of a generated message, e.g. *profilev1.User. It is safe for concurrent use.
type Repository[E proto.Message] struct {
	*shape

	engine *Engine
	typ    protoreflect.MessageType
	views  sync.Map // full name of a projection → *view
}

// New returns the repository of an entity type. It fails when the type is not marked as an entity, or shares its id prefix with
// another type.
func New[E proto.Message](engine *Engine) (*Repository[E], error) {
	var zero E
	typ := zero.ProtoReflect().Type()
	s, err := shapeOf(typ.Descriptor())
	if err != nil {
		return nil, err
	}
	if err := engine.claimPrefix(s.prefix, s.name); err != nil {
		return nil, err
	}
	return &Repository[E]{shape: s, engine: engine, typ: typ}, nil
}

// Get returns an entity of the caller's tenant. It fails with NOT_FOUND when there is none, also when another tenant has one
// of this id, and with INVALID_ARGUMENT when the id is not one of this type.
func (r *Repository[E]) Get(ctx context.Context, id string) (E, error) {
	var none E
	c, err := r.engine.wholeEntities(ctx)
	if err != nil {
		return none, err
	}
	if err := r.checkID(id); err != nil {
		return none, err
	}
	stored, err := r.load(ctx, c, id)
	if err != nil {
		return none, err
	}
	return r.public(stored), nil
}

// load reads and opens an entity at home, and notes what the call sees by it.
func (r *Repository[E]) load(ctx context.Context, c *call.Call, id string) (*row, error) {
	item, err := r.engine.atHome().item(ctx, c, id)
	if err != nil {
		return nil, err
	}
	return r.engine.open(ctx, r.shape, r.typ, c.Tenant, item)
}

// public is what is handed out of an entity: with its etag, and without fields that this release does not know, whose class it
// therefore does not know either.
func (r *Repository[E]) public(stored *row) E {
	residency.DropUnknown(stored.message)
	r.setEtag(stored.message.ProtoReflect(), stored.version)
	return as[E](stored.message)
}

// notFound has one text for what was never there and for what is another tenant's.
func notFound() error {
	return fault.New(errorsv1.Reason_REASON_NOT_FOUND, "there is no such entity in this tenant")
}

// as gives a message its static type. The message was made from M's own message type, so it cannot fail.
func as[M proto.Message](m proto.Message) M {
	return m.(M) //nolint:forcetypeassert // see above
}

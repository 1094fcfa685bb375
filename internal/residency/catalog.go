package residency

import (
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	directoryv1 "github.com/domicile-api/domicile/gen/domicile/directory/v1"
	policyv1 "github.com/domicile-api/domicile/gen/domicile/policy/v1"
)

// Catalog knows the entities of a release and their projections, so that one who has only an entity's name can make what another
// region may hold of it. It is immutable and safe for concurrent use.
type Catalog struct {
	entities map[string]*cataloged
	table    *directoryv1.ClassTable
	classes  *Classes
}

// cataloged is an entity with its projections, nil where it has none.
type cataloged struct {
	typ                  protoreflect.MessageType
	global, jurisdiction *cut
}

// cut is a projection of an entity.
type cut struct {
	typ       protoreflect.MessageType
	projector *Projector
}

// NewCatalog finds the projections of entities among the message types that are linked in. It fails when a message is not marked
// as an entity, when a projection is not exactly the fields of its scope, and when an entity has two of one scope that differ.
func NewCatalog(entities ...protoreflect.MessageDescriptor) (*Catalog, error) {
	c := &Catalog{entities: make(map[string]*cataloged, len(entities))}
	for _, md := range entities {
		if _, ok := EntityOf(md); !ok {
			return nil, fmt.Errorf("residency: %s is not marked as an entity", md.FullName())
		}
		typ, err := protoregistry.GlobalTypes.FindMessageByName(md.FullName())
		if err != nil {
			return nil, fmt.Errorf("residency: finding %s: %w", md.FullName(), err)
		}
		c.entities[string(md.FullName())] = &cataloged{typ: typ}
	}
	var failed error
	protoregistry.GlobalTypes.RangeMessages(func(typ protoreflect.MessageType) bool {
		failed = c.addProjection(typ)
		return failed == nil
	})
	if failed != nil {
		return nil, failed
	}
	var err error
	if c.table, err = TableOf(entities...); err != nil {
		return nil, err
	}
	if c.classes, err = NewClasses(c.table); err != nil {
		return nil, err
	}
	return c, nil
}

// addProjection takes a message type in if it is a projection of one of the entities.
func (c *Catalog) addProjection(typ protoreflect.MessageType) error {
	options, ok := ProjectionOf(typ.Descriptor())
	if !ok {
		return nil
	}
	of, ok := c.entities[options.GetEntity()]
	if !ok {
		return nil
	}
	projector, err := NewProjector(of.typ.Descriptor(), typ.Descriptor())
	if err != nil {
		return err
	}
	// Two projections of one scope have the same fields, so that either will do.
	made := &cut{typ: typ, projector: projector}
	switch options.GetScope() {
	case policyv1.Scope_SCOPE_GLOBAL:
		of.global = made
	case policyv1.Scope_SCOPE_JURISDICTION:
		of.jurisdiction = made
	case policyv1.Scope_SCOPE_UNSPECIFIED:
		return fmt.Errorf("residency: projection %s has no scope", typ.Descriptor().FullName())
	default:
		return fmt.Errorf("residency: projection %s has an unknown scope", typ.Descriptor().FullName())
	}
	return nil
}

// Table returns the class table of the entities. It must not be changed.
func (c *Catalog) Table() *directoryv1.ClassTable { return c.table }

// Classes returns the same, ready for checks.
func (c *Catalog) Classes() *Classes { return c.classes }

// New returns an empty entity of a type, nil when the catalog does not have it.
func (c *Catalog) New(entity string) proto.Message {
	e, ok := c.entities[entity]
	if !ok {
		return nil
	}
	return e.typ.New().Interface()
}

// Fitting returns the scope of the projection that a region with a grant gets of an entity: the widest that there is and that the
// grant covers; SCOPE_UNSPECIFIED when there is none.
func (c *Catalog) Fitting(entity string, granted policyv1.Scope) policyv1.Scope {
	e := c.entities[entity]
	switch {
	case e == nil, granted != policyv1.Scope_SCOPE_GLOBAL && granted != policyv1.Scope_SCOPE_JURISDICTION:
		return policyv1.Scope_SCOPE_UNSPECIFIED
	case granted == policyv1.Scope_SCOPE_JURISDICTION && e.jurisdiction != nil:
		return policyv1.Scope_SCOPE_JURISDICTION
	case e.global != nil:
		return policyv1.Scope_SCOPE_GLOBAL
	default:
		return policyv1.Scope_SCOPE_UNSPECIFIED
	}
}

// Projection is what a region may hold of an entity: GLOBAL fields in the clear, and the REGIONAL ones, which are to be sealed. Both
// are serialized deterministically, and both have the numbers of the entity's fields.
type Projection struct {
	Scope           policyv1.Scope
	Clear, Regional []byte
}

// Project makes the projection that Fitting names; false when there is none. For scope GLOBAL whole needs only its GLOBAL
// fields, so no key is needed to make it. Unknown fields are never copied.
func (c *Catalog) Project(entity string, granted policyv1.Scope, whole proto.Message) (Projection, bool, error) {
	scope := c.Fitting(entity, granted)
	if scope == policyv1.Scope_SCOPE_UNSPECIFIED {
		return Projection{}, false, nil
	}
	made := c.entities[entity].global
	if scope == policyv1.Scope_SCOPE_JURISDICTION {
		made = c.entities[entity].jurisdiction
	}
	projected := made.typ.New().Interface()
	made.projector.Project(projected, whole)
	p := Projection{Scope: scope}
	var err error
	if scope == policyv1.Scope_SCOPE_JURISDICTION {
		open, guarded := Split(projected)
		projected = open
		if p.Regional, err = serialize(guarded); err != nil {
			return Projection{}, false, err
		}
	}
	p.Clear, err = serialize(projected)
	return p, err == nil, err
}

func serialize(m proto.Message) ([]byte, error) {
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encoding a projection: %w", err)
	}
	return raw, nil
}

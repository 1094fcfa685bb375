package residency

import (
	"fmt"
	"reflect"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/timestamppb"

	policyv1 "github.com/domicile-api/domicile/gen/domicile/policy/v1"
)

// Projector copies the fields of a projection from an entity. It is safe for concurrent use.
type Projector struct {
	entity, projection protoreflect.MessageDescriptor
	keep               filter

	// fields are all pairs, for messages of any Go type. values, times and rest are the same pairs for the generated Go types:
	// values are plain Go fields whose assignment is a copy, times are *timestamppb.Timestamp, rest are the others.
	fields   []fieldPair
	from, to reflect.Type
	values   []goPair
	times    []goPair
	rest     []fieldPair
}

// fieldPair is a field of the entity and the same field of the projection.
type fieldPair struct{ from, to protoreflect.FieldDescriptor }

// goPair is the same in terms of struct fields of the generated Go types.
type goPair struct{ from, to int }

// NewProjector compiles the copy. It fails when projection is not marked projection_of, is marked as that of another entity,
// or is not exactly the fields of the entity that its scope may hold; the residency check refuses the same in the contract.
func NewProjector(entity, projection protoreflect.MessageDescriptor) (*Projector, error) {
	options, ok := ProjectionOf(projection)
	if !ok {
		return nil, fmt.Errorf("residency: %s is not marked as a projection", projection.FullName())
	}
	if options.GetEntity() != string(entity.FullName()) {
		return nil, fmt.Errorf("residency: %s is a projection of %s, not of %s", projection.FullName(), options.GetEntity(), entity.FullName())
	}
	scope := options.GetScope()
	if scope == policyv1.Scope_SCOPE_UNSPECIFIED {
		return nil, fmt.Errorf("residency: projection %s has no scope", projection.FullName())
	}
	if wrong := CompareProjection(entity, projection, scope); len(wrong) > 0 {
		return nil, fmt.Errorf("residency: %s", wrong[0].Text)
	}
	p := &Projector{
		entity:     entity,
		projection: projection,
		keep:       func(c policyv1.DataClass) bool { return Holds(scope, c) },
	}
	for i := range projection.Fields().Len() {
		to := projection.Fields().Get(i)
		p.fields = append(p.fields, fieldPair{from: entity.Fields().ByName(to.Name()), to: to})
	}
	p.compileValues()
	return p, nil
}

// compileValues finds the pairs that can be copied as Go values, which is several times faster than by protobuf reflection and
// allocates nothing. It relies on what generated code promises by its struct tags: an exported field that has no presence and
// is not a oneof, a list, a map, bytes or a message is the value itself.
func (p *Projector) compileValues() {
	p.rest = p.fields
	from, ok := generatedType(p.entity)
	if !ok {
		return
	}
	to, ok := generatedType(p.projection)
	if !ok {
		return
	}
	fromFields, toFields := valueFields(from), valueFields(to)
	p.from, p.to, p.rest = from, to, nil
	for _, pair := range p.fields {
		i, ok := fromFields[pair.from.TextName()]
		j, too := toFields[pair.to.TextName()]
		kind := reflect.Type(nil)
		if ok && too && from.Elem().Field(i).Type == to.Elem().Field(j).Type {
			kind = from.Elem().Field(i).Type
		}
		switch {
		case kind == timestampType:
			p.times = append(p.times, goPair{from: i, to: j})
		case kind != nil && isValue(pair.from) && isValue(pair.to):
			p.values = append(p.values, goPair{from: i, to: j})
		default:
			p.rest = append(p.rest, pair)
		}
	}
}

// Project makes dst the projection of src: what dst held is gone, and no unknown field of src at any depth is copied. dst
// shares nothing with src that can be changed. It panics when dst or src are not of the types that the Projector was made for,
// as that is an error of the program that would move data it must not.
func (p *Projector) Project(dst, src proto.Message) {
	to, from := dst.ProtoReflect(), src.ProtoReflect()
	if from.Descriptor() != p.entity || to.Descriptor() != p.projection {
		panic(fmt.Sprintf("residency: a projector from %s to %s was given %s and %s", p.entity.FullName(), p.projection.FullName(),
			from.Descriptor().FullName(), to.Descriptor().FullName()))
	}
	proto.Reset(dst)
	if !from.IsValid() {
		return // a nil entity has no fields
	}
	pairs := p.fields
	if reflect.TypeOf(src) == p.from && reflect.TypeOf(dst) == p.to {
		p.projectGo(reflect.ValueOf(dst).Elem(), reflect.ValueOf(src).Elem())
		pairs = p.rest
	}
	for _, f := range pairs {
		if from.Has(f.from) {
			p.keep.copyField(to, f.to, f.from, from.Get(f.from))
		}
	}
}

// projectGo copies the fields that need no protobuf reflection.
func (p *Projector) projectGo(dst, src reflect.Value) {
	for _, f := range p.values {
		dst.Field(f.to).Set(src.Field(f.from))
	}
	for _, f := range p.times {
		// The most frequent message in an entity by far. A new one, without the old one's unknown fields.
		if t, _ := reflect.TypeAssert[*timestamppb.Timestamp](src.Field(f.from)); t != nil {
			dst.Field(f.to).Set(reflect.ValueOf(&timestamppb.Timestamp{Seconds: t.GetSeconds(), Nanos: t.GetNanos()}))
		}
	}
}

// timestampType is the Go type of a timestamp field.
//
//nolint:gochecknoglobals // a constant, which reflect.TypeFor cannot be
var timestampType = reflect.TypeFor[*timestamppb.Timestamp]()

// generatedType returns the Go type that generated code has for a message, if it is linked in.
func generatedType(md protoreflect.MessageDescriptor) (reflect.Type, bool) {
	mt, err := protoregistry.GlobalTypes.FindMessageByName(md.FullName())
	if err != nil || mt.Descriptor() != md {
		return nil, false
	}
	t := reflect.TypeOf(mt.Zero().Interface())
	return t, t.Kind() == reflect.Pointer && t.Elem().Kind() == reflect.Struct
}

// valueFields returns the exported fields of a generated struct by the names in their protobuf tags.
func valueFields(t reflect.Type) map[string]int {
	fields := make(map[string]int, t.Elem().NumField())
	for i := range t.Elem().NumField() {
		f := t.Elem().Field(i)
		if name := tagName(f.Tag.Get("protobuf")); name != "" && f.IsExported() {
			fields[name] = i
		}
	}
	return fields
}

// isValue tells whether a field has one scalar value without presence, so that its Go value is all there is to copy.
func isValue(fd protoreflect.FieldDescriptor) bool {
	return !fd.IsList() && !fd.IsMap() && !fd.HasPresence() && fd.Message() == nil && fd.Kind() != protoreflect.BytesKind
}

// tagName returns the field name in a tag like `bytes,1,opt,name=given_name,json=givenName,proto3`.
func tagName(tag string) string {
	for part := range strings.SplitSeq(tag, ",") {
		if name, ok := strings.CutPrefix(part, "name="); ok {
			return name
		}
	}
	return ""
}

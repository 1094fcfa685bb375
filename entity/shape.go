package entity

import (
	"fmt"
	"regexp"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	policyv1 "github.com/domicile-api/domicile/gen/domicile/policy/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/residency"
	"github.com/domicile-api/domicile/internal/store"
)

// The fields that the repository fills, by their names, in entities that have them.
const (
	createTimeField = "create_time"
	updateTimeField = "update_time"
	etagField       = "etag"
)

// prefixPattern is what EntityOptions.id_prefix may be.
var prefixPattern = regexp.MustCompile(`^[a-z]{1,8}$`)

// shape is what the options say of an entity or of a projection of one: which fields the repository fills, and how it is stored.
type shape struct {
	name   string
	prefix string
	key    protoreflect.FieldDescriptor
	// These are nil when the message has no such field.
	createTime, updateTime, etag protoreflect.FieldDescriptor
	lookups                      []protoreflect.FieldDescriptor
	// class is the highest class that the entity's known fields have, as items are tagged with.
	class store.Class
}

// shapeOf reads an entity's options.
func shapeOf(md protoreflect.MessageDescriptor) (*shape, error) {
	options, ok := residency.EntityOf(md)
	if !ok {
		return nil, fmt.Errorf("entity: %s is not marked with (domicile.policy.v1.entity)", md.FullName())
	}
	if !prefixPattern.MatchString(options.GetIdPrefix()) {
		return nil, fmt.Errorf("entity: the id_prefix of %s is not 1 to 8 lower-case letters", md.FullName())
	}
	s := &shape{name: string(md.FullName()), prefix: options.GetIdPrefix(), lookups: residency.LookupFields(md)}
	s.key = singularString(md, protoreflect.Name(options.GetKey()))
	if s.key == nil || residency.Effective(s.key) != policyv1.DataClass_DATA_CLASS_GLOBAL {
		return nil, fmt.Errorf("entity: the key of %s is not a string field of class GLOBAL", md.FullName())
	}
	s.setFilled(md)
	for _, fd := range s.lookups {
		if singularString(md, fd.Name()) == nil {
			return nil, fmt.Errorf("entity: %s cannot be looked up: it is not a string field", fd.FullName())
		}
	}
	s.class = min(store.Class(residency.HighestClass(md)), store.ClassPII) //nolint:gosec // the classes are 1 to 4
	return s, nil
}

// setFilled finds the fields that the repository fills.
func (s *shape) setFilled(md protoreflect.MessageDescriptor) {
	s.createTime = timestampField(md, createTimeField)
	s.updateTime = timestampField(md, updateTimeField)
	s.etag = singularString(md, etagField)
}

func singularString(md protoreflect.MessageDescriptor, name protoreflect.Name) protoreflect.FieldDescriptor {
	fd := md.Fields().ByName(name)
	if fd == nil || fd.Kind() != protoreflect.StringKind || fd.Cardinality() == protoreflect.Repeated {
		return nil
	}
	return fd
}

func timestampField(md protoreflect.MessageDescriptor, name protoreflect.Name) protoreflect.FieldDescriptor {
	fd := md.Fields().ByName(name)
	if fd == nil || fd.Cardinality() == protoreflect.Repeated || fd.Message() == nil ||
		fd.Message().FullName() != (*timestamppb.Timestamp)(nil).ProtoReflect().Descriptor().FullName() {
		return nil
	}
	return fd
}

// outputOnly tells whether a field is given by the server alone.
func (s *shape) outputOnly(fd protoreflect.FieldDescriptor) bool {
	return fd == s.key || fd == s.createTime || fd == s.updateTime || fd == s.etag
}

// setEtag writes the etag of a version into m, when it has such a field. It is not stored: it follows from the version.
func (s *shape) setEtag(m protoreflect.Message, v ident.Version) {
	if s.etag != nil {
		m.Set(s.etag, protoreflect.ValueOfString(etagOf(v)))
	}
}

func (s *shape) clearEtag(m protoreflect.Message) {
	if s.etag != nil {
		m.Clear(s.etag)
	}
}

func setTime(m protoreflect.Message, fd protoreflect.FieldDescriptor, t time.Time) {
	if fd != nil {
		m.Set(fd, protoreflect.ValueOfMessage(timestamppb.New(t).ProtoReflect()))
	}
}

// copyFilled gives dst the key and times that src has and no others: a change cannot alter them.
func (s *shape) copyFilled(dst, src protoreflect.Message) {
	for _, fd := range []protoreflect.FieldDescriptor{s.key, s.createTime, s.updateTime, s.etag} {
		switch {
		case fd == nil:
		case src.Has(fd):
			dst.Set(fd, src.Get(fd))
		default:
			dst.Clear(fd)
		}
	}
}

package residency

import (
	"sync"

	"google.golang.org/protobuf/reflect/protoreflect"

	policyv1 "github.com/domicile-api/domicile/gen/domicile/policy/v1"
)

// plans and methodPolicies remember what the options of a descriptor say. They are package variables because descriptors are
// process-wide and immutable: an entry is a pure function of its key, so sharing it can never be observed. Options are slow to
// read (they are parsed anew, see ReadOptions), and every request asks.
//
//nolint:gochecknoglobals // see above
var (
	plans          sync.Map // protoreflect.MessageDescriptor → *plan
	methodPolicies sync.Map // protoreflect.MethodDescriptor → MethodPolicy
)

// plan is what the options say of a message type. The slices are indexed by the field's index.
type plan struct {
	declared  []policyv1.DataClass
	effective []policyv1.DataClass
	highest   policyv1.DataClass
	lookups   []protoreflect.FieldDescriptor
}

// planOf returns the plan of a message type, made at the first call. It never changes.
func planOf(md protoreflect.MessageDescriptor) *plan {
	if p, ok := plans.Load(md); ok {
		return p.(*plan) //nolint:forcetypeassert // the map holds nothing else
	}
	fields := md.Fields()
	p := &plan{
		declared:  make([]policyv1.DataClass, fields.Len()),
		effective: make([]policyv1.DataClass, fields.Len()),
		highest:   highestOf(md),
	}
	for i := range fields.Len() {
		fd := fields.Get(i)
		p.declared[i] = readClass(fd)
		p.effective[i] = effective(fd, p.declared[i])
		if readLookup(fd) != policyv1.Lookup_LOOKUP_UNSPECIFIED {
			p.lookups = append(p.lookups, fd)
		}
	}
	made, _ := plans.LoadOrStore(md, p)
	return made.(*plan) //nolint:forcetypeassert // the map holds nothing else
}

// highestOf walks all that md reaches once; message types may be recursive.
func highestOf(md protoreflect.MessageDescriptor) policyv1.DataClass {
	highest := policyv1.DataClass_DATA_CLASS_GLOBAL
	seen := map[protoreflect.FullName]bool{md.FullName(): true}
	for todo := []protoreflect.MessageDescriptor{md}; len(todo) > 0; {
		fields := todo[0].Fields()
		todo = todo[1:]
		for i := range fields.Len() {
			fd := fields.Get(i)
			highest = max(highest, effective(fd, readClass(fd)))
			if sub := classifiedElement(fd); sub != nil && !seen[sub.FullName()] {
				seen[sub.FullName()] = true
				todo = append(todo, sub)
			}
		}
	}
	return highest
}

// effectiveOf is Effective for a field met while walking a value of the plan's type, which may be an extension.
func (p *plan) effectiveOf(fd protoreflect.FieldDescriptor) policyv1.DataClass {
	if fd.IsExtension() {
		return Effective(fd)
	}
	return p.effective[fd.Index()]
}

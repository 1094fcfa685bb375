package mount

import (
	"net/url"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/rpc/undecoded"
)

// queryForm says what Vanguard 0.4.0 does not look at in a query: it takes the last of several values where there is to be one, and null for
// a number or a truth value that is left out. A name that is text, or many, in any request is left to it.
type queryForm struct{ text, many map[string]bool }

// newQueryForm knows the fields of all requests of the mounted services.
func newQueryForm(mounts []Mount) queryForm {
	q := queryForm{text: map[string]bool{}, many: map[string]bool{}}
	for _, m := range mounts {
		descriptor, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(m.ServiceName()))
		service, ok := descriptor.(protoreflect.ServiceDescriptor)
		if err != nil || !ok {
			continue // Vanguard says so.
		}
		for i := range service.Methods().Len() {
			fields := service.Methods().Get(i).Input().Fields()
			for n := range fields.Len() {
				q.add(fields.Get(n))
			}
		}
	}
	return q
}

func (q queryForm) add(field protoreflect.FieldDescriptor) {
	text := true
	switch field.Kind() {
	case protoreflect.StringKind, protoreflect.BytesKind, protoreflect.MessageKind, protoreflect.GroupKind, protoreflect.EnumKind:
	default:
		text = false
	}
	for _, name := range []string{field.JSONName(), field.TextName()} {
		q.text[name] = q.text[name] || text
		q.many[name] = q.many[name] || field.IsList() || field.IsMap()
	}
}

// refuse returns why a query is refused; nil if it is not.
func (q queryForm) refuse(rawQuery string) *fault.Error {
	if rawQuery == "" {
		return nil
	}
	values, err := url.ParseQuery(rawQuery)
	if err != nil {
		return nil //nolint:nilerr // Vanguard refuses it.
	}
	for name, given := range values {
		many, known := q.many[name]
		switch {
		case !known:
		case !many && len(given) > 1:
			f := fault.New(errorsv1.Reason_REASON_INVALID_ARGUMENT, "a query parameter is given twice")
			f.Violations = []fault.Violation{{Field: name, Rule: "query", Message: "is given twice"}}
			return f
		case !q.text[name] && given[0] == "null":
			return undecoded.Formless(name).Fault()
		}
	}
	return nil
}

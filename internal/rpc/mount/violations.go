package mount

import (
	"strconv"
	"strings"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"buf.build/go/protovalidate"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	"github.com/domicile-api/domicile/internal/fault"
)

// invalidFault turns protovalidate's violations into the platform's. The message of a rule is the contract's; the value that broke it is
// left out, and so is the key of a map, which is the caller's too.
func invalidFault(err *protovalidate.ValidationError) *fault.Error {
	f := fault.Wrap(errorsv1.Reason_REASON_INVALID_ARGUMENT, nil, "the request breaks a rule of the contract")
	for _, v := range err.Violations {
		message := v.Proto.GetMessage()
		if message == "" {
			message = "breaks the rule " + v.Proto.GetRuleId()
		}
		f.Violations = append(f.Violations, fault.Violation{
			Field: fieldPath(v.Proto.GetField()), Rule: v.Proto.GetRuleId(), Message: message,
		})
	}
	return f
}

// fieldPath prints a path as "user.postal_address.lines[2]"; the key of a map is printed as "[]".
func fieldPath(path *validate.FieldPath) string {
	var b strings.Builder
	for i, element := range path.GetElements() {
		if i > 0 {
			b.WriteByte('.')
		}
		b.WriteString(element.GetFieldName())
		switch subscript := element.GetSubscript().(type) {
		case nil:
		case *validate.FieldPathElement_Index:
			b.WriteString("[" + strconv.FormatUint(subscript.Index, 10) + "]")
		default:
			b.WriteString("[]")
		}
	}
	return b.String()
}

package entity

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/proto"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	"github.com/domicile-api/domicile/internal/fault"
)

// validate checks an entity against the rules of its contract. path stands before the names of violating fields.
func (e *Engine) validate(m proto.Message, path string) error {
	err := e.validator.Validate(m)
	if err == nil {
		return nil
	}
	var broken *protovalidate.ValidationError
	if !errors.As(err, &broken) {
		return fmt.Errorf("validating the entity: %w", err)
	}
	f := fault.New(errorsv1.Reason_REASON_INVALID_ARGUMENT, "the entity breaks the rules of its contract")
	for _, v := range broken.Violations {
		f.Violations = append(f.Violations, fault.Violation{
			Field: fieldPath(path, v.Proto.GetField()), Rule: v.Proto.GetRuleId(), Message: v.Proto.GetMessage(),
		})
	}
	return f
}

// fieldPath writes a path with the indexes of lists, and without the keys of maps: those were sent by the caller.
func fieldPath(prefix string, path *validate.FieldPath) string {
	var b strings.Builder
	b.WriteString(prefix)
	for _, element := range path.GetElements() {
		if b.Len() > 0 {
			b.WriteByte('.')
		}
		b.WriteString(element.GetFieldName())
		switch {
		case element.HasIndex():
			b.WriteString("[" + strconv.FormatUint(element.GetIndex(), 10) + "]")
		case element.HasSubscript():
			b.WriteString("[]")
		}
	}
	return b.String()
}

// violation is INVALID_ARGUMENT for one field.
func violation(field, rule, message string) error {
	f := fault.New(errorsv1.Reason_REASON_INVALID_ARGUMENT, "the request breaks the rules of its contract")
	f.Violations = []fault.Violation{{Field: field, Rule: rule, Message: message}}
	return f
}

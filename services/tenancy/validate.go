package tenancy

import (
	"errors"
	"fmt"

	"buf.build/go/protovalidate"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	tenancyv1 "github.com/domicile-api/domicile/gen/domicile/tenancy/v1"
	"github.com/domicile-api/domicile/internal/fault"
)

func violation(field, rule, message string) error {
	f := fault.New(errorsv1.Reason_REASON_INVALID_ARGUMENT, "the request breaks a rule of the contract")
	f.Violations = []fault.Violation{{Field: field, Rule: rule, Message: message}}
	return f
}

// validate holds a tenant, as it would be after an update, against its contract.
func validate(t *tenancyv1.Tenant) error {
	err := protovalidate.Validate(t)
	var broken *protovalidate.ValidationError
	if !errors.As(err, &broken) {
		if err != nil {
			return fmt.Errorf("holding the tenant against its contract: %w", err)
		}
		return nil
	}
	f := fault.New(errorsv1.Reason_REASON_INVALID_ARGUMENT, "the request breaks a rule of the contract")
	for _, v := range broken.Violations {
		f.Violations = append(f.Violations, fault.Violation{
			Field: "tenant." + protovalidate.FieldPathString(v.Proto.GetField()), Rule: v.Proto.GetRuleId(), Message: v.Proto.GetMessage(),
		})
	}
	return f
}

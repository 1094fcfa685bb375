package rpc

import (
	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"

	"github.com/domicile-api/domicile/internal/fault"
)

// infoOf returns the ErrorInfo of an error that this project made; nil if it did not.
func infoOf(err *connect.Error) *errdetails.ErrorInfo {
	for _, detail := range err.Details() {
		value, valueErr := detail.Value()
		if valueErr != nil {
			continue
		}
		if info, ok := value.(*errdetails.ErrorInfo); ok && info.GetDomain() == Domain {
			return info
		}
	}
	return nil
}

// violationsOf reads back what ToConnect wrote.
func violationsOf(err *connect.Error) []fault.Violation {
	var out []fault.Violation
	for _, detail := range err.Details() {
		value, valueErr := detail.Value()
		if valueErr != nil {
			continue
		}
		bad, ok := value.(*errdetails.BadRequest)
		if !ok {
			continue
		}
		for _, v := range bad.GetFieldViolations() {
			out = append(out, fault.Violation{Field: v.GetField(), Rule: v.GetReason(), Message: v.GetDescription()})
		}
	}
	return out
}

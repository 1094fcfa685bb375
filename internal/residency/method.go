package residency

import (
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	policyv1 "github.com/domicile-api/domicile/gen/domicile/policy/v1"
)

// MethodPolicy is what the options say of an RPC.
type MethodPolicy struct {
	// Route says where the method is answered.
	Route policyv1.Route
	// Idempotency says what a repeated call does.
	Idempotency policyv1.Idempotency
	// RevealsSecret says that the answer may hold SECRET fields.
	RevealsSecret bool
	// NoSideEffects says that the method may be called by a Connect GET, so that the request travels in a URL.
	NoSideEffects bool
	// Request and Response are the highest classes that request and answer reach.
	Request, Response policyv1.DataClass
}

// MethodPolicyOf returns what the options say of a method.
func MethodPolicyOf(md protoreflect.MethodDescriptor) MethodPolicy {
	if p, ok := methodPolicies.Load(md); ok {
		return p.(MethodPolicy) //nolint:forcetypeassert // the map holds nothing else
	}
	options := ReadOptions(md.Options(), &descriptorpb.MethodOptions{})
	route, _ := proto.GetExtension(options, policyv1.E_Route).(policyv1.Route)
	idempotency, _ := proto.GetExtension(options, policyv1.E_Idempotency).(policyv1.Idempotency)
	reveals, _ := proto.GetExtension(options, policyv1.E_RevealsSecret).(bool)
	p := MethodPolicy{
		Route:         route,
		Idempotency:   idempotency,
		RevealsSecret: reveals,
		NoSideEffects: options.GetIdempotencyLevel() == descriptorpb.MethodOptions_NO_SIDE_EFFECTS,
		Request:       HighestClass(md.Input()),
		Response:      HighestClass(md.Output()),
	}
	methodPolicies.Store(md, p)
	return p
}

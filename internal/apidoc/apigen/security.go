package apigen

import (
	"github.com/getkin/kin-openapi/openapi3"

	policyv1 "github.com/domicile-api/domicile/gen/domicile/policy/v1"
)

// The names of the security schemes.
const (
	tenantKey   = "tenantKey"
	operatorKey = "operatorKey"
)

func securitySchemes() openapi3.SecuritySchemes {
	bearer := func(format, description string) *openapi3.SecuritySchemeRef {
		scheme := openapi3.NewSecurityScheme().WithType("http").WithScheme("bearer").WithBearerFormat(format).WithDescription(description)
		return &openapi3.SecuritySchemeRef{Value: scheme}
	}
	return openapi3.SecuritySchemes{
		tenantKey: bearer("dk_<tenant>_<key id>_<secret>", "A tenant's API key. Its public part says whose call it is, the secret proves it."),
		operatorKey: bearer("do_<key id>_<secret>", "An operator's key: for the methods of the control region, and for those others that carry "+
			"nothing of a tenant's data, with the Domicile-Tenant header."),
	}
}

// securityOf returns the keys that a method takes where they are not the document's.
func securityOf(m *method) *openapi3.SecurityRequirements {
	switch {
	case m.policy.Route == policyv1.Route_ROUTE_CONTROL:
		return &openapi3.SecurityRequirements{{operatorKey: {}}}
	case takesBothKeys(m):
		return &openapi3.SecurityRequirements{{tenantKey: {}}, {operatorKey: {}}}
	default:
		return nil
	}
}

// takesBothKeys tells whether a tenant's own method takes an operator's key as well: nothing of the tenant's data is seen by it.
func takesBothKeys(m *method) bool {
	const global = policyv1.DataClass_DATA_CLASS_GLOBAL
	return m.policy.Route != policyv1.Route_ROUTE_CONTROL && m.policy.Request == global && m.policy.Response == global
}

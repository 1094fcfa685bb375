package mount

import (
	"context"
	"net/http"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/reflect/protoreflect"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	policyv1 "github.com/domicile-api/domicile/gen/domicile/policy/v1"
	"github.com/domicile-api/domicile/internal/call"
	"github.com/domicile-api/domicile/internal/credential"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/residency"
	"github.com/domicile-api/domicile/internal/rpc"
)

// Authenticator proves credentials against what the directory knows.
type Authenticator interface {
	// Authenticate returns whose the well-formed key is, for a call of c.Tenant. It fails with a fault of CREDENTIAL_INVALID when the
	// key is not known, expired, revoked or another tenant's.
	Authenticate(ctx context.Context, bearer string, c *call.Call) (call.Principal, error)
}

// authentication asks for the credential that a method's route wants: an operator's for the control region's, the tenant's own for all
// others. An operator may call those too where nothing of the tenant's data would be seen: request and answer reach GLOBAL alone.
func authentication(authenticator Authenticator) connect.Interceptor {
	a := authenticity{authenticator}
	return gate{admit: a.admit}
}

type authenticity struct{ authenticator Authenticator }

func (a authenticity) admit(ctx context.Context, spec connect.Spec, header http.Header) error {
	c := call.From(ctx)
	method, ok := spec.Schema.(protoreflect.MethodDescriptor)
	if c == nil || !ok {
		return fault.New(errorsv1.Reason_REASON_MISROUTED, "the call was not routed to this method by an edge")
	}
	policy := residency.MethodPolicyOf(method)
	control := policy.Route == policyv1.Route_ROUTE_CONTROL
	if !control && c.Tenant == "" {
		return fault.New(errorsv1.Reason_REASON_MISROUTED, "the call was routed without a tenant, which this method needs")
	}
	bearer, key, err := bearerKey(header)
	if err != nil {
		return err
	}
	principal, err := a.prove(ctx, bearer, key, c, control)
	if err != nil {
		return err
	}
	c.Principal = principal
	if principal.Kind == call.OperatorKey && !control && !globalOnly(policy) {
		return fault.New(errorsv1.Reason_REASON_PERMISSION_DENIED,
			"an operator's key is not taken where a tenant's data could be seen; use a key of the tenant")
	}
	return nil
}

func (a authenticity) prove(
	ctx context.Context, bearer string, key credential.Key, c *call.Call, control bool,
) (call.Principal, error) {
	asked := *c
	if control && key.Kind == call.TenantKey {
		// Whether the key is good is said before that it is of the wrong kind.
		asked.Tenant = key.Tenant
	}
	if key.Kind == call.TenantKey && key.Tenant != asked.Tenant {
		return call.Principal{}, invalidCredential()
	}
	principal, err := a.authenticator.Authenticate(ctx, bearer, &asked)
	switch {
	case err != nil:
		return call.Principal{}, err
	case principal.Kind != key.Kind:
		return call.Principal{}, invalidCredential()
	case control && principal.Kind != call.OperatorKey:
		return call.Principal{}, fault.New(errorsv1.Reason_REASON_PERMISSION_DENIED, "this method takes an operator's key only")
	}
	return principal, nil
}

// bearerKey reads the Authorization header. A key whose checksum is wrong costs no look-up.
func bearerKey(header http.Header) (string, credential.Key, error) {
	values := header.Values("Authorization")
	if len(values) == 0 || len(values) == 1 && values[0] == "" {
		return "", credential.Key{}, fault.New(errorsv1.Reason_REASON_CREDENTIAL_MISSING,
			"send an API key as Authorization: Bearer")
	}
	bearer, ok := rpc.Bearer(values[0])
	if !ok || len(values) > 1 {
		return "", credential.Key{}, invalidCredential()
	}
	key, err := credential.Parse(bearer)
	if err != nil || !key.Wellformed() {
		return "", credential.Key{}, invalidCredential()
	}
	return bearer, key, nil
}

func globalOnly(policy residency.MethodPolicy) bool {
	return policy.Request == policyv1.DataClass_DATA_CLASS_GLOBAL && policy.Response == policyv1.DataClass_DATA_CLASS_GLOBAL
}

func invalidCredential() error {
	return fault.New(errorsv1.Reason_REASON_CREDENTIAL_INVALID, "the API key is malformed, unknown, expired, revoked or another tenant's")
}

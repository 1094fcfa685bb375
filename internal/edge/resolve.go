package edge

import (
	"context"
	"net/http"
	"net/netip"
	"strings"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	"github.com/domicile-api/domicile/internal/credential"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/routing"
	"github.com/domicile-api/domicile/internal/rpc"
)

// headerTenant names the tenant of a call.
const headerTenant = "Domicile-Tenant"

// Resolver finds tenants by name.
type Resolver interface {
	// ResolveTenant returns how a tenant's calls are routed, and whether there is such a tenant.
	ResolveTenant(ctx context.Context, id ident.TenantID) (routing.Tenant, bool, error)
	// ResolveHost returns the tenant that a host, lower-case and without port, stands for, and whether there is one.
	ResolveHost(ctx context.Context, host string) (ident.TenantID, routing.Tenant, bool, error)
}

// resolution is whose call it is.
type resolution struct {
	id     ident.TenantID
	tenant routing.Tenant
	known  bool
	// stranger says that the host is neither the platform's own nor a tenant's.
	stranger bool
	// credential says that the call carries one, of whatever worth; garbage says that it has not even the form of one.
	credential, garbage bool
}

// resolve finds the tenant that host, key and header name. What they name must be one; a key names its tenant even when
// its secret is malformed, since where the call belongs is said before whether the key is good.
func (e *Edge) resolve(ctx context.Context, r *http.Request) (resolution, error) {
	var out resolution
	named, err := out.named(r.Header)
	if err != nil {
		return out, err
	}
	if host := bareHost(r.Host); !e.isOwnHost(host) {
		id, tenant, known, err := e.cfg.Resolver.ResolveHost(ctx, host)
		switch {
		case err != nil && named == "":
			return out, err
		case known && named != "" && named != id:
			return out, mismatch()
		case known:
			out.id, out.tenant, out.known = id, tenant, true
			return out, nil
		default:
			out.stranger = true
		}
	}
	if named == "" {
		return out, nil
	}
	tenant, known, err := e.cfg.Resolver.ResolveTenant(ctx, named)
	if err != nil {
		return out, err
	}
	if known {
		out.id, out.tenant, out.known = named, tenant, true
	}
	return out, nil
}

// named returns the tenant that key and header name, if any.
func (r *resolution) named(header http.Header) (named ident.TenantID, err error) {
	named, r.credential, r.garbage = keyTenant(header)
	for _, value := range header[headerTenant] {
		switch {
		case value == "":
		case named != "" && named != ident.TenantID(value):
			return "", mismatch()
		default:
			named = ident.TenantID(value)
		}
	}
	return named, nil
}

// unresolved is why a call that no tenant was found for is refused: where it names none, it lacks a credential, or one that has the form of
// one.
func (r *resolution) unresolved(header http.Header) error {
	if nameless := !r.stranger && header.Get(headerTenant) == ""; nameless {
		switch {
		case !r.credential:
			return fault.New(errorsv1.Reason_REASON_CREDENTIAL_MISSING, "send an API key as Authorization: Bearer")
		case r.garbage:
			return fault.New(errorsv1.Reason_REASON_CREDENTIAL_INVALID, "the API key is malformed, unknown, expired, revoked or another tenant's")
		}
	}
	return fault.New(errorsv1.Reason_REASON_TENANT_UNKNOWN, "host, API key and Domicile-Tenant header name no tenant of the platform")
}

func mismatch() error {
	return fault.New(errorsv1.Reason_REASON_TENANT_MISMATCH, "host, API key and Domicile-Tenant header name different tenants")
}

// keyTenant returns the tenant that the bearer key names, if any, whether the call has a credential at all, and whether that is none that
// this platform could have given out.
func keyTenant(header http.Header) (tenant ident.TenantID, given, garbage bool) {
	values := header["Authorization"]
	if len(values) == 0 || values[0] == "" {
		return "", false, false
	}
	bearer, ok := rpc.Bearer(values[0])
	if !ok {
		return "", true, true
	}
	key, err := credential.Parse(bearer)
	if err != nil {
		return "", true, true
	}
	return key.Tenant, true, false
}

// isOwnHost tells whether a host is the platform's: a name of a region's, or none. An address never stands for a tenant.
func (e *Edge) isOwnHost(host string) bool {
	if host == "" || host == "localhost" {
		return true
	}
	if _, own := e.ownHosts[host]; own {
		return true
	}
	if last := host[len(host)-1]; last < '0' || last > '9' && last != ']' {
		if !strings.Contains(host, ":") {
			return false
		}
	}
	_, err := netip.ParseAddr(host)
	return err == nil
}

// bareHost returns a host lower-case, without port, brackets and a dot at its end.
func bareHost(host string) string {
	if strings.HasPrefix(host, "[") {
		if end := strings.IndexByte(host, ']'); end > 0 {
			return strings.ToLower(host[1:end])
		}
		return strings.ToLower(host)
	}
	if colon := strings.LastIndexByte(host, ':'); colon >= 0 && strings.IndexByte(host, ':') == colon {
		host = host[:colon]
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

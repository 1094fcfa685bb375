// Package tenancy is the operators' service of tenants and their keys: the translation between RPC and directory, nothing else.
package tenancy

import (
	"context"
	"io"
	"net/http"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/domicile-api/domicile"
	directoryv1 "github.com/domicile-api/domicile/gen/domicile/directory/v1"
	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	"github.com/domicile-api/domicile/gen/domicile/tenancy/v1/tenancyv1connect"
	"github.com/domicile-api/domicile/internal/call"
	"github.com/domicile-api/domicile/internal/directory"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/routing"
	"github.com/domicile-api/domicile/internal/topology"
)

// Directory appends to the region's log in the directory; a *directory.Writer.
type Directory interface {
	Write(ctx context.Context, decide func(context.Context, directory.View) (*directoryv1.Record, error)) (*directoryv1.Record, error)
}

// Resolver finds a tenant as the request path does.
type Resolver interface {
	ResolveTenant(ctx context.Context, id ident.TenantID) (routing.Tenant, bool, error)
	ResolveHost(ctx context.Context, host string) (ident.TenantID, routing.Tenant, bool, error)
	KeyVerifier(ctx context.Context, tenant ident.TenantID, keyID string) (directory.Verifier, bool, error)
}

// Config is what the service of one region works with.
type Config struct {
	Topology *topology.Topology
	Writer   Directory
	Reader   *directory.Reader
	Resolver Resolver
	// Methods and Health are what routes are explained by.
	Methods Methods
	Health  func() routing.Health
	// PageKey authenticates page tokens; at least 16 bytes.
	PageKey []byte
	Clock   func() time.Time
	Random  io.Reader
}

// Service makes the service of one region.
func Service(cfg Config) domicile.Service {
	return domicile.Service{
		Name: "tenancy",
		Register: func(rt domicile.Runtime) (string, http.Handler, error) {
			path, handler := tenancyv1connect.NewTenancyServiceHandler(&service{cfg}, rt.HandlerOptions...)
			return path, handler, nil
		},
	}
}

type service struct{ cfg Config }

// write appends the record that decide makes, with the answer that a repetition of the call gets. It returns the answer.
// decide may be called again, so it makes all that it returns anew.
func write[A proto.Message](
	ctx context.Context, s *service, decide func(context.Context, directory.View) (*directoryv1.Record, A, error),
) (A, error) {
	var answer A
	_, err := s.cfg.Writer.Write(ctx, func(ctx context.Context, v directory.View) (*directoryv1.Record, error) {
		if err := refuseRepetition(ctx, v); err != nil {
			return nil, err
		}
		record, a, err := decide(ctx, v)
		if err != nil {
			return nil, err
		}
		answer = a
		if record == nil {
			return nil, nil //nolint:nilnil // The directory's word for "nothing is to be written".
		}
		record.Repetition, err = repetition(ctx, a)
		return record, err
	})
	if err != nil {
		var none A
		return none, err
	}
	return answer, nil
}

func notFound(what string) error {
	return fault.New(errorsv1.Reason_REASON_NOT_FOUND, "no such %s", what)
}

func orNotFound(err error, what string) error {
	if err != nil {
		return err
	}
	return notFound(what)
}

// operation is what the call's idempotency key names, or nil.
func operation(ctx context.Context) *call.Operation {
	c := call.From(ctx)
	if c == nil {
		return nil
	}
	return c.Operation
}

package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	_ "google.golang.org/protobuf/types/known/wrapperspb" // the messages that stand for the suite's

	policyv1 "github.com/domicile-api/domicile/gen/domicile/policy/v1"
	tenancyv1 "github.com/domicile-api/domicile/gen/domicile/tenancy/v1"
	"github.com/domicile-api/domicile/internal/edge"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/routeheader"
	"github.com/domicile-api/domicile/internal/routing"
	"github.com/domicile-api/domicile/internal/rpc"
	"github.com/domicile-api/domicile/internal/topology"
	"github.com/domicile-api/domicile/internal/topology/topologyfile"
)

const (
	tenantID = "conformance"
	home     = topology.Index(0)
	abroad   = topology.Index(2)
)

// everyone is one tenant, at home where the reference server answers.
type everyone struct{}

// ResolveTenant implements edge.Resolver.
func (everyone) ResolveTenant(context.Context, ident.TenantID) (routing.Tenant, bool, error) {
	return routing.Tenant{
		Home: home, Standby: topology.NoRegion, Transit: uint8(tenancyv1.Transit_TRANSIT_FORWARD),
		State: uint8(tenancyv1.TenantState_TENANT_STATE_ACTIVE), Epoch: 1,
	}, true, nil
}

// ResolveHost implements edge.Resolver.
func (e everyone) ResolveHost(ctx context.Context, _ string) (ident.TenantID, routing.Tenant, bool, error) {
	tenant, known, err := e.ResolveTenant(ctx, tenantID)
	return tenantID, tenant, known, err
}

// newEdge returns the edge of a region abroad, for which every call is one to forward to the reference server.
func newEdge(port int) (http.Handler, error) {
	message := topologyfile.Default().Proto()
	message.GetRegions()[home].Endpoint = "http://127.0.0.1:" + strconv.Itoa(port)
	regions, err := topologyfile.New(message)
	if err != nil {
		return nil, fmt.Errorf("making a topology: %w", err)
	}
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a route key: %w", err)
	}
	service, err := describe()
	if err != nil {
		return nil, err
	}
	e, err := edge.New(edge.Config{
		Region: abroad, Topology: regions, Services: []protoreflect.ServiceDescriptor{service}, Resolver: everyone{},
		Signer: routeheader.NewSigner(routeheader.SignerConfig{
			Region: regions.ID(abroad), KeyID: routeheader.KeyID(public), Key: key, Clock: time.Now,
		}),
		Local: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			rpc.WriteError(w, r, errNotForwarded)
		}),
		Clock: time.Now, Logger: logger(),
	})
	if err != nil {
		return nil, fmt.Errorf("making the edge: %w", err)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set("Domicile-Tenant", tenantID) // the suite's client names none
		e.ServeHTTP(w, r)
	}), nil
}

// describe returns the suite's service as the edge needs to know it: the names of its methods, which of them are streams, and
// where they are answered.
func describe() (protoreflect.ServiceDescriptor, error) {
	service := &descriptorpb.ServiceDescriptorProto{Name: new("ConformanceService")}
	for _, m := range []struct {
		name           string
		client, server bool
	}{
		{"Unary", false, false}, {"ServerStream", false, true}, {"ClientStream", true, false}, {"BidiStream", true, true},
		{"Unimplemented", false, false}, {"IdempotentUnary", false, false},
	} {
		options := &descriptorpb.MethodOptions{}
		proto.SetExtension(options, policyv1.E_Route, policyv1.Route_ROUTE_HOME)
		proto.SetExtension(options, policyv1.E_Idempotency, policyv1.Idempotency_IDEMPOTENCY_KEYED)
		service.Method = append(service.Method, &descriptorpb.MethodDescriptorProto{
			Name: new(m.name), InputType: new(".google.protobuf.BytesValue"),
			OutputType:      new(".google.protobuf.BytesValue"),
			ClientStreaming: new(m.client), ServerStreaming: new(m.server), Options: options,
		})
	}
	file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
		Name: new("connectrpc/conformance/v1/routed.proto"), Package: new("connectrpc.conformance.v1"),
		Syntax: new("proto3"), Dependency: []string{"google/protobuf/wrappers.proto"},
		Service: []*descriptorpb.ServiceDescriptorProto{service},
	}, protoregistry.GlobalFiles)
	if err != nil {
		return nil, fmt.Errorf("describing the suite's service: %w", err)
	}
	return file.Services().Get(0), nil
}

var errNotForwarded = errors.New("the edge did not forward the call")

func logger() *slog.Logger { return slog.New(slog.DiscardHandler) }

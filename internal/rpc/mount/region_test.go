package mount_test

import (
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/domicile-api/domicile/gen/domicile/profile/v1/profilev1connect"
	"github.com/domicile-api/domicile/gen/domicile/tenancy/v1/tenancyv1connect"
	"github.com/domicile-api/domicile/guard"
	"github.com/domicile-api/domicile/internal/call"
	"github.com/domicile-api/domicile/internal/handover"
	"github.com/domicile-api/domicile/internal/rpc"
	"github.com/domicile-api/domicile/internal/rpc/mount"
	"github.com/domicile-api/domicile/internal/rpc/rpctest"
)

const tenant = "acme-eu"

// region is one region's services on a real port, every call handed over as an edge would.
type region struct {
	url      string
	key      string
	operator string
	keys     *rpctest.Keys
	profiles *rpctest.Profiles
	streams  *rpctest.Streams
	server   *http.Server
}

type regionConfig struct {
	rpc    func(*mount.Config)
	server func(*rpc.ServerConfig)
	// route changes what the edge hands over.
	route func(*call.Call)
	// seen is told of each request.
	seen func(*http.Request)
	// listener takes connections; nil: a port of this machine.
	listener net.Listener
}

func newRegion(t testing.TB, cfg regionConfig) *region {
	t.Helper()
	r := &region{keys: &rpctest.Keys{}, streams: &rpctest.Streams{Gone: make(chan struct{})}}
	memory := &rpctest.Memory{}
	r.profiles = &rpctest.Profiles{Memory: memory}
	r.key, r.operator = r.keys.Tenant(t, tenant), r.keys.Operator(t)
	options := rpctest.Options(t, r.keys, memory, cfg.rpc)
	path, handler := profilev1connect.NewProfileServiceHandler(r.profiles, options...)
	tenancyPath, tenancyHandler := tenancyv1connect.NewTenancyServiceHandler(tenancyv1connect.UnimplementedTenancyServiceHandler{}, options...)
	region, err := mount.NewHandler(mount.HandlerConfig{
		Region: "eu-central-1", Release: "test",
		Mounts: []mount.Mount{{Path: path, Handler: handler}, {Path: tenancyPath, Handler: tenancyHandler}, r.streams.Mount(options...)},
		Guard:  guard.New(guard.Config{Region: "eu-central-1"}),
	})
	if err != nil {
		t.Fatalf("mounting: %v", err)
	}
	r.serve(t, cfg, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		c := &call.Call{Tenant: tenant, Epoch: 1, Home: "eu-central-1", Jurisdiction: "EU", Region: "eu-central-1", Edge: "us-east-1"}
		if cfg.route != nil {
			cfg.route(c)
		}
		if cfg.seen != nil {
			cfg.seen(req)
		}
		req, err := rpc.LimitBody(req, rpc.DefaultMaxBytes)
		if err != nil {
			w.Header().Set("Connection", "close")
			rpc.WriteError(w, req, err)
			return
		}
		region.ServeHTTP(w, req.WithContext(handover.With(req.Context(), c)))
	}))
	return r
}

func (r *region) serve(t testing.TB, cfg regionConfig, handler http.Handler) {
	t.Helper()
	serverConfig := rpc.ServerConfig{Handler: rpc.CORS(handler), Logger: discard}
	if cfg.server != nil {
		cfg.server(&serverConfig)
	}
	r.server = rpc.NewServer(serverConfig)
	listener := cfg.listener
	if listener == nil {
		var err error
		if listener, err = new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0"); err != nil {
			t.Fatalf("listening: %v", err)
		}
	}
	r.url = "http://" + listener.Addr().String()
	go func() { _ = r.server.Serve(listener) }()
	t.Cleanup(func() { _ = r.server.Close() })
}

// request makes a request with the tenant's key.
func (r *region) request(t testing.TB, method, path, contentType string, body io.Reader) *http.Request {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, r.url+path, body)
	if err != nil {
		t.Fatalf("making a request: %v", err)
	}
	request.Header.Set("Authorization", "Bearer "+r.key)
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	return request
}

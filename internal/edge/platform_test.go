package edge_test

import (
	"bufio"
	"crypto/ed25519"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	directoryv1 "github.com/domicile-api/domicile/gen/domicile/directory/v1"
	profilev1 "github.com/domicile-api/domicile/gen/domicile/profile/v1"
	"github.com/domicile-api/domicile/gen/domicile/profile/v1/profilev1connect"
	tenancyv1 "github.com/domicile-api/domicile/gen/domicile/tenancy/v1"
	"github.com/domicile-api/domicile/gen/domicile/tenancy/v1/tenancyv1connect"
	"github.com/domicile-api/domicile/guard"
	"github.com/domicile-api/domicile/internal/directory"
	"github.com/domicile-api/domicile/internal/edge"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/routeheader"
	"github.com/domicile-api/domicile/internal/routing"
	"github.com/domicile-api/domicile/internal/rpc"
	"github.com/domicile-api/domicile/internal/rpc/mount"
	"github.com/domicile-api/domicile/internal/rpc/rpctest"
	"github.com/domicile-api/domicile/internal/store/pebblestore"
	"github.com/domicile-api/domicile/internal/topology"
	"github.com/domicile-api/domicile/internal/topology/topologyfile"
)

// The tenants of the tests.
var tenants = map[ident.TenantID]*tenancyv1.Tenant{
	"acme-eu": {Home: "eu-central-1", Standby: "eu-west-1", Transit: tenancyv1.Transit_TRANSIT_FORWARD, Hosts: []string{"api.acme.example"}},
	"acme-us": {Home: "us-east-1", Standby: "us-west-2", Transit: tenancyv1.Transit_TRANSIT_FORWARD},
	"acme-sg": {Home: "ap-southeast-1", Standby: "none", Transit: tenancyv1.Transit_TRANSIT_FORWARD},
	"bank-eu": {Home: "eu-central-1", Standby: "none", Transit: tenancyv1.Transit_TRANSIT_STRICT, Hosts: []string{"bank.example"}},
	"gone-eu": {Home: "eu-central-1", Standby: "none", Transit: tenancyv1.Transit_TRANSIT_FORWARD, State: tenancyv1.TenantState_TENANT_STATE_DELETED},
}

type identRegion = ident.RegionID

// place is one region of the tests: its edge and services behind one port.
type place struct {
	id       ident.RegionID
	index    topology.Index
	url      string
	listener net.Listener
	edge     *edge.Edge
	profiles *rpctest.Profiles
	streams  *rpctest.Streams
	server   *http.Server
}

// platform is six regions on real ports.
type platform struct {
	topology *topology.Topology
	index    *directory.Index
	table    directory.Table
	keys     *rpctest.Keys
	tenant   map[ident.TenantID]string
	operator string
	places   map[ident.RegionID]*place
	options  []connect.HandlerOption
	routeKey map[ident.RegionID]ed25519.PrivateKey
}

type platformConfig struct {
	// edge changes the configuration of each edge.
	edge func(*place, *edge.Config)
	// rpc changes that of the services.
	rpc func(*mount.Config)
	// instead answers for a region in place of its edge.
	instead map[ident.RegionID]http.Handler
	// silent regions have a port and nothing that serves it.
	silent map[ident.RegionID]bool
}

var services = []protoreflect.ServiceDescriptor{
	profilev1.File_domicile_profile_v1_profile_proto.Services().Get(0),
	tenancyv1.File_domicile_tenancy_v1_tenancy_proto.Services().Get(0),
	rpctest.StreamDescriptor(),
}

func newPlatform(t testing.TB, cfg platformConfig) *platform {
	t.Helper()
	p := &platform{
		keys: &rpctest.Keys{}, tenant: make(map[ident.TenantID]string), places: make(map[ident.RegionID]*place),
		routeKey: make(map[ident.RegionID]ed25519.PrivateKey),
	}
	message := topologyfile.Default().Proto()
	for i, region := range message.GetRegions() {
		listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatalf("listening: %v", err)
		}
		region.Endpoint = "http://" + listener.Addr().String()
		id := ident.RegionID(region.GetId())
		p.places[id] = &place{id: id, index: topology.Index(i), url: region.GetEndpoint(), listener: listener}
		if p.routeKey[id], err = newRouteKey(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = listener.Close() })
	}
	var err error
	if p.topology, err = topologyfile.New(message); err != nil {
		t.Fatalf("topology: %v", err)
	}
	db, err := pebblestore.OpenMemory(pebblestore.Config{Clock: time.Now, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatalf("opening a store: %v", err)
	}
	t.Cleanup(func() { _ = db.Close() })
	p.table = db.Table("directory")
	p.fillDirectory(t)
	memory := &rpctest.Memory{}
	p.options = rpctest.Options(t, p.keys, memory, cfg.rpc)
	for _, pl := range p.places {
		if cfg.silent[pl.id] {
			continue
		}
		p.start(t, pl, cfg, memory)
	}
	return p
}

func newRouteKey() (ed25519.PrivateKey, error) {
	_, key, err := ed25519.GenerateKey(nil)
	return key, err
}

func (p *platform) fillDirectory(t testing.TB) {
	t.Helper()
	p.index = directory.NewIndex(directory.IndexConfig{Topology: p.topology})
	records := make([]*directoryv1.Record, 0, len(tenants)+len(p.routeKey))
	for id, tenant := range tenants {
		tenant, _ := proto.Clone(tenant).(*tenancyv1.Tenant)
		tenant.Id, tenant.Epoch, tenant.Projections = string(id), 3, tenancyv1.Projections_PROJECTIONS_EVERYWHERE
		if tenant.GetState() == 0 {
			tenant.State = tenancyv1.TenantState_TENANT_STATE_ACTIVE
		}
		records = append(records, &directoryv1.Record{
			Writer: "us-east-1", Wseq: uint64(len(records) + 1), Subject: &directoryv1.Record_Tenant{Tenant: tenant},
		})
		p.tenant[id] = p.keys.Tenant(t, id)
	}
	p.operator = p.keys.Operator(t)
	for id, key := range p.routeKey {
		public, _ := key.Public().(ed25519.PublicKey)
		records = append(records, &directoryv1.Record{Writer: string(id), Wseq: 1, Subject: &directoryv1.Record_RegionKeys{
			RegionKeys: &directoryv1.RegionKeys{Region: string(id), RouteKeys: []*directoryv1.RouteKey{
				{Id: routeheader.KeyID(public), PublicKey: public},
			}},
		}})
	}
	p.index.Apply(records)
}

func (p *platform) start(t testing.TB, pl *place, cfg platformConfig, memory *rpctest.Memory) {
	t.Helper()
	pl.profiles = &rpctest.Profiles{Memory: memory}
	pl.streams = &rpctest.Streams{Gone: make(chan struct{})}
	profilePath, profiles := profilev1connect.NewProfileServiceHandler(pl.profiles, p.options...)
	tenancyPath, tenancy := tenancyv1connect.NewTenancyServiceHandler(tenancyv1connect.UnimplementedTenancyServiceHandler{}, p.options...)
	local, err := mount.NewHandler(mount.HandlerConfig{
		Region: pl.id, Release: "test",
		Mounts: []mount.Mount{{Path: profilePath, Handler: profiles}, {Path: tenancyPath, Handler: tenancy}, pl.streams.Mount(p.options...)},
		Guard:  guard.New(p.guardConfig(pl.id)),
	})
	if err != nil {
		t.Fatalf("mounting: %v", err)
	}
	edgeConfig := edge.Config{
		Region: pl.index, Topology: p.topology, Services: services, Signer: p.signer(pl.id), Local: local, Clock: time.Now,
		Resolver: directory.NewResolver(directory.ResolverConfig{
			Index: p.index, Table: p.table, Topology: p.topology, HostSuffixes: []string{"localhost"}, Clock: time.Now,
		}),
		Logger: slog.New(slog.DiscardHandler),
	}
	if cfg.edge != nil {
		cfg.edge(pl, &edgeConfig)
	}
	if pl.edge, err = edge.New(edgeConfig); err != nil {
		t.Fatalf("making an edge: %v", err)
	}
	handler := rpc.CORS(pl.edge)
	if instead := cfg.instead[pl.id]; instead != nil {
		handler = instead
	}
	pl.server = rpc.NewServer(rpc.ServerConfig{Handler: handler, Logger: slog.New(slog.DiscardHandler)})
	go func() { _ = pl.server.Serve(pl.listener) }()
	t.Cleanup(func() {
		_ = pl.server.Close()
		_ = pl.edge.Close()
	})
}

func (p *platform) guardConfig(region ident.RegionID) guard.Config {
	return guard.Config{
		Region: string(region),
		Keys: func(region, keyID string) (ed25519.PublicKey, bool) {
			return p.index.RouteKey(ident.RegionID(region), keyID)
		},
		Epoch: func(tenant string) (uint64, bool) {
			known, ok := p.index.Tenant(tenant)
			return uint64(known.Epoch), ok
		},
	}
}

func (p *platform) signer(region ident.RegionID) *routeheader.Signer {
	key := p.routeKey[region]
	public, _ := key.Public().(ed25519.PublicKey)
	return routeheader.NewSigner(routeheader.SignerConfig{Region: region, KeyID: routeheader.KeyID(public), Key: key, Clock: time.Now})
}

// request makes a request at a region's port with a tenant's key.
func (p *platform) request(
	t testing.TB, region ident.RegionID, tenant ident.TenantID, method, path, contentType string, body io.Reader,
) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, p.places[region].url+path, body)
	if err != nil {
		t.Fatal(err)
	}
	if tenant != "" {
		r.Header.Set("Authorization", "Bearer "+p.tenant[tenant])
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	return r
}

func validUser() *profilev1.User {
	return &profilev1.User{GivenName: "Ada", FamilyName: "Lovelace", Email: "ada@example.com", Locale: "en-GB"}
}

func (p *platform) home(tenant ident.TenantID) *place {
	return p.places[ident.RegionID(tenants[tenant].GetHome())]
}

func health(dead, draining []topology.Index) func() routing.Health {
	var h routing.Health
	for _, i := range dead {
		h.Dead = routing.With(h.Dead, i)
	}
	for _, i := range draining {
		h.Draining = routing.With(h.Draining, i)
	}
	return func() routing.Health { return h }
}

func newRecorder() *httptest.ResponseRecorder { return httptest.NewRecorder() }

// dial opens a connection to a region on which a test writes by hand. Whatever happens, it ends.
func (p *platform) dial(t testing.TB, region ident.RegionID) net.Conn {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(p.places[region].url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// sayf writes a text to a connection.
func sayf(t testing.TB, conn io.Writer, format string, args ...any) {
	t.Helper()
	if _, err := fmt.Fprintf(conn, format, args...); err != nil {
		t.Fatal(err)
	}
}

// hear reads an answer and its body.
func hear(t testing.TB, reader *bufio.Reader) (heard, error) {
	t.Helper()
	answer, err := http.ReadResponse(reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	return heard{answer.StatusCode, string(body), answer.Close}, err
}

// heard is an answer that was read whole.
type heard struct {
	status int
	body   string
	closes bool // the connection
}

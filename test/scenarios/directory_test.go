package scenarios

import (
	"bytes"
	"context"
	"crypto/sha256"
	"slices"
	"sync"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	profilev1 "github.com/domicile-api/domicile/gen/domicile/profile/v1"
	tenancyv1 "github.com/domicile-api/domicile/gen/domicile/tenancy/v1"
	topologyv1 "github.com/domicile-api/domicile/gen/domicile/topology/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/residency"
	"github.com/domicile-api/domicile/internal/routing"
	"github.com/domicile-api/domicile/internal/seal"
	"github.com/domicile-api/domicile/internal/topology"
	"github.com/domicile-api/domicile/internal/topology/topologyfile"
)

// The regions: two of one jurisdiction, and two others.
const (
	frankfurt topology.Index = iota
	dublin
	virginia
	saoPaulo
)

// The tenants: acme has a standby, bank has none.
const (
	acme = ident.TenantID("acme")
	bank = ident.TenantID("bank")

	userEntity = "domicile.profile.v1.User"
	active     = uint8(tenancyv1.TenantState_TENANT_STATE_ACTIVE)
)

func tenants() []ident.TenantID { return []ident.TenantID{acme, bank} }

var theTopology = sync.OnceValue(func() *topology.Topology {
	home, standby, control := topologyv1.Role_ROLE_HOME, topologyv1.Role_ROLE_STANDBY, topologyv1.Role_ROLE_CONTROL
	t, err := topologyfile.New(&topologyv1.Topology{Regions: []*topologyv1.Region{
		{
			Id: "eu-central-1", Place: "Frankfurt", Jurisdiction: "EU", Roles: []topologyv1.Role{home},
			Standby: "eu-west-1", Witness: "us-east-1", Port: 8081, Latitude: 50, Longitude: 8,
		},
		{Id: "eu-west-1", Place: "Dublin", Jurisdiction: "EU", Roles: []topologyv1.Role{standby}, Port: 8082, Latitude: 53, Longitude: -6},
		{Id: "us-east-1", Place: "Virginia", Jurisdiction: "US", Roles: []topologyv1.Role{home, control}, Port: 8083, Latitude: 39, Longitude: -77},
		{Id: "sa-east-1", Place: "São Paulo", Jurisdiction: "BR", Roles: []topologyv1.Role{home}, Port: 8084, Latitude: -23, Longitude: -46},
	}})
	if err != nil {
		panic(err)
	}
	return t
})

// release is a build that a region runs.
type release struct {
	catalog *residency.Catalog
	// adds is what projections of this release have that the one before does not know; empty: nothing.
	adds []byte
}

// releases are an old release and a new one, whose User has one more GLOBAL field.
var releases = sync.OnceValue(func() [2]*release {
	md := (&profilev1.User{}).ProtoReflect().Descriptor()
	older, err := residency.NewCatalog(md)
	if err != nil {
		panic(err)
	}
	file := protodesc.ToFileDescriptorProto(md.ParentFile())
	file = proto.CloneOf(file)
	for _, m := range file.GetMessageType() {
		if m.GetName() != string(md.Name()) {
			continue
		}
		for _, f := range m.GetField() {
			if f.GetName() == "handle" {
				added := proto.CloneOf(f)
				added.Name, added.JsonName, added.Number = new("nickname"), new("nickname"), new(int32(99))
				m.Field = append(m.Field, added)
				break
			}
		}
	}
	newer, err := residency.NewCatalog(compile(file).Messages().ByName(md.Name()))
	if err != nil {
		panic(err)
	}
	if bytes.Equal(older.Classes().Fingerprint(), newer.Classes().Fingerprint()) {
		panic("the releases have one class table")
	}
	return [2]*release{{catalog: older}, {catalog: newer, adds: []byte{0x9a, 0x06, 4, 'n', 'i', 'c', 'k'}}}
})

func compile(file *descriptorpb.FileDescriptorProto) protoreflect.FileDescriptor {
	fd, err := protodesc.NewFile(file, protoregistry.GlobalFiles)
	if err != nil {
		panic(err)
	}
	return fd
}

// book is the directory as a region knows it: each record by itself may be older than it is.
type book struct {
	tenants map[ident.TenantID]routing.Tenant
	tables  map[string]*residency.Classes
}

func newBook() *book {
	return &book{tenants: make(map[ident.TenantID]routing.Tenant), tables: make(map[string]*residency.Classes)}
}

func (b *book) Tenant(id ident.TenantID) (routing.Tenant, bool) {
	t, ok := b.tenants[id]
	return t, ok
}

func (b *book) Classes(fingerprint []byte) (*residency.Classes, bool) {
	c, ok := b.tables[string(fingerprint)]
	return c, ok
}

func (b *book) AtHome(_ context.Context, region topology.Index, fn func(ident.TenantID) error) error {
	for _, id := range tenants() {
		if t, ok := b.tenants[id]; ok && t.Home == region {
			if err := fn(id); err != nil {
				return err
			}
		}
	}
	return nil
}

// byName is the book as an audit asks it.
type byName struct{ *book }

func (b byName) Tenant(id string) (routing.Tenant, bool) { return b.book.Tenant(ident.TenantID(id)) }

// sealer is the keys of one region. What it seals can be told from what is in the clear, and nothing opens where there is no lawful key.
type sealer struct{ region *region }

func (s sealer) head(b seal.Bind) []byte {
	sum := sha256.Sum256([]byte(string(b.Tenant) + "\x00" + b.Type + "\x00" + b.ID))
	return sum[:]
}

func (s sealer) lawful(tenant ident.TenantID) error {
	t := s.region.w.records[tenant]
	if !theTopology().SameJurisdiction(t.Home, s.region.index) {
		return seal.ErrNoKey
	}
	return nil
}

// Seal implements seal.Sealer.
func (s sealer) Seal(_ context.Context, b seal.Bind, plain []byte) ([]byte, error) {
	if err := s.lawful(b.Tenant); err != nil {
		return nil, err
	}
	return append(s.head(b), veil(plain)...), nil
}

// Open implements seal.Sealer.
func (s sealer) Open(_ context.Context, b seal.Bind, sealed []byte) ([]byte, error) {
	if err := s.lawful(b.Tenant); err != nil {
		return nil, err
	}
	rest, ok := bytes.CutPrefix(sealed, s.head(b))
	if !ok {
		return nil, seal.ErrCannotOpen
	}
	return veil(rest), nil
}

// Hash implements seal.Sealer.
func (s sealer) Hash(_ context.Context, tenant ident.TenantID, purpose string, value []byte) ([]byte, error) {
	if err := s.lawful(tenant); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(slices.Concat([]byte(tenant), []byte{0}, []byte(purpose), []byte{0}, value))
	return sum[:], nil
}

// veil makes bytes unreadable, and readable again.
func veil(b []byte) []byte {
	out := make([]byte, len(b))
	for i := range b {
		out[i] = b[i] ^ 0x5a
	}
	return out
}

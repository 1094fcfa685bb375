package directory_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	directoryv1 "github.com/domicile-api/domicile/gen/domicile/directory/v1"
	tenancyv1 "github.com/domicile-api/domicile/gen/domicile/tenancy/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/topology/topologyfile"
)

const (
	control   = ident.RegionID("us-east-1")
	frankfurt = ident.RegionID("eu-central-1")
	dublin    = ident.RegionID("eu-west-1")
	singapore = ident.RegionID("ap-southeast-1")
)

// noon is when the clocks of these tests stand.
var noon = time.Date(2026, 11, 3, 12, 0, 0, 0, time.UTC)

func clock() time.Time { return noon }

// topo is the default topology, parsed once.
var topo = sync.OnceValue(topologyfile.Default)

func regions() []ident.RegionID {
	t := topo()
	ids := make([]ident.RegionID, 0, t.Len())
	for _, i := range t.Regions() {
		ids = append(ids, t.ID(i))
	}
	return ids
}

func tenant(id string, hosts ...string) *tenancyv1.Tenant {
	return &tenancyv1.Tenant{
		Id: id, Home: string(frankfurt), Standby: string(dublin), Epoch: 1, Hosts: hosts,
		Transit:     tenancyv1.Transit_TRANSIT_FORWARD,
		Projections: tenancyv1.Projections_PROJECTIONS_EVERYWHERE,
		State:       tenancyv1.TenantState_TENANT_STATE_ACTIVE,
	}
}

func tenantRecord(n uint64, t *tenancyv1.Tenant) *directoryv1.Record {
	return &directoryv1.Record{Writer: string(control), Wseq: n, Subject: &directoryv1.Record_Tenant{Tenant: t}}
}

// secret is the whole key that belongs to a key id in these tests.
func secret(tenantID, keyID string) string { return fmt.Sprintf("dk_%s_%s_secret", tenantID, keyID) }

func keyRecord(n uint64, tenantID, keyID string, revoked bool) *directoryv1.Record {
	hash := sha256.Sum256([]byte(secret(tenantID, keyID)))
	key := &tenancyv1.ApiKey{Id: keyID, Tenant: tenantID}
	if revoked {
		key.RevokeTime = timestamppb.New(noon)
	}
	return &directoryv1.Record{Writer: string(control), Wseq: n, Subject: &directoryv1.Record_ApiKey{
		ApiKey: &directoryv1.ApiKeyVerifier{Key: key, Verifier: hash[:]},
	}}
}

func operatorKeyRecord(n uint64, keyID string) *directoryv1.Record {
	hash := sha256.Sum256([]byte(secret("", keyID)))
	return &directoryv1.Record{Writer: string(control), Wseq: n, Subject: &directoryv1.Record_OperatorKey{
		OperatorKey: &directoryv1.OperatorKeyVerifier{Id: keyID, Verifier: hash[:]},
	}}
}

func revocationRecord(writer ident.RegionID, n uint64, tenantID, keyID string) *directoryv1.Record {
	return &directoryv1.Record{Writer: string(writer), Wseq: n, Subject: &directoryv1.Record_Revocation{
		Revocation: &directoryv1.Revocation{Tenant: tenantID, KeyId: keyID, RevokeTime: timestamppb.New(noon)},
	}}
}

func regionKeysRecord(region ident.RegionID, n uint64, ids ...string) *directoryv1.Record {
	keys := &directoryv1.RegionKeys{Region: string(region)}
	for _, id := range ids {
		keys.RouteKeys = append(keys.RouteKeys, &directoryv1.RouteKey{Id: id, PublicKey: publicKey(id)})
	}
	return &directoryv1.Record{Writer: string(region), Wseq: n, Subject: &directoryv1.Record_RegionKeys{RegionKeys: keys}}
}

func wrappingRecord(region ident.RegionID, n uint64, wrapping string) *directoryv1.Record {
	r := regionKeysRecord(region, n)
	r.GetRegionKeys().WrappingKey = []byte(wrapping)
	return r
}

// tokenKeyRecord makes a token key with one copy, whose content tells records of one key apart.
func tokenKeyRecord(n uint64, id uint32, wrapped string) *directoryv1.Record {
	return &directoryv1.Record{Writer: string(control), Wseq: n, Subject: &directoryv1.Record_TokenKey{
		TokenKey: &directoryv1.TokenKey{
			Id: id, CreateTime: timestamppb.New(noon),
			Copies: []*directoryv1.TokenKeyCopy{{Region: string(frankfurt), Wrapped: []byte(wrapped)}},
		},
	}}
}

// classTableRecord makes the table of a release, which has one message named after it.
func classTableRecord(writer ident.RegionID, n uint64, release string) *directoryv1.Record {
	table := &directoryv1.ClassTable{Messages: []*directoryv1.ClassifiedMessage{{Name: release}}}
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(table)
	if err != nil {
		panic(err)
	}
	sum := sha256.Sum256(data)
	table.Fingerprint = sum[:]
	return &directoryv1.Record{Writer: string(writer), Wseq: n, Subject: &directoryv1.Record_ClassTable{ClassTable: table}}
}

// forgedTableRecord makes a table that has the fingerprint of another one.
func forgedTableRecord() *directoryv1.Record {
	r := classTableRecord("", 0, "v1.0.0")
	r.GetClassTable().Messages[0].Name = "forged"
	return r
}

func publicKey(id string) ed25519.PublicKey {
	seed := sha256.Sum256([]byte(id))
	return ed25519.NewKeyFromSeed(seed[:]).Public().(ed25519.PublicKey)
}

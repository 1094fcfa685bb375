package directory

import (
	"iter"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	directoryv1 "github.com/domicile-api/domicile/gen/domicile/directory/v1"
	tenancyv1 "github.com/domicile-api/domicile/gen/domicile/tenancy/v1"
	"github.com/domicile-api/domicile/internal/ident"
)

// Records returns the index's content as records: of each subject the newest, with the fields that the index keeps. Applied to
// an empty index they make one that answers the same. Each record is the consumer's. What is applied meanwhile may be in it or
// not.
func (x *Index) Records() iter.Seq[*directoryv1.Record] {
	return func(yield func(*directoryv1.Record) bool) {
		for id, value := range x.tenants.all() {
			if !yield(x.tenantRecord(id, decodeTenant(value))) {
				return
			}
		}
		for name, value := range x.keys.all() {
			if !yield(x.keyRecord(name, decodeKey(value))) {
				return
			}
		}
		for name, value := range x.revocations.all() {
			if !yield(x.revocationRecord(name, decodeRevocation(value))) {
				return
			}
		}
		for region, published := range *x.routeKeys.Load() {
			if !yield(regionKeysRecord(region, published)) {
				return
			}
		}
		for _, k := range *x.tokenKeys.Load() {
			if !yield(x.tokenKeyRecord(k)) {
				return
			}
		}
		for _, t := range *x.tables.Load() {
			if !yield(x.classTableRecord(t)) {
				return
			}
		}
	}
}

func (x *Index) control() string { return string(x.cfg.Topology.ID(x.cfg.Topology.Control())) }

func (x *Index) tenantRecord(id string, e tenantEntry) *directoryv1.Record {
	t := &tenancyv1.Tenant{
		Id: id, Home: x.region(e.home), Standby: x.region(e.standby), Epoch: uint64(e.epoch),
		Transit:     tenancyv1.Transit(e.routing().Transit),
		Projections: tenancyv1.Projections(e.routing().Projections),
		State:       tenancyv1.TenantState(e.routing().State),
	}
	if e.standby == noRegion {
		t.Standby = NoStandby
	}
	for host := range e.eachHost() {
		t.Hosts = append(t.Hosts, host)
	}
	return &directoryv1.Record{Writer: x.control(), Wseq: uint64(e.wseq), Subject: &directoryv1.Record_Tenant{Tenant: t}}
}

func (x *Index) keyRecord(name string, e keyEntry) *directoryv1.Record {
	r := &directoryv1.Record{Writer: x.control(), Wseq: uint64(e.wseq)}
	tenant, id, _ := strings.Cut(name, "/")
	if tenant == "" {
		r.Subject = &directoryv1.Record_OperatorKey{OperatorKey: &directoryv1.OperatorKeyVerifier{
			Id: id, Verifier: []byte(e.verifier),
		}}
		return r
	}
	r.Subject = &directoryv1.Record_ApiKey{ApiKey: &directoryv1.ApiKeyVerifier{
		Key: &tenancyv1.ApiKey{
			Id: id, Tenant: tenant, ExpireTime: timestampOf(e.expires), RevokeTime: timestampOf(e.revoked),
		},
		Verifier: []byte(e.verifier),
	}}
	return r
}

func (x *Index) revocationRecord(name string, e revocationEntry) *directoryv1.Record {
	tenant, id, _ := strings.Cut(name, "/")
	return &directoryv1.Record{
		Writer: x.region(e.writer), Wseq: uint64(e.wseq),
		Subject: &directoryv1.Record_Revocation{Revocation: &directoryv1.Revocation{
			Tenant: tenant, KeyId: id, RevokeTime: timestampOf(e.revoked),
		}},
	}
}

func regionKeysRecord(region ident.RegionID, published regionKeys) *directoryv1.Record {
	keys := &directoryv1.RegionKeys{Region: string(region), WrappingKey: slices.Clone(published.wrapping)}
	for id, key := range published.keys {
		keys.RouteKeys = append(keys.RouteKeys, &directoryv1.RouteKey{Id: id, PublicKey: key})
	}
	for id, key := range published.peers {
		keys.PeerKeys = append(keys.PeerKeys, &directoryv1.RouteKey{Id: id, PublicKey: key})
	}
	return &directoryv1.Record{
		Writer: string(region), Wseq: uint64(published.wseq), Subject: &directoryv1.Record_RegionKeys{RegionKeys: keys},
	}
}

func (x *Index) tokenKeyRecord(k tokenKey) *directoryv1.Record {
	return &directoryv1.Record{
		Writer: x.control(), Wseq: uint64(k.wseq), Subject: &directoryv1.Record_TokenKey{TokenKey: proto.CloneOf(k.key)},
	}
}

func (x *Index) classTableRecord(t classTable) *directoryv1.Record {
	return &directoryv1.Record{
		Writer: x.region(t.writer), Wseq: uint64(t.wseq), Subject: &directoryv1.Record_ClassTable{ClassTable: proto.CloneOf(t.table)},
	}
}

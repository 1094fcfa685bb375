package tenancy

import (
	"context"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	directoryv1 "github.com/domicile-api/domicile/gen/domicile/directory/v1"
	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	tenancyv1 "github.com/domicile-api/domicile/gen/domicile/tenancy/v1"
	"github.com/domicile-api/domicile/internal/directory"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/ident"
)

// firstEpoch is the epoch of a new tenant's ownership.
const firstEpoch = 1

// etagOf makes the etag of a tenant from the number of the record that made it what it is.
func etagOf(n ident.Seq) string { return "t" + strconv.FormatUint(uint64(n), 36) }

// CreateTenant refuses a tenant whose policies are not all chosen.
func (s *service) CreateTenant(ctx context.Context, req *tenancyv1.CreateTenantRequest) (*tenancyv1.CreateTenantResponse, error) {
	given := req.GetTenant()
	t := &tenancyv1.Tenant{
		Id: given.GetId(), DisplayName: given.GetDisplayName(), Home: given.GetHome(), Standby: given.GetStandby(),
		Transit: given.GetTransit(), Projections: given.GetProjections(), Hosts: lowered(given.GetHosts()),
		State: tenancyv1.TenantState_TENANT_STATE_ACTIVE, Epoch: firstEpoch,
	}
	if err := checkPolicies(s.cfg.Topology, t); err != nil {
		return nil, err
	}
	return write(ctx, s, func(ctx context.Context, v directory.View) (*directoryv1.Record, *tenancyv1.CreateTenantResponse, error) {
		if there, err := v.Tenant(ctx, ident.TenantID(t.GetId())); err != nil || there != nil {
			return nil, nil, orExists(err, "a tenant with this id exists, or did: an id is never given twice")
		}
		if err := hostsFree(ctx, v, t); err != nil {
			return nil, nil, err
		}
		created := proto.CloneOf(t)
		created.CreateTime = timestamppb.New(s.cfg.Clock())
		record := changed(created, v, s.cfg.Clock())
		return record, &tenancyv1.CreateTenantResponse{Tenant: created}, nil
	})
}

func orExists(err error, text string) error {
	if err != nil {
		return err
	}
	return fault.New(errorsv1.Reason_REASON_ALREADY_EXISTS, "%s", text)
}

// changed stamps a tenant with the time and the etag of the record that is to be written, and returns that record.
func changed(t *tenancyv1.Tenant, v directory.View, now time.Time) *directoryv1.Record {
	t.UpdateTime = timestamppb.New(now)
	t.Etag = etagOf(v.Next())
	return &directoryv1.Record{Subject: &directoryv1.Record_Tenant{Tenant: t}}
}

// hostsFree refuses hosts that stand for another tenant.
func hostsFree(ctx context.Context, v directory.View, t *tenancyv1.Tenant) error {
	for _, host := range t.GetHosts() {
		owner, err := v.HostOwner(ctx, host)
		if err != nil {
			return err
		}
		if owner != "" && string(owner) != t.GetId() {
			return fault.New(errorsv1.Reason_REASON_ALREADY_EXISTS, "a host name of the request stands for another tenant")
		}
	}
	return nil
}

func lowered(hosts []string) []string {
	out := make([]string, len(hosts))
	for i, h := range hosts {
		// A dot at the end says that a name is whole, and is no part of it: an edge takes it away, too.
		out[i] = strings.TrimSuffix(strings.ToLower(h), ".")
	}
	return out
}

// GetTenant answers deleted and purged tenants too: an operator may need to know.
func (s *service) GetTenant(ctx context.Context, req *tenancyv1.GetTenantRequest) (*tenancyv1.GetTenantResponse, error) {
	record, err := s.cfg.Reader.TenantRecord(ctx, ident.TenantID(req.GetId()))
	if err != nil {
		return nil, err
	}
	if record == nil {
		return nil, notFound("tenant")
	}
	t, err := s.shown(ctx, record)
	if err != nil {
		return nil, err
	}
	return &tenancyv1.GetTenantResponse{Tenant: t}, nil
}

// shown is a tenant as an operator sees it: with its etag, and for a purged one when it was erased.
func (s *service) shown(ctx context.Context, record *directoryv1.Record) (*tenancyv1.Tenant, error) {
	t := record.GetTenant()
	t.Etag = etagOf(ident.Seq(record.GetWseq()))
	if t.GetState() != tenancyv1.TenantState_TENANT_STATE_PURGED {
		return t, nil
	}
	done, err := s.cfg.Reader.Erasures(ctx, ident.TenantID(t.GetId()))
	if err != nil {
		return nil, err
	}
	var last time.Time
	// Rows, projections or keys may lie in any region that the tenant's policies ever allowed: each says that it has none left.
	for _, region := range s.cfg.Topology.Regions() {
		at, ok := done[s.cfg.Topology.ID(region)]
		if !ok {
			return t, nil
		}
		if at.After(last) {
			last = at
		}
	}
	t.EraseTime = timestamppb.New(last)
	return t, nil
}

// ListTenants answers in the order of ids.
func (s *service) ListTenants(ctx context.Context, req *tenancyv1.ListTenantsRequest) (*tenancyv1.ListTenantsResponse, error) {
	query := directory.TenantQuery{Limit: int(req.GetPageSize()), ShowDeleted: req.GetShowDeleted()}
	if query.Limit == 0 {
		query.Limit = 100
	}
	tokens := pageTokens{key: s.cfg.PageKey, query: strconv.FormatBool(req.GetShowDeleted())}
	if req.GetPageToken() != "" {
		after, err := tokens.open(req.GetPageToken())
		if err != nil {
			return nil, err
		}
		query.After = ident.TenantID(after)
	}
	page, err := s.cfg.Reader.ListTenants(ctx, query)
	if err != nil {
		return nil, err
	}
	answer := &tenancyv1.ListTenantsResponse{}
	for _, record := range page.Records {
		t, err := s.shown(ctx, record)
		if err != nil {
			return nil, err
		}
		answer.Tenants = append(answer.Tenants, t)
	}
	if page.More {
		answer.NextPageToken = tokens.make(answer.GetTenants()[len(answer.GetTenants())-1].GetId())
	}
	return answer, nil
}

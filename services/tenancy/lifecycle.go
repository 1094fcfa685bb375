package tenancy

import (
	"context"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	directoryv1 "github.com/domicile-api/domicile/gen/domicile/directory/v1"
	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	tenancyv1 "github.com/domicile-api/domicile/gen/domicile/tenancy/v1"
	"github.com/domicile-api/domicile/internal/directory"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/ident"
)

// change reads a tenant, changes it and writes it back. apply may refuse.
func change[A proto.Message](
	ctx context.Context, s *service, id, etag string,
	apply func(context.Context, directory.View, *tenancyv1.Tenant) error, answer func(*tenancyv1.Tenant) A,
) (A, error) {
	return write(ctx, s, func(ctx context.Context, v directory.View) (*directoryv1.Record, A, error) {
		var none A
		stored, err := v.TenantRecord(ctx, ident.TenantID(id))
		if err != nil {
			return nil, none, err
		}
		if stored == nil {
			return nil, none, notFound("tenant")
		}
		if etag != "" && etag != etagOf(ident.Seq(stored.GetWseq())) {
			return nil, none, fault.New(errorsv1.Reason_REASON_ETAG_MISMATCH, "the tenant has changed since the etag was given")
		}
		t := proto.CloneOf(stored.GetTenant())
		if err := apply(ctx, v, t); err != nil {
			return nil, none, err
		}
		record := changed(t, v, s.cfg.Clock())
		return record, answer(t), nil
	})
}

// UpdateTenant changes what may change by an update.
func (s *service) UpdateTenant(ctx context.Context, req *tenancyv1.UpdateTenantRequest) (*tenancyv1.UpdateTenantResponse, error) {
	if req.GetTenant() == nil {
		return nil, violation("tenant", "required", "give the new values")
	}
	given := proto.CloneOf(req.GetTenant())
	given.Hosts = lowered(given.GetHosts())
	return change(ctx, s, req.GetId(), given.GetEtag(), func(ctx context.Context, v directory.View, t *tenancyv1.Tenant) error {
		if t.GetState() == tenancyv1.TenantState_TENANT_STATE_PURGED {
			return notFound("tenant")
		}
		if err := applyUpdate(t, given, req.GetUpdateMask()); err != nil {
			return err
		}
		if err := checkPolicies(s.cfg.Topology, t); err != nil {
			return err
		}
		if err := validate(t); err != nil {
			return err
		}
		return hostsFree(ctx, v, t)
	}, func(t *tenancyv1.Tenant) *tenancyv1.UpdateTenantResponse {
		return &tenancyv1.UpdateTenantResponse{Tenant: t}
	})
}

// updatable tells whether a field changes by an update, whether it is given, and how it is set.
func updatable(path string, to, from *tenancyv1.Tenant) (given bool, set func(), ok bool) {
	switch path {
	case "display_name":
		return from.GetDisplayName() != "", func() { to.DisplayName = from.GetDisplayName() }, true
	case "transit":
		return from.GetTransit() != 0, func() { to.Transit = from.GetTransit() }, true
	case "projections":
		return from.GetProjections() != 0, func() { to.Projections = from.GetProjections() }, true
	case "hosts":
		return len(from.GetHosts()) > 0, func() { to.Hosts = from.GetHosts() }, true
	}
	return false, nil, false
}

// applyUpdate follows AIP-134: the mask's fields, or without a mask all that are given. Fields that the server gives are
// passed over; home and standby are refused, since they change by a move.
func applyUpdate(t, given *tenancyv1.Tenant, mask *fieldmaskpb.FieldMask) error {
	if (given.GetHome() != "" && given.GetHome() != t.GetHome()) || (given.GetStandby() != "" && given.GetStandby() != t.GetStandby()) {
		return violation("tenant.home", "immutable", "home and standby change by a move, not by an update")
	}
	if mask == nil {
		for _, path := range []string{"display_name", "transit", "projections", "hosts"} {
			if there, set, _ := updatable(path, t, given); there {
				set()
			}
		}
		return nil
	}
	for _, path := range mask.GetPaths() {
		_, set, ok := updatable(path, t, given)
		if !ok {
			return violation("update_mask", "known_field",
				"names a field that an update does not change; it changes display_name, transit, projections and hosts")
		}
		set()
	}
	return nil
}

// DeleteTenant is soft. Deleting a deleted tenant again changes nothing but the etag.
func (s *service) DeleteTenant(ctx context.Context, req *tenancyv1.DeleteTenantRequest) (*tenancyv1.DeleteTenantResponse, error) {
	return change(ctx, s, req.GetId(), req.GetEtag(), func(_ context.Context, _ directory.View, t *tenancyv1.Tenant) error {
		switch t.GetState() {
		case tenancyv1.TenantState_TENANT_STATE_PURGED:
			return notFound("tenant")
		case tenancyv1.TenantState_TENANT_STATE_DELETED:
			return nil
		default:
			t.State, t.DeleteTime = tenancyv1.TenantState_TENANT_STATE_DELETED, timestamppb.New(s.cfg.Clock())
			return nil
		}
	}, func(t *tenancyv1.Tenant) *tenancyv1.DeleteTenantResponse {
		return &tenancyv1.DeleteTenantResponse{Tenant: t}
	})
}

// UndeleteTenant takes a soft deletion back.
func (s *service) UndeleteTenant(ctx context.Context, req *tenancyv1.UndeleteTenantRequest) (*tenancyv1.UndeleteTenantResponse, error) {
	return change(ctx, s, req.GetId(), "", func(_ context.Context, _ directory.View, t *tenancyv1.Tenant) error {
		if t.GetState() == tenancyv1.TenantState_TENANT_STATE_PURGED {
			return notFound("tenant")
		}
		t.State, t.DeleteTime = tenancyv1.TenantState_TENANT_STATE_ACTIVE, nil
		return nil
	}, func(t *tenancyv1.Tenant) *tenancyv1.UndeleteTenantResponse {
		return &tenancyv1.UndeleteTenantResponse{Tenant: t}
	})
}

// PurgeTenant marks the tenant; each lawful region destroys its part when it learns of it, and says so in the directory.
func (s *service) PurgeTenant(ctx context.Context, req *tenancyv1.PurgeTenantRequest) (*tenancyv1.PurgeTenantResponse, error) {
	return change(ctx, s, req.GetId(), "", func(_ context.Context, _ directory.View, t *tenancyv1.Tenant) error {
		switch t.GetState() {
		case tenancyv1.TenantState_TENANT_STATE_ACTIVE:
			return violation("id", "deleted", "only a deleted tenant can be purged; delete it first")
		case tenancyv1.TenantState_TENANT_STATE_PURGED:
			return nil
		default:
			t.State, t.Hosts = tenancyv1.TenantState_TENANT_STATE_PURGED, nil
			return nil
		}
	}, func(t *tenancyv1.Tenant) *tenancyv1.PurgeTenantResponse {
		return &tenancyv1.PurgeTenantResponse{Tenant: t}
	})
}

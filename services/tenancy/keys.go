package tenancy

import (
	"context"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	directoryv1 "github.com/domicile-api/domicile/gen/domicile/directory/v1"
	tenancyv1 "github.com/domicile-api/domicile/gen/domicile/tenancy/v1"
	"github.com/domicile-api/domicile/internal/call"
	"github.com/domicile-api/domicile/internal/credential"
	"github.com/domicile-api/domicile/internal/directory"
	"github.com/domicile-api/domicile/internal/ident"
)

// CreateApiKey shows the secret, this once: the directory keeps a verifier.
func (s *service) CreateApiKey(ctx context.Context, req *tenancyv1.CreateApiKeyRequest) (*tenancyv1.CreateApiKeyResponse, error) {
	if exp := req.GetExpireTime(); exp != nil && !exp.AsTime().After(s.cfg.Clock()) {
		return nil, violation("expire_time", "future", "is past already; a key that never ends has none")
	}
	return write(ctx, s, func(ctx context.Context, v directory.View) (*directoryv1.Record, *tenancyv1.CreateApiKeyResponse, error) {
		if err := activeTenant(ctx, v, req.GetTenant()); err != nil {
			return nil, nil, err
		}
		id, full, err := credential.NewTenantKey(s.cfg.Random, ident.TenantID(req.GetTenant()))
		if err != nil {
			return nil, nil, err
		}
		key := &tenancyv1.ApiKey{
			Id: id, Tenant: req.GetTenant(), DisplayName: req.GetDisplayName(),
			CreateTime: timestamppb.New(s.cfg.Clock()), ExpireTime: req.GetExpireTime(),
		}
		verifier := credential.Verifier(full)
		record := &directoryv1.Record{Subject: &directoryv1.Record_ApiKey{ApiKey: &directoryv1.ApiKeyVerifier{Key: key, Verifier: verifier[:]}}}
		return record, &tenancyv1.CreateApiKeyResponse{ApiKey: key, Secret: full}, nil
	})
}

// activeTenant refuses a tenant that is not there or deleted.
func activeTenant(ctx context.Context, v directory.View, id string) error {
	t, err := v.Tenant(ctx, ident.TenantID(id))
	if err != nil {
		return err
	}
	if t.GetState() != tenancyv1.TenantState_TENANT_STATE_ACTIVE {
		return notFound("tenant")
	}
	return nil
}

// ListApiKeys answers the keys as this region knows them, revocations by the tenant's home included.
func (s *service) ListApiKeys(ctx context.Context, req *tenancyv1.ListApiKeysRequest) (*tenancyv1.ListApiKeysResponse, error) {
	t, err := s.cfg.Reader.GetTenant(ctx, ident.TenantID(req.GetTenant()))
	if err != nil {
		return nil, err
	}
	if t == nil {
		return nil, notFound("tenant")
	}
	keys, err := s.cfg.Reader.ListAPIKeys(ctx, ident.TenantID(req.GetTenant()))
	if err != nil {
		return nil, err
	}
	return &tenancyv1.ListApiKeysResponse{ApiKeys: keys}, nil
}

// RevokeApiKey revokes in the control region's log.
func (s *service) RevokeApiKey(ctx context.Context, req *tenancyv1.RevokeApiKeyRequest) (*tenancyv1.RevokeApiKeyResponse, error) {
	return write(ctx, s, func(ctx context.Context, v directory.View) (*directoryv1.Record, *tenancyv1.RevokeApiKeyResponse, error) {
		stored, err := v.APIKey(ctx, ident.TenantID(req.GetTenant()), req.GetId())
		if err != nil {
			return nil, nil, err
		}
		if stored == nil {
			return nil, nil, notFound("key")
		}
		key := proto.CloneOf(stored)
		if key.GetKey().GetRevokeTime() == nil {
			key.Key.RevokeTime = timestamppb.New(s.cfg.Clock())
		}
		record := &directoryv1.Record{Subject: &directoryv1.Record_ApiKey{ApiKey: key}}
		return record, &tenancyv1.RevokeApiKeyResponse{ApiKey: key.GetKey()}, nil
	})
}

// RevokeOwnApiKey revokes in the home's own log, which needs nobody else. The tenant is the one whom the call was routed for.
// A key that the home has not heard of is refused: no tenant may fill the directory with words about keys that never were.
func (s *service) RevokeOwnApiKey(ctx context.Context, req *tenancyv1.RevokeOwnApiKeyRequest) (*tenancyv1.RevokeOwnApiKeyResponse, error) {
	tenant := call.From(ctx).Tenant
	return write(ctx, s, func(ctx context.Context, v directory.View) (*directoryv1.Record, *tenancyv1.RevokeOwnApiKeyResponse, error) {
		if there, err := v.Revocation(ctx, tenant, req.GetId()); err != nil || there != nil {
			return nil, &tenancyv1.RevokeOwnApiKeyResponse{}, err
		}
		// Asked of what proves keys, not of the table: of an item that comes from the control region, the log's record may be here
		// before the state that it makes.
		if _, known, err := s.cfg.Resolver.KeyVerifier(ctx, tenant, req.GetId()); err != nil || !known {
			return nil, nil, orNotFound(err, "key")
		}
		record := &directoryv1.Record{Subject: &directoryv1.Record_Revocation{Revocation: &directoryv1.Revocation{
			Tenant: string(tenant), KeyId: req.GetId(), RevokeTime: timestamppb.New(s.cfg.Clock()),
		}}}
		return record, &tenancyv1.RevokeOwnApiKeyResponse{}, nil
	})
}

package app

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	directoryv1 "github.com/domicile-api/domicile/gen/domicile/directory/v1"
	tenancyv1 "github.com/domicile-api/domicile/gen/domicile/tenancy/v1"
	"github.com/domicile-api/domicile/internal/call"
	"github.com/domicile-api/domicile/internal/credential"
	"github.com/domicile-api/domicile/internal/directory"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/topology"
)

// demoTenants are the demonstration tenants of the default topology.
func demoTenants() []*tenancyv1.Tenant {
	forward, everywhere := tenancyv1.Transit_TRANSIT_FORWARD, tenancyv1.Projections_PROJECTIONS_EVERYWHERE
	return []*tenancyv1.Tenant{
		{Id: "acme-eu", Home: "eu-central-1", Standby: "eu-west-1", Transit: forward, Projections: everywhere},
		{Id: "acme-us", Home: "us-east-1", Standby: "us-west-2", Transit: forward, Projections: everywhere},
		{Id: "acme-sg", Home: "ap-southeast-1", Standby: "none", Transit: forward, Projections: everywhere},
		{Id: "acme-br", Home: "sa-east-1", Standby: "none", Transit: forward, Projections: everywhere},
		{
			Id: "bank-eu", Home: "eu-central-1", Standby: "none",
			Transit: tenancyv1.Transit_TRANSIT_STRICT, Projections: tenancyv1.Projections_PROJECTIONS_JURISDICTION,
		},
	}
}

// seeder makes what a new platform needs before anyone can ask it for more: an operator's key, and with Demo the
// demonstration tenants. What an earlier start left in the files is used again, as long as it still proves itself.
type seeder struct {
	topo   *topology.Topology
	writer *directory.Writer
	random io.Reader
	clock  func() time.Time
}

// operator returns a key that works: the known one, or a new one.
func (s seeder) operator(ctx context.Context, known string) (string, error) {
	full := known
	_, err := s.writer.Write(ctx, func(ctx context.Context, v directory.View) (*directoryv1.Record, error) {
		if k, err := credential.Parse(known); err == nil && k.Kind == call.OperatorKey {
			stored, err := v.OperatorKey(ctx, k.ID)
			if err != nil {
				return nil, err
			}
			if stored != nil && credential.Matches(known, stored.GetVerifier()) {
				full = known
				return nil, nil //nolint:nilnil // Nothing is to be written.
			}
		}
		id, made, err := credential.NewOperatorKey(s.random)
		if err != nil {
			return nil, err
		}
		full = made
		verifier := credential.Verifier(made)
		return &directoryv1.Record{Subject: &directoryv1.Record_OperatorKey{OperatorKey: &directoryv1.OperatorKeyVerifier{
			Id: id, Verifier: verifier[:], CreateTime: timestamppb.New(s.clock()),
		}}}, nil
	})
	if err != nil {
		return "", fmt.Errorf("making the operator's key: %w", err)
	}
	return full, nil
}

// tenant makes a demonstration tenant if it was never made, and returns a key of it that works; "" if an operator deleted it.
func (s seeder) tenant(ctx context.Context, t *tenancyv1.Tenant, known string) (string, error) {
	deleted := false
	_, err := s.writer.Write(ctx, func(ctx context.Context, v directory.View) (*directoryv1.Record, error) {
		there, err := v.Tenant(ctx, ident.TenantID(t.GetId()))
		if err != nil || there != nil {
			deleted = there != nil && there.GetState() != tenancyv1.TenantState_TENANT_STATE_ACTIVE
			return nil, err
		}
		home, _ := s.topo.Index(ident.RegionID(t.GetHome())) // seed has passed over the tenants whose home this topology has not.
		now := timestamppb.New(s.clock())
		t.Jurisdiction, t.Epoch, t.State = string(s.topo.Jurisdiction(home)), 1, tenancyv1.TenantState_TENANT_STATE_ACTIVE
		t.CreateTime, t.UpdateTime = now, now
		return &directoryv1.Record{Subject: &directoryv1.Record_Tenant{Tenant: t}}, nil
	})
	if err != nil {
		return "", fmt.Errorf("making the demonstration tenant %s: %w", t.GetId(), err)
	}
	if deleted {
		return "", nil
	}
	return s.key(ctx, ident.TenantID(t.GetId()), known)
}

// key returns a key of a tenant that works: the known one, or a new one.
func (s seeder) key(ctx context.Context, tenant ident.TenantID, known string) (string, error) {
	full := known
	_, err := s.writer.Write(ctx, func(ctx context.Context, v directory.View) (*directoryv1.Record, error) {
		if k, err := credential.Parse(known); err == nil && k.Tenant == tenant {
			stored, err := v.APIKey(ctx, tenant, k.ID)
			if err != nil {
				return nil, err
			}
			if stored.GetKey().GetRevokeTime() == nil && credential.Matches(known, stored.GetVerifier()) {
				full = known
				return nil, nil //nolint:nilnil // Nothing is to be written.
			}
		}
		id, made, err := credential.NewTenantKey(s.random, tenant)
		if err != nil {
			return nil, err
		}
		full = made
		verifier := credential.Verifier(made)
		return &directoryv1.Record{Subject: &directoryv1.Record_ApiKey{ApiKey: &directoryv1.ApiKeyVerifier{
			Key:      &tenancyv1.ApiKey{Id: id, Tenant: string(tenant), DisplayName: "demonstration", CreateTime: timestamppb.New(s.clock())},
			Verifier: verifier[:],
		}}}, nil
	})
	if err != nil {
		return "", fmt.Errorf("making a key of tenant %s: %w", tenant, err)
	}
	return full, nil
}

// seed makes all of it and returns what the file is to say.
func (s seeder) seed(ctx context.Context, known DemoFile, demo bool) (DemoFile, error) {
	out := DemoFile{Tenants: []DemoTenant{}}
	var err error
	if out.OperatorKey, err = s.operator(ctx, known.OperatorKey); err != nil || !demo {
		return out, err
	}
	keys := map[string]string{}
	for _, t := range known.Tenants {
		keys[t.ID] = t.APIKey
	}
	for _, t := range demoTenants() {
		if _, ok := s.topo.Index(ident.RegionID(t.GetHome())); !ok {
			continue
		}
		key, err := s.tenant(ctx, t, keys[t.GetId()])
		if err != nil {
			return out, err
		}
		if key != "" {
			out.Tenants = append(out.Tenants, DemoTenant{ID: t.GetId(), Home: t.GetHome(), APIKey: key})
		}
	}
	return out, nil
}

// demoPath is the file that a start reads known keys from and writes them to.
func demoPath(cfg Config) string {
	if cfg.Demo {
		return filepath.Join(cfg.DataDir, demoFileName)
	}
	return filepath.Join(cfg.DataDir, operatorFileName)
}

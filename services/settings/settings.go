// Package settings is SettingsService: a tenant's configuration, which every region writes. It is the translation between RPC and domain
// and nothing else; what it promises stands in proto/domicile/settings/v1.
package settings

import (
	"context"
	"net/http"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/domicile-api/domicile"
	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	settingsv1 "github.com/domicile-api/domicile/gen/domicile/settings/v1"
	"github.com/domicile-api/domicile/gen/domicile/settings/v1/settingsv1connect"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/settings"
)

// defaultPage is how many namespaces a page has when the caller does not say.
const defaultPage = 20

// Service makes the service of one region over its settings. The handler options that it is registered with replay what
// kept.Replay finds: the answers lie beside the settings.
func Service(kept *settings.Settings) domicile.Service {
	return domicile.Service{
		Name:     "settings",
		Entities: []proto.Message{(*settingsv1.Settings)(nil)},
		Register: func(rt domicile.Runtime) (string, http.Handler, error) {
			path, handler := settingsv1connect.NewSettingsServiceHandler(&server{kept: kept}, rt.HandlerOptions...)
			return path, handler, nil
		},
	}
}

// server implements settingsv1connect.SettingsServiceHandler.
type server struct {
	kept *settings.Settings
}

// GetSettings answers one namespace.
func (s *server) GetSettings(ctx context.Context, req *settingsv1.GetSettingsRequest) (*settingsv1.GetSettingsResponse, error) {
	mask, err := maskOf(req.GetReadMask())
	if err != nil {
		return nil, err
	}
	found, err := s.kept.Get(ctx, req.GetNamespace(), req.GetKeys()...)
	if err != nil {
		return nil, err
	}
	return &settingsv1.GetSettingsResponse{Settings: mask(found)}, nil
}

// ListSettings answers a page of namespaces.
func (s *server) ListSettings(ctx context.Context, req *settingsv1.ListSettingsRequest) (*settingsv1.ListSettingsResponse, error) {
	mask, err := maskOf(req.GetReadMask())
	if err != nil {
		return nil, err
	}
	size := int(req.GetPageSize())
	if size == 0 {
		size = defaultPage
	}
	page, next, err := s.kept.List(ctx, size, req.GetPageToken())
	if err != nil {
		return nil, err
	}
	for i := range page {
		page[i] = mask(page[i])
	}
	return &settingsv1.ListSettingsResponse{Settings: page, NextPageToken: next}, nil
}

// UpdateSettings changes a namespace.
func (s *server) UpdateSettings(ctx context.Context, req *settingsv1.UpdateSettingsRequest) (*settingsv1.UpdateSettingsResponse, error) {
	mask, err := maskOf(req.GetReadMask())
	if err != nil {
		return nil, err
	}
	return settings.Update(ctx, s.kept, req.GetNamespace(), req.GetOperations(),
		func(after *settingsv1.Settings) *settingsv1.UpdateSettingsResponse {
			return &settingsv1.UpdateSettingsResponse{Settings: mask(after)}
		})
}

// ListConflicts answers what concurrent writes have overridden.
func (s *server) ListConflicts(ctx context.Context, req *settingsv1.ListConflictsRequest) (*settingsv1.ListConflictsResponse, error) {
	conflicts, err := s.kept.Conflicts(ctx, req.GetNamespace())
	if err != nil {
		return nil, err
	}
	return &settingsv1.ListConflictsResponse{Conflicts: conflicts}, nil
}

// maskOf returns what leaves the fields of a mask in the settings that are answered. It refuses a mask with another field, before
// anything was done.
func maskOf(mask *fieldmaskpb.FieldMask) (func(*settingsv1.Settings) *settingsv1.Settings, error) {
	if len(mask.GetPaths()) == 0 {
		return func(all *settingsv1.Settings) *settingsv1.Settings { return all }, nil
	}
	var namespace, entries bool
	for _, path := range mask.GetPaths() {
		switch path {
		case "namespace":
			namespace = true
		case "entries":
			entries = true
		case "*":
			namespace, entries = true, true
		default:
			f := fault.New(errorsv1.Reason_REASON_INVALID_ARGUMENT, "the request breaks the rules of its contract")
			f.Violations = []fault.Violation{{Field: "read_mask", Rule: "field_mask", Message: "a path is namespace or entries"}}
			return nil, f
		}
	}
	return func(all *settingsv1.Settings) *settingsv1.Settings {
		some := &settingsv1.Settings{}
		if namespace {
			some.Namespace = all.GetNamespace()
		}
		if entries {
			some.Entries = all.GetEntries()
		}
		return some
	}, nil
}

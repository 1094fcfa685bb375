package edge_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	settingsv1 "github.com/domicile-api/domicile/gen/domicile/settings/v1"
	"github.com/domicile-api/domicile/gen/domicile/settings/v1/settingsv1connect"
	"github.com/domicile-api/domicile/internal/edge"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/handover"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/routing"
	"github.com/domicile-api/domicile/internal/rpc/rpctest"
)

// unasked is the gate of other calls.
type unasked struct{ t *testing.T }

// Admit implements edge.Nearest.
func (u unasked) Admit(context.Context, ident.TenantID, routing.Tenant, http.Header) (bool, error) {
	u.t.Error("the gate of NEAREST calls was asked")
	return false, nil
}

// A call of route ANY, a write among them, is answered by the edge's own region when its gate admits it, and else at home, once, body and all.
func TestAnyAnswersOrGoesHome(t *testing.T) {
	t.Parallel()
	invalid := fault.New(errorsv1.Reason_REASON_TOKEN_INVALID, "no such token")
	for name, tt := range map[string]struct {
		gate         edge.Nearest
		tenant, edge string
		region       string
		reason       string
	}{
		"admitted":              {nearest{admitted: true}, "acme-eu", "ap-southeast-1", "ap-southeast-1", ""},
		"behind":                {nearest{}, "acme-eu", "ap-southeast-1", "eu-central-1", ""},
		"an edge alone":         {nil, "acme-eu", "ap-southeast-1", "eu-central-1", ""},
		"at home":               {nearest{}, "acme-eu", "eu-central-1", "eu-central-1", ""},
		"a token that is wrong": {nearest{err: invalid}, "acme-eu", "ap-southeast-1", "", "TOKEN_INVALID"},
		"strict, abroad":        {nearest{admitted: true}, "bank-eu", "ap-southeast-1", "", "WRONG_REGION"},
		"strict, inside":        {nearest{admitted: true}, "bank-eu", "eu-west-1", "eu-west-1", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var answered []ident.RegionID
			p := newPlatform(t, platformConfig{edge: func(pl *place, c *edge.Config) {
				c.Services = []protoreflect.ServiceDescriptor{settingsv1.File_domicile_settings_v1_settings_proto.Services().Get(0)}
				c.Nearest, c.Any = unasked{t}, tt.gate
				c.Local = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					answered = append(answered, pl.id)
					body, err := io.ReadAll(r.Body)
					if err != nil || string(body) != `{"namespace":"ui"}` {
						t.Errorf("the body is %q: %v", body, err)
					}
					if c := handover.From(r.Context()); c != nil && (c.Region != pl.id || c.Home != "eu-central-1") {
						t.Errorf("the call does not say where it is answered: %+v", c)
					}
					w.WriteHeader(http.StatusOK)
				})
			}})
			r := p.request(t, ident.RegionID(tt.edge), ident.TenantID(tt.tenant), http.MethodPost,
				settingsv1connect.SettingsServiceUpdateSettingsProcedure, "application/json", strings.NewReader(`{"namespace":"ui"}`))
			got := rpctest.Exchange(t, rpctest.H1(t), r)
			if got.Reason != tt.reason {
				t.Errorf("%d %s, want %s", got.Status, got.Reason, tt.reason)
			}
			if tt.region == "" && len(answered) > 0 || tt.region != "" && (len(answered) != 1 || string(answered[0]) != tt.region) {
				t.Errorf("answered by %v, want %q", answered, tt.region)
			}
		})
	}
}

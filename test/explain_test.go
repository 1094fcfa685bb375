package test

import (
	"net/http"
	"net/url"
	"testing"

	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/domicile-api/domicile/domiciletest"
	operationsv1 "github.com/domicile-api/domicile/gen/domicile/operations/v1"
	"github.com/domicile-api/domicile/gen/domicile/operations/v1/operationsv1connect"
	tenancyv1 "github.com/domicile-api/domicile/gen/domicile/tenancy/v1"
	"github.com/domicile-api/domicile/gen/domicile/tenancy/v1/tenancyv1connect"
	"github.com/domicile-api/domicile/services"
)

// A tenant is told with its own key how its calls are routed, in any region that may relay them, in the words that an operator reads.
func TestTenantExplainsItsOwnRoute(t *testing.T) {
	t.Parallel()
	p := domiciletest.Start(t, domiciletest.Config{Services: services.All(), Demo: true})
	operators := operationsv1connect.NewOperationsServiceClient(http.DefaultClient, p.OperationsEndpoint(), domiciletest.Bearer(p.OperatorKey()))
	for name, tt := range map[string]struct {
		tenant, through, from, method string
		strict                        bool
		edge, region, reason          string
		action                        operationsv1.RouteAction
	}{
		"where it came in":      {"acme-eu", "us-east-1", "", "GetUser", false, "us-east-1", "eu-central-1", "", operationsv1.RouteAction_ROUTE_ACTION_FORWARD},
		"at home":               {"acme-eu", "eu-central-1", "", "GetUser", false, "eu-central-1", "eu-central-1", "", operationsv1.RouteAction_ROUTE_ACTION_LOCAL},
		"from a country":        {"acme-eu", "eu-central-1", "JP", "GetUser", false, "ap-southeast-1", "eu-central-1", "", operationsv1.RouteAction_ROUTE_ACTION_FORWARD},
		"from a region":         {"acme-eu", "sa-east-1", "us-west-2", "GetUser", false, "us-west-2", "eu-central-1", "", operationsv1.RouteAction_ROUTE_ACTION_FORWARD},
		"a replica":             {"acme-eu", "ap-southeast-1", "", "GetUserSummary", false, "ap-southeast-1", "ap-southeast-1", "", operationsv1.RouteAction_ROUTE_ACTION_LOCAL},
		"as if it were strict":  {"acme-eu", "us-east-1", "", "GetUser", true, "us-east-1", "eu-central-1", "WRONG_REGION", operationsv1.RouteAction_ROUTE_ACTION_REDIRECT},
		"transit is not wanted": {"bank-eu", "eu-west-1", "US", "GetUser", false, "us-east-1", "eu-central-1", "WRONG_REGION", operationsv1.RouteAction_ROUTE_ACTION_REDIRECT},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			own := tenancyv1connect.NewTenancyServiceClient(http.DefaultClient, p.Endpoint(tt.through), domiciletest.Bearer(p.DemoKey(tt.tenant)))
			ctx, info := connect.NewClientContext(t.Context())
			got, err := own.ExplainOwnRoute(ctx, &tenancyv1.ExplainOwnRouteRequest{Method: tt.method, From: tt.from, Strict: tt.strict})
			if err != nil {
				t.Fatal(err)
			}
			query := url.Values{"method": {tt.method}}
			if tt.from != "" {
				query.Set("from", tt.from)
			}
			if tt.strict {
				query.Set("strict", "true")
			}
			overREST := &tenancyv1.ExplainOwnRouteResponse{}
			body := do(t, call{
				method: http.MethodGet, url: p.Endpoint(tt.through) + "/v1/route:explain?" + query.Encode(), key: p.DemoKey(tt.tenant),
			}).mustBe(t, http.StatusOK, "").body
			if err := protojson.Unmarshal(body, overREST); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(got, overREST, protocmp.Transform()); diff != "" {
				t.Errorf("REST answers otherwise (-Connect +REST):\n%s", diff)
			}
			if here := info.ResponseHeader().Get("Domicile-Region"); here != tt.through {
				t.Errorf("%s answers, want %s", here, tt.through)
			}
			asked, err := operators.ExplainRoute(t.Context(), &operationsv1.ExplainRouteRequest{
				Tenant: tt.tenant, From: tt.edge, Method: tt.method, Strict: tt.strict,
			})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(asked.GetRules(), got.GetRules(), protocmp.Transform()); diff != "" {
				t.Errorf("the operator reads other rules (-operator +tenant):\n%s", diff)
			}
			want := &tenancyv1.ExplainOwnRouteResponse{
				Tenant: tt.tenant, Home: "eu-central-1", HomeEndpoint: p.Endpoint("eu-central-1"), Jurisdiction: "EU",
				Edge: tt.edge, Action: tt.action, Region: tt.region, Endpoint: p.Endpoint(tt.region), Reason: tt.reason,
			}
			if diff := cmp.Diff(want, got, protocmp.Transform(),
				protocmp.IgnoreFields(got, "rules", "transit", "projections", "standby")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if got.GetTransit() == 0 || got.GetProjections() == 0 || got.GetStandby() == "" {
				t.Errorf("the policy is not told: %v", got)
			}
		})
	}
}

func TestRefusedExplanations(t *testing.T) {
	t.Parallel()
	p := domiciletest.Start(t, domiciletest.Config{Services: services.All(), Demo: true})
	for name, tt := range map[string]struct {
		region, key string
		query       url.Values
		header      map[string]string
		status      int
		reason      string
	}{
		"no method":           {"eu-central-1", p.DemoKey("acme-eu"), nil, nil, http.StatusBadRequest, "INVALID_ARGUMENT"},
		"no such method":      {"eu-central-1", p.DemoKey("acme-eu"), url.Values{"method": {"Nothing"}}, nil, http.StatusBadRequest, "INVALID_ARGUMENT"},
		"no such place":       {"eu-central-1", p.DemoKey("acme-eu"), url.Values{"method": {"GetUser"}, "from": {"mars"}}, nil, http.StatusBadRequest, "INVALID_ARGUMENT"},
		"no key":              {"eu-central-1", "", url.Values{"method": {"GetUser"}}, nil, http.StatusUnauthorized, "CREDENTIAL_MISSING"},
		"a made-up key":       {"us-east-1", "dk_acme-eu_abc_def", url.Values{"method": {"GetUser"}}, nil, http.StatusUnauthorized, "CREDENTIAL_INVALID"},
		"where it may not go": {"us-east-1", p.DemoKey("bank-eu"), url.Values{"method": {"GetUser"}}, nil, http.StatusMisdirectedRequest, "WRONG_REGION"},
		"another tenant's name": {
			"us-east-1", p.DemoKey("acme-us"), url.Values{"method": {"GetUser"}}, map[string]string{"Domicile-Tenant": "acme-eu"},
			http.StatusBadRequest, "TENANT_MISMATCH",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			do(t, call{
				method: http.MethodGet, url: p.Endpoint(tt.region) + "/v1/route:explain?" + tt.query.Encode(), key: tt.key, header: tt.header,
			}).mustBe(t, tt.status, tt.reason)
		})
	}
}

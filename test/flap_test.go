package test

import (
	"fmt"
	"net/http"
	"testing"

	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/domicile-api/domicile/domiciletest"
	operationsv1 "github.com/domicile-api/domicile/gen/domicile/operations/v1"
	tenancyv1 "github.com/domicile-api/domicile/gen/domicile/tenancy/v1"
	"github.com/domicile-api/domicile/services"
)

// TestGrantThatIsHeardOfLate gives projections to a region that hears of it after the tenant's home has sent everything: what came before
// was refused, and nothing more is to come.
func TestGrantThatIsHeardOfLate(t *testing.T) {
	t.Parallel()
	p := domiciletest.Start(t, domiciletest.Config{Services: services.All()})
	const home, late = "eu-central-1", "ap-southeast-1"
	key := p.CreateTenant(t, &tenancyv1.Tenant{
		Id: "latecomer", Home: home, Standby: "none", Transit: tenancyv1.Transit_TRANSIT_FORWARD,
		Projections: tenancyv1.Projections_PROJECTIONS_NONE,
	})
	ops := operator(p.OperationsEndpoint(), p.OperatorKey())
	for n := range 20 {
		do(t, call{method: http.MethodPost, url: p.Endpoint(home) + "/v1/users", key: key, body: newUser(fmt.Sprintf("late%d", n))}).mustBe(t, 200, "")
	}
	inject(t, ops, &operationsv1.Fault{Kind: &operationsv1.Fault_Disturbance{Disturbance: &operationsv1.Disturbance{
		Source: "us-east-1", Destination: late, LagMillis: 2000,
	}}})
	_, err := p.Tenancy().UpdateTenant(t.Context(), &tenancyv1.UpdateTenantRequest{
		Id: "latecomer", Tenant: &tenancyv1.Tenant{Projections: tenancyv1.Projections_PROJECTIONS_EVERYWHERE},
		UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"projections"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the region answers for what it was granted", func() bool {
		list := do(t, call{method: http.MethodGet, url: p.Endpoint(late) + "/v1/users:summaries", key: key})
		return list.status == 200 && list.header.Get("Domicile-Region") == late && len(list.json["summaries"].([]any)) == 20
	})
	inject(t, ops, heal())
	equalEverywhere(t, ops)
}

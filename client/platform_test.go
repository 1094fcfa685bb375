package client_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"connectrpc.com/connect"

	"github.com/domicile-api/domicile/client"
	"github.com/domicile-api/domicile/domiciletest"
	profilev1 "github.com/domicile-api/domicile/gen/domicile/profile/v1"
	"github.com/domicile-api/domicile/gen/domicile/profile/v1/profilev1connect"
	tenancyv1 "github.com/domicile-api/domicile/gen/domicile/tenancy/v1"
	"github.com/domicile-api/domicile/services"
)

// TestPlatform calls a real platform at a region that may not take the tenant's calls, over Connect and over REST: the client finds the
// home, and its writes are made once.
func TestPlatform(t *testing.T) {
	t.Parallel()
	p := domiciletest.Start(t, domiciletest.Config{Services: services.All()})
	key := p.CreateTenant(t, &tenancyv1.Tenant{
		Id: "acme-strict", DisplayName: "Acme", Home: "eu-central-1", Standby: "none",
		Transit: tenancyv1.Transit_TRANSIT_STRICT, Projections: tenancyv1.Projections_PROJECTIONS_NONE,
	})
	edge := p.Endpoint("us-east-1")
	c, err := client.New(client.Config{Endpoints: []string{edge}})
	if err != nil {
		t.Fatal(err)
	}
	users := profilev1connect.NewProfileServiceClient(c.HTTPClient(), edge, domiciletest.Bearer(key), connect.WithInterceptors(c.Interceptor()))
	created, err := users.CreateUser(t.Context(), &profilev1.CreateUserRequest{User: &profilev1.User{
		GivenName: "Ada", FamilyName: "Lovelace", Email: "ada@example.com", Locale: "en-GB",
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, client := range []*http.Client{{Transport: mustNew(t, edge).Transport()}, c.HTTPClient()} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, edge+"/v1/users", io.MultiReader(strings.NewReader(
			`{"givenName":"Grace","familyName":"Hopper","email":"grace@example.com","locale":"en-US"}`)))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+key)
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Idempotency-Key", "grace")
		answer, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if answer.StatusCode/100 != 2 || answer.Header.Get("Domicile-Region") != "eu-central-1" || answer.Body.Close() != nil {
			t.Errorf("status %d from %s", answer.StatusCode, answer.Header.Get("Domicile-Region"))
		}
	}
	list, err := users.ListUsers(t.Context(), &profilev1.ListUsersRequest{})
	if err != nil || len(list.GetUsers()) != 2 || created.GetUser().GetId() == "" {
		t.Errorf("%v, %v; want Ada and Grace, once each", list, err)
	}
}

func mustNew(t *testing.T, endpoint string) *client.Client {
	t.Helper()
	c, err := client.New(client.Config{Endpoints: []string{endpoint}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

package tour

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	profilev1 "github.com/domicile-api/domicile/gen/domicile/profile/v1"
	"github.com/domicile-api/domicile/gen/domicile/profile/v1/profilev1connect"
)

const (
	frankfurt = "eu-central-1"
	virginia  = "us-east-1"
)

func (g *guide) ready(ctx context.Context) error {
	a, err := g.rest(ctx, restCall{method: http.MethodGet, url: g.Server + "/readyz"})
	if err != nil {
		return err
	}
	if err := a.want(http.StatusOK); err != nil {
		return err
	}
	g.heldf("every region answers")
	return nil
}

// idempotencyKey is the key of the create step, which the repetition step uses again.
func (g *guide) idempotencyKey() string { return "tour-" + g.canary }

func (g *guide) newUser() map[string]any {
	return map[string]any{
		"givenName": "Ada", "familyName": "Lovelace", "email": g.canary + "@example.com", "locale": "en-GB",
		"handle": "ada-" + g.canary[6:], "role": "ROLE_ADMIN", "regulatedNote": "note of " + g.canary,
	}
}

func (g *guide) create(ctx context.Context) (restAnswer, error) {
	url, err := g.endpoint(virginia)
	if err != nil {
		return restAnswer{}, err
	}
	return g.rest(ctx, restCall{
		method: http.MethodPost, url: url + "/v1/users", tenant: "acme-eu",
		header: map[string]string{"Idempotency-Key": g.idempotencyKey()}, body: g.newUser(),
	})
}

func (g *guide) createThroughVirginia(ctx context.Context) error {
	a, err := g.create(ctx)
	if err != nil {
		return err
	}
	if err := errors.Join(a.want(http.StatusOK), a.wantHeader("Domicile-Edge", virginia), a.wantHeader("Domicile-Region", frankfurt)); err != nil {
		return err
	}
	g.userID, _ = a.fields["id"].(string)
	if g.userID == "" {
		return errors.New("the answer has no id")
	}
	g.heldf("came in at %s, answered by %s: user %s", a.header.Get("Domicile-Edge"), a.header.Get("Domicile-Region"), g.userID)
	return nil
}

func (g *guide) fourProtocols(ctx context.Context) error {
	url, err := g.endpoint(virginia)
	if err != nil {
		return err
	}
	a, err := g.rest(ctx, restCall{method: http.MethodGet, url: url + "/v1/users/" + g.userID, tenant: "acme-eu"})
	if err != nil {
		return err
	}
	if err := a.want(http.StatusOK); err != nil {
		return err
	}
	var first *profilev1.User
	for _, p := range []struct {
		name   string
		client *http.Client
		opts   []connect.ClientOption
	}{
		{"Connect, JSON", g.http1, []connect.ClientOption{connect.WithProtoJSON()}},
		{"Connect, binary", g.http1, nil},
		{"gRPC", g.h2c, []connect.ClientOption{connect.WithGRPC()}},
		{"gRPC-Web", g.http1, []connect.ClientOption{connect.WithGRPCWeb()}},
	} {
		u, err := g.getUser(ctx, p.client, url, p.opts)
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		if first == nil {
			first = u
		}
		if !proto.Equal(u, first) || u.GetId() != a.fields["id"] || u.GetEmail() != a.fields["email"] || u.GetEtag() != a.fields["etag"] {
			return fmt.Errorf("%s answers another user", p.name)
		}
		g.heldf("%s: the same user", p.name)
	}
	return nil
}

func (g *guide) getUser(ctx context.Context, client *http.Client, url string, opts []connect.ClientOption) (*profilev1.User, error) {
	ctx, info := connect.NewClientContext(ctx)
	info.RequestHeader().Set("Authorization", "Bearer "+g.Keys["acme-eu"])
	r, err := profilev1connect.NewProfileServiceClient(client, url, opts...).GetUser(ctx, &profilev1.GetUserRequest{Id: g.userID})
	if err != nil {
		return nil, fmt.Errorf("getting the user: %w", err)
	}
	return r.GetUser(), nil
}

func (g *guide) repeat(ctx context.Context) error {
	a, err := g.create(ctx)
	if err != nil {
		return err
	}
	if err := errors.Join(a.want(http.StatusOK), a.wantHeader("Idempotency-Replayed", "true")); err != nil {
		return err
	}
	if a.fields["id"] != g.userID {
		return errors.New("the repetition made another user")
	}
	g.heldf("the first answer again, Idempotency-Replayed: true")
	return nil
}

func (g *guide) globalName(ctx context.Context) error {
	for _, from := range []struct{ country, edge string }{{"US", virginia}, {"SG", "ap-southeast-1"}, {"BR", "sa-east-1"}, {"DE", frankfurt}} {
		a, err := g.rest(ctx, restCall{
			method: http.MethodGet, url: g.GlobalEndpoint + "/v1/users/" + g.userID, tenant: "acme-eu",
			header: map[string]string{"Domicile-Country": from.country},
		})
		if err != nil {
			return err
		}
		if err := errors.Join(a.want(http.StatusOK), a.wantHeader("Domicile-Edge", from.edge), a.wantHeader("Domicile-Region", frankfurt)); err != nil {
			return fmt.Errorf("from %s: %w", from.country, err)
		}
		g.heldf("from %s: edge %s, answered by %s", from.country, from.edge, frankfurt)
	}
	return nil
}

func (g *guide) strictTransit(ctx context.Context) error {
	url, err := g.endpoint(virginia)
	if err != nil {
		return err
	}
	a, err := g.rest(ctx, restCall{method: http.MethodGet, url: url + "/v1/users", tenant: "bank-eu"})
	if err != nil {
		return err
	}
	if err := errors.Join(a.wantError(http.StatusMisdirectedRequest, "WRONG_REGION"), a.wantHeader("Domicile-Home", frankfurt)); err != nil {
		return err
	}
	home, err := g.endpoint(frankfurt)
	if err != nil {
		return err
	}
	g.heldf("421 WRONG_REGION, home %s at %s", a.header.Get("Domicile-Home"), home)
	if a, err = g.rest(ctx, restCall{method: http.MethodGet, url: home + "/v1/users", tenant: "bank-eu"}); err != nil {
		return err
	}
	if err := a.want(http.StatusOK); err != nil {
		return err
	}
	g.heldf("and there it is answered")
	return nil
}

func (g *guide) otherTenant(ctx context.Context) error {
	url, err := g.endpoint(virginia)
	if err != nil {
		return err
	}
	foreign, err := g.rest(ctx, restCall{method: http.MethodGet, url: url + "/v1/users/" + g.userID, tenant: "acme-us"})
	if err != nil {
		return err
	}
	missing, err := g.rest(ctx, restCall{method: http.MethodGet, url: url + "/v1/users/usr_01j9zq3v5hf1s8y3h6d9r7k2ma", tenant: "acme-us"})
	if err != nil {
		return err
	}
	if err := errors.Join(foreign.wantError(http.StatusNotFound, "NOT_FOUND"), missing.wantError(http.StatusNotFound, "NOT_FOUND")); err != nil {
		return err
	}
	if foreign.fields["message"] != missing.fields["message"] {
		return errors.New("another tenant's user and a missing one are told apart by the text")
	}
	g.heldf("404, with the same text as for an id that is nobody's")
	return nil
}

func (g *guide) projection(ctx context.Context) error {
	url, err := g.endpoint("ap-southeast-1")
	if err != nil {
		return err
	}
	a, err := g.rest(ctx, restCall{method: http.MethodGet, url: url + "/v1/users/" + g.userID + "/summary", tenant: "acme-eu"})
	if err != nil {
		return err
	}
	if err := a.want(http.StatusOK); err != nil {
		return err
	}
	for _, field := range []string{"email", "givenName", "familyName", "regulatedNote"} {
		if _, there := a.fields[field]; there {
			return fmt.Errorf("the summary has %s", field)
		}
	}
	g.heldf("the summary has handle and role, no name, no address, no note")
	return nil
}

func (g *guide) staleEtag(ctx context.Context) error {
	url, err := g.endpoint(frankfurt)
	if err != nil {
		return err
	}
	at := url + "/v1/users/" + g.userID
	before, err := g.rest(ctx, restCall{method: http.MethodGet, url: at, tenant: "acme-eu"})
	if err != nil {
		return err
	}
	change := restCall{
		method: http.MethodPatch, url: at + "?updateMask=locale", tenant: "acme-eu",
		body: map[string]any{"locale": "fr-FR", "etag": before.fields["etag"]},
	}
	first, err := g.rest(ctx, change)
	if err != nil {
		return err
	}
	second, err := g.rest(ctx, change)
	if err != nil {
		return err
	}
	if err := errors.Join(first.want(http.StatusOK), second.wantError(http.StatusPreconditionFailed, "ETAG_MISMATCH")); err != nil {
		return err
	}
	g.heldf("the first update took effect, the second was refused with 412")
	return nil
}

func (g *guide) cleanUp(ctx context.Context) error {
	url, err := g.endpoint(virginia)
	if err != nil {
		return err
	}
	at := url + "/v1/users/" + g.userID
	gone, err := g.rest(ctx, restCall{method: http.MethodDelete, url: at, tenant: "acme-eu"})
	if err != nil {
		return err
	}
	after, err := g.rest(ctx, restCall{method: http.MethodGet, url: at, tenant: "acme-eu"})
	if err != nil {
		return err
	}
	if err := errors.Join(gone.want(http.StatusOK), after.wantError(http.StatusNotFound, "NOT_FOUND")); err != nil {
		return err
	}
	g.heldf("deleted through Virginia, gone in Frankfurt")
	return nil
}

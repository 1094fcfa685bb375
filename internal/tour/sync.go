package tour

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	operationsv1 "github.com/domicile-api/domicile/gen/domicile/operations/v1"
	"github.com/domicile-api/domicile/gen/domicile/operations/v1/operationsv1connect"
)

const (
	dublin    = "eu-west-1"
	singapore = "ap-southeast-1"
	saoPaulo  = "sa-east-1"
	// consistency is the header of consistency tokens.
	consistency = "Domicile-Consistency"
)

// operations is a client with the operator's key.
func (g *guide) operations() operationsv1connect.OperationsServiceClient {
	key := g.OperatorKey
	return operationsv1connect.NewOperationsServiceClient(g.operator, g.Server, connect.WithInterceptors(
		connect.UnaryInterceptorFunc(func(next connect.UnaryFunc) connect.UnaryFunc {
			return func(ctx context.Context, r connect.AnyRequest) (connect.AnyResponse, error) {
				r.Header().Set("Authorization", "Bearer "+key)
				return next(ctx, r)
			}
		})))
}

// change sets the user's locale through a region, and returns the answer's consistency token.
func (g *guide) change(ctx context.Context, through, locale string) (token string, err error) {
	url, err := g.endpoint(through)
	if err != nil {
		return "", err
	}
	a, err := g.rest(ctx, restCall{
		method: http.MethodPatch, url: url + "/v1/users/" + g.userID + "?updateMask=locale", tenant: "acme-eu", body: map[string]any{"locale": locale},
	})
	if err != nil {
		return "", err
	}
	if err := a.want(http.StatusOK); err != nil {
		return "", err
	}
	if token = a.header.Get(consistency); token == "" {
		return "", errors.New("the answer to a write has no consistency token")
	}
	return token, nil
}

// summary reads the user's summary through a region, no older than the token says, if there is one.
func (g *guide) summary(ctx context.Context, through, token string) (restAnswer, error) {
	url, err := g.endpoint(through)
	if err != nil {
		return restAnswer{}, err
	}
	header := map[string]string{"Domicile-Max-Wait": "2000"}
	if token != "" {
		header[consistency] = token
	}
	return g.rest(ctx, restCall{
		method: http.MethodGet, url: url + "/v1/users/" + g.userID + "/summary", tenant: "acme-eu",
		header: header,
	})
}

// learnTime bounds how long a region may take until it answers for a tenant that has begun to write: on an emulator, with functions that start,
// far longer than elsewhere.
const learnTime = 45 * time.Second

// learnPause is how long the tour waits before it asks again whether a region knows a tenant.
const learnPause = 20 * time.Millisecond

// known waits until a region answers for the user itself. A platform that has just started, or a tenant that has just written for the
// first time, is answered for by the home until the region was told of all its lanes.
func (g *guide) known(ctx context.Context, by string) error {
	ctx, cancel := context.WithTimeout(ctx, learnTime)
	defer cancel()
	for {
		a, err := g.summary(ctx, by, "")
		if err != nil {
			return err
		}
		if a.status == http.StatusOK && a.header.Get("Domicile-Region") == by {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s still does not answer for the tenant itself after %s", by, learnTime)
		case <-time.After(learnPause):
		}
	}
}

// readYourWrites writes through one region and reads through another, again and again.
func (g *guide) readYourWrites(ctx context.Context) error {
	for _, by := range []string{singapore, dublin, saoPaulo} {
		if err := g.known(ctx, by); err != nil {
			return err
		}
	}
	for i, locale := range []string{"de-DE", "it-IT", "pt-BR"} {
		token, err := g.change(ctx, frankfurt, locale)
		if err != nil {
			return err
		}
		a, err := g.summary(ctx, singapore, token)
		if err != nil {
			return err
		}
		if err := a.want(http.StatusOK); err != nil {
			return err
		}
		if a.fields["locale"] != locale {
			return fmt.Errorf("read %d shows %v instead of %s: the past", i+1, a.fields["locale"], locale)
		}
		if err := a.wantHeader("Domicile-Region", singapore); err != nil {
			return err
		}
		g.heldf("written in %s, read in %s: %s", frankfurt, singapore, locale)
	}
	return nil
}

// scopes reads what the jurisdiction may know, inside and outside of it.
func (g *guide) scopes(ctx context.Context) error {
	token, err := g.change(ctx, frankfurt, "en-GB")
	if err != nil {
		return err
	}
	for _, from := range []struct{ edge, answers string }{{dublin, dublin}, {singapore, frankfurt}} {
		url, err := g.endpoint(from.edge)
		if err != nil {
			return err
		}
		a, err := g.rest(ctx, restCall{
			method: http.MethodGet, url: url + "/v1/users/" + g.userID + "/record", tenant: "acme-eu",
			header: map[string]string{consistency: token, "Domicile-Max-Wait": "2000"},
		})
		if err != nil {
			return err
		}
		if err := errors.Join(a.want(http.StatusOK), a.wantHeader("Domicile-Region", from.answers)); err != nil {
			return err
		}
		if a.fields["regulatedNote"] != "note of "+g.canary {
			return errors.New("the record lacks the regulated note")
		}
		g.heldf("asked at %s: answered by %s", from.edge, from.answers)
	}
	return nil
}

// refusedWith tells whether a call was refused for a reason.
func refusedWith(err error, reason errorsv1.Reason) bool {
	refusal, ok := errors.AsType[*connect.Error](err)
	if !ok {
		return false
	}
	for _, d := range refusal.Details() {
		value, err := d.Value()
		if info, is := value.(*errdetails.ErrorInfo); err == nil && is {
			return "REASON_"+info.GetReason() == reason.String()
		}
	}
	return false
}

// partition cuts a region off, goes on without it, and lets it come back.
func (g *guide) partition(ctx context.Context) error {
	fault := func(f *operationsv1.Fault) error {
		_, err := g.operations().InjectFault(ctx, &operationsv1.InjectFaultRequest{Fault: f})
		return err
	}
	g.sayf("    $ domicile fault partition %s", saoPaulo)
	if err := fault(&operationsv1.Fault{Kind: &operationsv1.Fault_Partition{Partition: saoPaulo}}); err != nil {
		if refusedWith(err, errorsv1.Reason_REASON_UNSUPPORTED) {
			g.heldf("this platform is not one to experiment with: no fault was injected")
			return nil
		}
		return fmt.Errorf("cutting %s off: %w", saoPaulo, err)
	}
	heal := func() error {
		g.sayf("    $ domicile fault heal")
		return fault(&operationsv1.Fault{Kind: &operationsv1.Fault_Heal{Heal: &operationsv1.Heal{}}})
	}
	token, err := g.change(ctx, frankfurt, "sv-SE")
	if err != nil {
		return errors.Join(err, heal())
	}
	a, err := g.summary(ctx, singapore, token)
	if err = errors.Join(err, heal()); err != nil {
		return err
	}
	if err := a.want(http.StatusOK); err != nil {
		return err
	}
	g.heldf("%s and %s went on without %s", frankfurt, singapore, saoPaulo)
	if a, err = g.summary(ctx, saoPaulo, token); err != nil {
		return err
	}
	if err := a.want(http.StatusOK); err != nil {
		return err
	}
	if a.fields["locale"] != "sv-SE" {
		return fmt.Errorf("%s shows %v after it came back: the past", saoPaulo, a.fields["locale"])
	}
	g.heldf("back again, %s shows what was written meanwhile", saoPaulo)
	return nil
}

// agree compares all copies with their homes.
func (g *guide) agree(ctx context.Context) error {
	g.sayf("    $ domicile sync verify")
	r, err := g.operations().VerifySync(ctx, &operationsv1.VerifySyncRequest{})
	if err != nil {
		return fmt.Errorf("comparing: %w", err)
	}
	var lanes, entities, bytes uint64
	for _, region := range r.GetRegions() {
		if why := region.GetUnreachable(); why != "" {
			return fmt.Errorf("%s was not compared: %s", region.GetRegion(), why)
		}
		if n := region.GetDifferenceCount(); n > 0 {
			d := region.GetDifferences()[0]
			return fmt.Errorf("%s differs in %d entities, the first of them %s: %s %s", region.GetRegion(), n, d.GetKind(), d.GetTenant(), d.GetId())
		}
		lanes, entities, bytes = lanes+region.GetLanes(), entities+region.GetEntities(), bytes+region.GetBytes()
	}
	g.heldf("%d lanes with %d entities in %d regions are equal; it took %d bytes to know", lanes, entities, len(r.GetRegions()), bytes)
	return nil
}

// auditScan looks for what lies where it may not.
func (g *guide) auditScan(ctx context.Context) error {
	g.sayf("    $ domicile audit scan")
	r, err := g.operations().ScanAudit(ctx, &operationsv1.ScanAuditRequest{})
	if err != nil {
		return fmt.Errorf("auditing: %w", err)
	}
	items := uint64(0)
	for _, region := range r.GetRegions() {
		if why := region.GetUnreachable(); why != "" {
			return fmt.Errorf("%s was not looked at: %s", region.GetRegion(), why)
		}
		if n := region.GetFindingCount(); n > 0 {
			f := region.GetFindings()[0]
			return fmt.Errorf("in %s, %d items lie where they may not, the first of them in %s: %s", region.GetRegion(), n, f.GetPlace(), f.GetRule())
		}
		items += region.GetItems()
	}
	g.heldf("%d items of stores, queues and dead letters, each where its class, its tenant's policy and the law allow it", items)
	return nil
}

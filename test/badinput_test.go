package test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/domicile-api/domicile/domiciletest"
	profilev1 "github.com/domicile-api/domicile/gen/domicile/profile/v1"
	"github.com/domicile-api/domicile/services"
)

// TestBadInput sends what callers get wrong, at home and through a foreign edge: each gets a typed error, and no error repeats
// what was sent.
func TestBadInput(t *testing.T) {
	t.Parallel()
	p := domiciletest.Start(t, domiciletest.Config{Services: services.All(), Demo: true})
	key := p.DemoKey("acme-eu")
	const echo = "zweiundvierzigmal"
	id := do(t, call{method: http.MethodPost, url: p.Endpoint("eu-central-1") + "/v1/users", key: key, body: newUser("bad")}).mustBe(t, 200, "").text("id")
	theirs := do(t, call{method: http.MethodPost, url: p.Endpoint("us-east-1") + "/v1/users", key: p.DemoKey("acme-us"), body: newUser("bad")}).mustBe(t, 200, "").text("id")
	post, get, patch := http.MethodPost, http.MethodGet, http.MethodPatch
	valid := `{"givenName":"A","familyName":"B","email":"x1@example.com","locale":"de"}`
	for name, c := range map[string]struct {
		call   call
		status int
		reason string
	}{
		"malformed JSON":                   {call{method: post, url: "/v1/users", body: `{"givenName":"` + echo}, 400, "INVALID_ARGUMENT"},
		"no JSON at all":                   {call{method: post, url: "/v1/users", body: echo}, 400, "INVALID_ARGUMENT"},
		"JSON null":                        {call{method: post, url: "/v1/users", body: `null`}, 400, "INVALID_ARGUMENT"},
		"an array":                         {call{method: post, url: "/v1/users", body: `[]`}, 400, "INVALID_ARGUMENT"},
		"empty body":                       {call{method: post, url: "/v1/users", body: ``}, 400, "INVALID_ARGUMENT"},
		"unknown field":                    {call{method: post, url: "/v1/users", body: `{"` + echo + `":1}`}, 400, "INVALID_ARGUMENT"},
		"unknown nested field":             {call{method: post, url: "/v1/users", body: `{"postalAddress":{"` + echo + `":1}}`}, 400, "INVALID_ARGUMENT"},
		"unknown enum":                     {call{method: post, url: "/v1/users", body: `{"role":"` + echo + `"}`}, 400, "INVALID_ARGUMENT"},
		"duplicate key":                    {call{method: post, url: "/v1/users", body: `{"locale":"de","locale":"de"}`}, 400, "INVALID_ARGUMENT"},
		"invalid UTF-8":                    {call{method: post, url: "/v1/users", body: "{\"givenName\":\"\xff\xfe\"}"}, 400, "INVALID_ARGUMENT"},
		"id given by the client":           {call{method: post, url: "/v1/users", body: `{"id":"` + echo + `","givenName":"A","familyName":"B","email":"x@example.com","locale":"de"}`}, 400, "INVALID_ARGUMENT"},
		"no e-mail":                        {call{method: post, url: "/v1/users", body: `{"givenName":"A","familyName":"B","locale":"de"}`}, 400, "INVALID_ARGUMENT"},
		"bad e-mail":                       {call{method: post, url: "/v1/users", body: `{"givenName":"A","familyName":"B","email":"` + echo + `","locale":"de"}`}, 400, "INVALID_ARGUMENT"},
		"wrong content type":               {call{method: post, url: "/v1/users", body: valid, contentType: "text/plain"}, 415, "UNSUPPORTED"},
		"a form":                           {call{method: post, url: "/v1/users", body: "a=b", contentType: "application/x-www-form-urlencoded"}, 415, "UNSUPPORTED"},
		"body on DELETE":                   {call{method: http.MethodDelete, url: "/v1/users/" + id, body: `{"x":1}`}, 400, "INVALID_ARGUMENT"},
		"wrong method":                     {call{method: http.MethodPut, url: "/v1/users", body: valid}, 405, "UNSUPPORTED"},
		"unknown path":                     {call{method: get, url: "/v1/" + echo}, 404, "VERSION_UNAVAILABLE"},
		"unknown version":                  {call{method: get, url: "/v9/users"}, 404, "VERSION_UNAVAILABLE"},
		"5 MiB":                            {call{method: post, url: "/v1/users", body: `{"givenName":"` + strings.Repeat("x", 5<<20) + `"}`}, 413, "TOO_LARGE"},
		"negative page size":               {call{method: get, url: "/v1/users?pageSize=-1"}, 400, "INVALID_ARGUMENT"},
		"page size no number":              {call{method: get, url: "/v1/users?pageSize=" + echo}, 400, "INVALID_ARGUMENT"},
		"page size too large":              {call{method: get, url: "/v1/users?pageSize=1001"}, 400, "INVALID_ARGUMENT"},
		"unknown query parameter":          {call{method: get, url: "/v1/users?" + echo + "=1"}, 400, "INVALID_ARGUMENT"},
		"forged page token":                {call{method: get, url: "/v1/users?pageToken=" + echo}, 400, "TOKEN_INVALID"},
		"id of another type":               {call{method: get, url: "/v1/users/ldg_01j9zq3v5hf1s8y3h6d9r7k2ma"}, 400, "INVALID_ARGUMENT"},
		"malformed id":                     {call{method: get, url: "/v1/users/" + echo}, 400, "INVALID_ARGUMENT"},
		"missing user":                     {call{method: get, url: "/v1/users/usr_01j9zq3v5hf1s8y3h6d9r7k2ma"}, 404, "NOT_FOUND"},
		"another tenant's user":            {call{method: get, url: "/v1/users/" + theirs}, 404, "NOT_FOUND"},
		"unknown field in the mask":        {call{method: patch, url: "/v1/users/" + id + "?updateMask=" + echo, body: `{}`}, 400, "INVALID_ARGUMENT"},
		"update to an invalid user":        {call{method: patch, url: "/v1/users/" + id + "?updateMask=email", body: `{"email":"` + echo + `"}`}, 400, "INVALID_ARGUMENT"},
		"stale etag":                       {call{method: patch, url: "/v1/users/" + id, body: `{"locale":"fr","etag":"` + echo + `"}`}, 412, "ETAG_MISMATCH"},
		"stale etag on delete":             {call{method: http.MethodDelete, url: "/v1/users/" + id + "?etag=" + echo}, 412, "ETAG_MISMATCH"},
		"idempotency key too long":         {call{method: post, url: "/v1/users", body: valid, header: map[string]string{"Idempotency-Key": strings.Repeat("k", 256)}}, 400, "INVALID_ARGUMENT"},
		"no key":                           {call{method: get, url: "/v1/users", key: "-", header: map[string]string{"Domicile-Tenant": "acme-eu"}}, 401, "CREDENTIAL_MISSING"},
		"garbage for a key":                {call{method: get, url: "/v1/users", key: echo, header: map[string]string{"Domicile-Tenant": "acme-eu"}}, 401, "CREDENTIAL_INVALID"},
		"garbage for a key, and no tenant": {call{method: get, url: "/v1/users", key: echo}, 401, "CREDENTIAL_INVALID"},
		"no time to answer":                {call{method: get, url: "/v1/users", header: map[string]string{"X-Server-Timeout": "0"}}, 400, "INVALID_ARGUMENT"},
		"another tenant's key":             {call{method: get, url: "/v1/users", key: p.DemoKey("acme-us"), header: map[string]string{"Domicile-Tenant": "acme-eu"}}, 400, "TENANT_MISMATCH"},
		"an operator's key for users":      {call{method: get, url: "/v1/users", key: p.OperatorKey(), header: map[string]string{"Domicile-Tenant": "acme-eu"}}, 403, "PERMISSION_DENIED"},
		"a tenant's key for tenants":       {call{method: get, url: "/v1/tenants"}, 403, "PERMISSION_DENIED"},
		"tenants without a key":            {call{method: get, url: "/v1/tenants", key: "-"}, 401, "CREDENTIAL_MISSING"},
		"unknown tenant":                   {call{method: get, url: "/v1/users", key: "-", header: map[string]string{"Domicile-Tenant": echo}}, 404, "TENANT_UNKNOWN"},
		"a forged route header":            {call{method: get, url: "/v1/users", header: map[string]string{"Domicile-Route": "v1." + echo + "." + echo}}, 421, "MISROUTED"},
		"Connect: unknown field":           {call{method: post, url: "/domicile.profile.v1.ProfileService/GetUser", body: `{"` + echo + `":1}`}, 400, "INVALID_ARGUMENT"},
		"Connect: malformed":               {call{method: post, url: "/domicile.profile.v1.ProfileService/GetUser", body: `{`}, 400, "INVALID_ARGUMENT"},
		"Connect: missing user":            {call{method: post, url: "/domicile.profile.v1.ProfileService/GetUser", body: `{"id":"usr_01j9zq3v5hf1s8y3h6d9r7k2ma"}`}, 404, "NOT_FOUND"},
		"Connect: too large":               {call{method: post, url: "/domicile.profile.v1.ProfileService/GetUser", body: `{"id":"` + strings.Repeat("x", 5<<20) + `"}`}, 413, "TOO_LARGE"},
		"Connect: unknown method":          {call{method: post, url: "/domicile.profile.v1.ProfileService/Nothing", body: `{}`}, 404, "VERSION_UNAVAILABLE"},
		"tenant without policies":          {call{method: post, url: "/v1/tenants", key: p.OperatorKey(), body: `{"id":"new-one"}`}, 400, "INVALID_ARGUMENT"},
		"standby in another jurisdiction":  {call{method: post, url: "/v1/tenants", key: p.OperatorKey(), body: `{"id":"new-one","home":"eu-central-1","standby":"us-west-2","transit":"TRANSIT_STRICT","projections":"PROJECTIONS_NONE"}`}, 400, "INVALID_ARGUMENT"},
		"tenant that exists":               {call{method: post, url: "/v1/tenants", key: p.OperatorKey(), body: `{"id":"acme-eu","home":"eu-central-1","standby":"none","transit":"TRANSIT_STRICT","projections":"PROJECTIONS_NONE"}`}, 409, "ALREADY_EXISTS"},
	} {
		for _, region := range []string{"eu-central-1", "us-east-1"} {
			sent := c.call
			sent.url = p.Endpoint(region) + sent.url
			switch sent.key {
			case "":
				sent.key = key
			case "-":
				sent.key = ""
			}
			a := do(t, sent)
			if a.status != c.status || a.reason() != c.reason {
				t.Errorf("%s through %s: %d %q instead of %d %q: %.300s", name, region, a.status, a.reason(), c.status, c.reason, a.body)
			}
			if bytes.Contains(a.body, []byte(echo)) {
				t.Errorf("%s through %s: the error repeats what was sent: %.300s", name, region, a.body)
			}
			if ct := a.header.Get("Content-Type"); ct != "application/json" {
				t.Errorf("%s through %s: Content-Type %q", name, region, ct)
			}
		}
	}
}

// TestUnknownBinaryFieldsAreDropped sends a field that the contract does not have: it is not stored, not answered, and no error.
func TestUnknownBinaryFieldsAreDropped(t *testing.T) {
	t.Parallel()
	p := domiciletest.Start(t, domiciletest.Config{Services: services.All(), Demo: true})
	u := &profilev1.User{GivenName: "A", FamilyName: "B", Email: "unknown@example.com", Locale: "de"}
	u.ProtoReflect().SetUnknown(protowire.AppendString(protowire.AppendTag(nil, 7777, protowire.BytesType), "smuggled"))
	c := protocols()["grpc"](p.Endpoint("us-east-1"), p.DemoKey("acme-eu"))
	made, err := c.CreateUser(t.Context(), &profilev1.CreateUserRequest{User: u})
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.GetUser(t.Context(), &profilev1.GetUserRequest{Id: made.GetUser().GetId()})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []proto.Message{made.GetUser(), got.GetUser()} {
		if len(m.ProtoReflect().GetUnknown()) > 0 {
			t.Errorf("an unknown field came back: %x", m.ProtoReflect().GetUnknown())
		}
	}
}

// TestIdempotencyRace sends 64 equal creates at once through several regions: one commit, 64 equal answers, all but one replayed.
func TestIdempotencyRace(t *testing.T) {
	t.Parallel()
	p := domiciletest.Start(t, domiciletest.Config{Services: services.All(), Demo: true})
	regions := p.Regions()
	send := func(i int, body any) answer {
		return do(t, call{
			method: http.MethodPost, url: p.Endpoint(regions[i%len(regions)]) + "/v1/users", key: p.DemoKey("acme-eu"), body: body,
			header: map[string]string{"Idempotency-Key": "race"},
		})
	}
	answers := make([]answer, 64)
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() { answers[i] = send(i, newUser("race")) })
	}
	wg.Wait()
	first := 0
	for i, a := range answers {
		a.mustBe(t, http.StatusOK, "")
		if a.text("id") != answers[0].text("id") || a.text("etag") != answers[0].text("etag") {
			t.Errorf("answer %d is another: %s", i, a.body)
		}
		if a.header.Get("Idempotency-Replayed") == "" {
			first++
		}
	}
	if first != 1 {
		t.Errorf("%d of 64 answers say that they are not replayed", first)
	}
	list := do(t, call{method: http.MethodGet, url: p.Endpoint("eu-central-1") + "/v1/users", key: p.DemoKey("acme-eu")}).mustBe(t, 200, "")
	if users, _ := list.json["users"].([]any); len(users) != 1 {
		t.Errorf("%d users instead of 1", len(users))
	}
	send(1, newUser("another")).mustBe(t, http.StatusUnprocessableEntity, "IDEMPOTENCY_MISMATCH")
}

// TestSecretsAreShownOnce repeats the creation of a key: the key is the same, the secret is not shown again, and it works.
func TestSecretsAreShownOnce(t *testing.T) {
	t.Parallel()
	p := domiciletest.Start(t, domiciletest.Config{Services: services.All(), Demo: true})
	create := func() answer {
		return do(t, call{
			method: http.MethodPost, url: p.OperationsEndpoint() + "/v1/tenants/acme-br/keys", key: p.OperatorKey(),
			body: map[string]any{"displayName": "ci"}, header: map[string]string{"Idempotency-Key": "key-1"},
		}).mustBe(t, http.StatusOK, "")
	}
	first, second := create(), create()
	if first.text("secret") == "" || second.text("secret") != "" {
		t.Errorf("secrets %q and %q", first.text("secret"), second.text("secret"))
	}
	if fmt.Sprint(first.json["apiKey"]) != fmt.Sprint(second.json["apiKey"]) || second.header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("the repetition is another key: %s", second.body)
	}
	if strings.Contains(p.Log(), first.text("secret")) {
		t.Error("the log has the secret")
	}
}

// TestClientGoesAway cancels calls in the middle of their bodies; the platform goes on.
func TestClientGoesAway(t *testing.T) {
	t.Parallel()
	p := domiciletest.Start(t, domiciletest.Config{Services: services.All(), Demo: true})
	for range 20 {
		ctx, cancel := context.WithCancel(t.Context())
		body := &cancelling{left: 3, cancel: cancel}
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.Endpoint("us-east-1")+"/v1/users", body)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+p.DemoKey("acme-eu"))
		req.Header.Set("Content-Type", "application/json")
		if resp, err := client.Do(req); err == nil {
			_ = resp.Body.Close()
			t.Errorf("an answer to half a request: %d", resp.StatusCode)
		}
		cancel()
	}
	list := do(t, call{method: http.MethodGet, url: p.Endpoint("eu-central-1") + "/v1/users", key: p.DemoKey("acme-eu")}).mustBe(t, 200, "")
	if users, _ := list.json["users"].([]any); len(users) != 0 {
		t.Errorf("half a request made %d users", len(users))
	}
}

// cancelling is a body that ends its call in the middle.
type cancelling struct {
	left   int
	cancel context.CancelFunc
}

func (c *cancelling) Read(p []byte) (int, error) {
	if c.left--; c.left == 0 {
		c.cancel()
		return 0, context.Canceled
	}
	return copy(p, `{"givenName":"half`), nil
}

// TestTruncatedGRPC sends a frame that is shorter than it says.
func TestTruncatedGRPC(t *testing.T) {
	t.Parallel()
	p := domiciletest.Start(t, domiciletest.Config{Services: services.All(), Demo: true})
	frame := binary.BigEndian.AppendUint32([]byte{0}, 100)
	a := do(t, call{
		method: http.MethodPost, url: p.Endpoint("us-east-1") + "/domicile.profile.v1.ProfileService/GetUser", key: p.DemoKey("acme-eu"),
		body: string(frame) + "short", contentType: "application/grpc-web+proto",
	})
	if a.status != http.StatusOK || !bytes.Contains(a.body, []byte("grpc-status: 3")) && a.header.Get("Grpc-Status") != "3" {
		t.Errorf("status %d, %v, %q", a.status, a.header, a.body)
	}
}

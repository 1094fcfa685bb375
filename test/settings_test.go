package test

import (
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/domicile-api/domicile/domiciletest"
	operationsv1 "github.com/domicile-api/domicile/gen/domicile/operations/v1"
	tenancyv1 "github.com/domicile-api/domicile/gen/domicile/tenancy/v1"
	"github.com/domicile-api/domicile/services"
)

// increment, addMember and setTheme are operations on a namespace, as JSON.
func increment(key string, by int) map[string]any {
	return map[string]any{"key": key, "increment": strconv.Itoa(by)}
}

func addMember(key, member string) map[string]any { return map[string]any{"key": key, "add": member} }

func setTheme(text string) map[string]any {
	return map[string]any{"key": "theme", "set": map[string]any{"stringValue": text}}
}

// settingsOf are a tenant's settings in one namespace, through any region.
type settingsOf struct {
	p         *domiciletest.Platform
	key, name string
}

func (s settingsOf) update(t *testing.T, region, idempotency string, operations ...map[string]any) answer {
	t.Helper()
	c := call{
		method: http.MethodPatch, url: s.p.Endpoint(region) + "/v1/settings/" + s.name, key: s.key, body: map[string]any{"operations": operations},
	}
	if idempotency != "" {
		c.header = map[string]string{"Idempotency-Key": idempotency}
	}
	a := do(t, c).mustBe(t, http.StatusOK, "")
	if got := a.header.Get("Domicile-Region"); got != region {
		t.Errorf("a write through %s was answered by %q", region, got)
	}
	if a.header.Get(consistencyHeader) == "" {
		t.Errorf("a write through %s has no token", region)
	}
	return a
}

// read returns the namespace's entries through a region that has all that the tokens cover.
func (s settingsOf) read(t *testing.T, region string, tokens ...string) map[string]any {
	t.Helper()
	header := map[string]string{"Domicile-Max-Wait": "2000"}
	for i, token := range tokens {
		header[consistencyHeader] = token
		if i > 0 {
			header[consistencyHeader] = tokens[i-1] + "," + token
		}
	}
	a := do(t, call{method: http.MethodGet, url: s.p.Endpoint(region) + "/v1/settings/" + s.name, key: s.key, header: header}).
		mustBe(t, http.StatusOK, "")
	if got := a.header.Get("Domicile-Region"); got != region {
		t.Errorf("a read through %s was answered by %q", region, got)
	}
	entries, _ := a.json["entries"].(map[string]any)
	return entries
}

// everywhere waits until all regions show the same, and returns it.
func (s settingsOf) everywhere(t *testing.T, want func(map[string]any) bool) map[string]any {
	t.Helper()
	var last map[string]any
	for _, region := range s.p.Regions() {
		eventually(t, region+" shows all settings", func() bool {
			a, err := try(t.Context(), call{method: http.MethodGet, url: s.p.Endpoint(region) + "/v1/settings/" + s.name, key: s.key})
			if err != nil || a.status != http.StatusOK || a.header.Get("Domicile-Region") != region {
				return false
			}
			entries, _ := a.json["entries"].(map[string]any)
			if !want(entries) || last != nil && !cmp.Equal(last, entries) {
				return false
			}
			last = entries
			return true
		})
	}
	return last
}

// Configuration is written in two regions at once and both see all of it; what a register lost is listed.
func TestSettingsOfTwoRegions(t *testing.T) {
	t.Parallel()
	p := domiciletest.Start(t, domiciletest.Config{Services: services.All(), Demo: true})
	s := settingsOf{p, p.DemoKey("acme-eu"), "tour"}
	regions := []string{"eu-central-1", "sa-east-1"}
	tokens := make([]string, len(regions))
	var wg sync.WaitGroup
	for i, region := range regions {
		wg.Go(func() {
			a := s.update(t, region, "", increment("visits", i+1), addMember("features", region), setTheme("of "+region))
			tokens[i] = a.header.Get(consistencyHeader)
		})
	}
	wg.Wait()
	shown := make([]map[string]any, 0, len(regions))
	for _, region := range regions {
		entries := s.read(t, region, tokens...)
		shown = append(shown, entries)
		want := map[string]any{"count": "3"}
		if diff := cmp.Diff(want, entries["visits"]); diff != "" {
			t.Errorf("visits in %s (-want +got):\n%s", region, diff)
		}
		if diff := cmp.Diff(map[string]any{"members": []any{"eu-central-1", "sa-east-1"}}, entries["features"]); diff != "" {
			t.Errorf("features in %s (-want +got):\n%s", region, diff)
		}
	}
	if diff := cmp.Diff(shown[0], shown[1]); diff != "" {
		t.Errorf("%s and %s differ:\n%s", regions[0], regions[1], diff)
	}
	// The stranger has no token and waits for nothing.
	s.everywhere(t, func(entries map[string]any) bool { return cmp.Equal(entries, shown[0]) })
	a := do(t, call{method: http.MethodGet, url: p.Endpoint("ap-southeast-1") + "/v1/settings/tour/conflicts", key: s.key}).mustBe(t, http.StatusOK, "")
	conflicts, _ := a.json["conflicts"].([]any)
	if len(conflicts) > 1 { // None when one region had heard of the other's write before its own.
		t.Errorf("conflicts: %s", a.body)
	}
	equalEverywhere(t, operator(p.OperationsEndpoint(), p.OperatorKey()))
	// A tenant that forbids foreign transit is told where to go, as for everything else.
	do(t, call{method: http.MethodGet, url: p.Endpoint("sa-east-1") + "/v1/settings", key: p.DemoKey("bank-eu")}).
		mustBe(t, http.StatusMisdirectedRequest, "WRONG_REGION")
	do(t, call{method: http.MethodGet, url: p.Endpoint("eu-west-1") + "/v1/settings", key: p.DemoKey("bank-eu")}).mustBe(t, http.StatusOK, "")
}

// An increment that is repeated under its key, also in another region, counts once; cut off, both sides go on writing, and after the heal
// all is there; a region that crashed comes back to it.
func TestSettingsThroughFaults(t *testing.T) {
	t.Parallel()
	p := domiciletest.Start(t, domiciletest.Config{Services: services.All(), Demo: true})
	ops := operator(p.OperationsEndpoint(), p.OperatorKey())
	s := settingsOf{p, p.DemoKey("acme-eu"), "faults"}
	inject(t, ops, partition("sa-east-1"))
	for n := range 10 {
		key := fmt.Sprintf("increment-%d", n)
		for _, region := range []string{"eu-central-1", "sa-east-1", "us-east-1", "eu-central-1"} {
			s.update(t, region, key, increment("visits", 1))
		}
		s.update(t, "sa-east-1", "", addMember("seen", fmt.Sprintf("south %d", n)), setTheme("dark"))
		s.update(t, "eu-west-1", "", addMember("seen", fmt.Sprintf("north %d", n)), setTheme("light"))
	}
	token := s.update(t, "us-east-1", "", increment("others", 1)).header.Get(consistencyHeader)
	cut := do(t, call{
		method: http.MethodGet, url: p.Endpoint("sa-east-1") + "/v1/settings/faults", key: s.key, header: map[string]string{consistencyHeader: token},
	})
	if cut.status != http.StatusServiceUnavailable {
		t.Errorf("a region that cannot have heard of a write, and cannot go home: %d %s", cut.status, cut.body)
	}
	inject(t, ops, &operationsv1.Fault{Kind: &operationsv1.Fault_Crash{Crash: "us-west-2"}})
	s.update(t, "ap-southeast-1", "", increment("others", 1))
	inject(t, ops, heal())
	inject(t, ops, &operationsv1.Fault{Kind: &operationsv1.Fault_Restart{Restart: "us-west-2"}})
	all := s.everywhere(t, func(entries map[string]any) bool {
		seen, _ := entries["seen"].(map[string]any)
		members, _ := seen["members"].([]any)
		return len(members) == 20 && cmp.Equal(entries["visits"], map[string]any{"count": "10"}) &&
			cmp.Equal(entries["others"], map[string]any{"count": "2"})
	})
	if all["theme"] == nil {
		t.Errorf("no theme is left: %v", all)
	}
	a := do(t, call{method: http.MethodGet, url: p.Endpoint("us-west-2") + "/v1/settings/faults/conflicts", key: s.key}).mustBe(t, http.StatusOK, "")
	if conflicts, _ := a.json["conflicts"].([]any); len(conflicts) != 1 {
		t.Errorf("two themes were set by regions that could not hear of each other: %s", a.body)
	}
	equalEverywhere(t, ops)
}

// The home waits for what a token covers too, and says so rather than show the past.
func TestSettingsAtHomeAreNeverThePast(t *testing.T) {
	t.Parallel()
	p := domiciletest.Start(t, domiciletest.Config{Services: services.All(), Demo: true})
	ops := operator(p.OperationsEndpoint(), p.OperatorKey())
	s := settingsOf{p, p.DemoKey("acme-eu"), "home"}
	inject(t, ops, partition("sa-east-1"))
	token := s.update(t, "sa-east-1", "", setTheme("dark")).header.Get(consistencyHeader)
	for _, c := range []call{
		{method: http.MethodGet},
		{method: http.MethodPatch, body: map[string]any{"operations": []any{setTheme("light")}}},
	} {
		for _, region := range []string{"eu-central-1", "ap-southeast-1"} {
			c.url, c.key = p.Endpoint(region)+"/v1/settings/home", s.key
			c.header = map[string]string{consistencyHeader: token, "Domicile-Max-Wait": "50"}
			a := do(t, c).mustBe(t, http.StatusServiceUnavailable, "REGION_UNAVAILABLE")
			if a.header.Get("Retry-After") == "" || a.header.Get("Domicile-Region") != "eu-central-1" {
				t.Errorf("through %s: Retry-After %q, answered by %q", region, a.header.Get("Retry-After"), a.header.Get("Domicile-Region"))
			}
		}
	}
	inject(t, ops, heal())
	eventually(t, "the home has it", func() bool {
		a := do(t, call{
			method: http.MethodGet, url: p.Endpoint("eu-central-1") + "/v1/settings/home", key: s.key,
			header: map[string]string{consistencyHeader: token, "Domicile-Max-Wait": "2000", "Domicile-Max-Staleness": "0"},
		})
		return a.status == http.StatusOK
	})
}

// A purged tenant's settings go everywhere.
func TestSettingsArePurged(t *testing.T) {
	t.Parallel()
	p := domiciletest.Start(t, domiciletest.Config{Services: services.All(), Demo: true})
	key := p.CreateTenant(t, &tenancyv1.Tenant{
		Id: "passing", Home: "eu-central-1", Standby: "none", Transit: tenancyv1.Transit_TRANSIT_FORWARD, Projections: tenancyv1.Projections_PROJECTIONS_NONE,
	})
	s := settingsOf{p, key, "all"}
	token := s.update(t, "us-east-1", "key", setTheme("dark"), increment("n", 1)).header.Get(consistencyHeader)
	for _, region := range p.Regions() {
		s.read(t, region, token)
	}
	ops := operator(p.OperationsEndpoint(), p.OperatorKey())
	holders := func() (some []string) {
		r, err := ops.ReportAudit(t.Context(), &operationsv1.ReportAuditRequest{Tenant: "passing"})
		if err != nil {
			t.Fatal(err)
		}
		for _, region := range r.GetRegions() {
			for _, h := range region.GetHoldings() {
				if h.GetPlace() == "settings" && h.GetItems() > 0 {
					some = append(some, region.GetRegion())
				}
			}
		}
		return some
	}
	if got := holders(); len(got) != len(p.Regions()) {
		t.Fatalf("only %v have the settings", got)
	}
	tenancy := p.Tenancy()
	if _, err := tenancy.DeleteTenant(t.Context(), &tenancyv1.DeleteTenantRequest{Id: "passing"}); err != nil {
		t.Fatal(err)
	}
	if _, err := tenancy.PurgeTenant(t.Context(), &tenancyv1.PurgeTenantRequest{Id: "passing"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "no region has any of it", func() bool { return len(holders()) == 0 })
	do(t, call{method: http.MethodGet, url: p.Endpoint("us-east-1") + "/v1/settings/all", key: key}).mustBe(t, http.StatusNotFound, "TENANT_UNKNOWN")
}

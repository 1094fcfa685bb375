package test

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/domicile-api/domicile/domiciletest"
	operationsv1 "github.com/domicile-api/domicile/gen/domicile/operations/v1"
	"github.com/domicile-api/domicile/gen/domicile/operations/v1/operationsv1connect"
	tenancyv1 "github.com/domicile-api/domicile/gen/domicile/tenancy/v1"
	"github.com/domicile-api/domicile/internal/topology/topologyfile"
	"github.com/domicile-api/domicile/services"
)

const consistencyHeader = "Domicile-Consistency"

func operator(url, key string) operationsv1connect.OperationsServiceClient {
	return operationsv1connect.NewOperationsServiceClient(&http.Client{Timeout: time.Minute}, url, domiciletest.Bearer(key))
}

// equalEverywhere compares all copies with the homes, and looks for what lies where it may not.
func equalEverywhere(t *testing.T, ops operationsv1connect.OperationsServiceClient) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	v, err := ops.VerifySync(ctx, &operationsv1.VerifySyncRequest{})
	if err != nil {
		t.Fatalf("sync verify: %v", err)
	}
	for _, r := range v.GetRegions() {
		if r.GetUnreachable() != "" || r.GetDifferenceCount() > 0 {
			t.Errorf("sync verify: %v", r)
		}
	}
	a, err := ops.ScanAudit(ctx, &operationsv1.ScanAuditRequest{})
	if err != nil {
		t.Fatalf("audit scan: %v", err)
	}
	for _, r := range a.GetRegions() {
		if r.GetUnreachable() != "" || r.GetFindingCount() > 0 || r.GetItems() == 0 {
			t.Errorf("audit scan: %v", r)
		}
	}
}

func inject(t *testing.T, ops operationsv1connect.OperationsServiceClient, f *operationsv1.Fault) {
	t.Helper()
	if _, err := ops.InjectFault(t.Context(), &operationsv1.InjectFaultRequest{Fault: f}); err != nil {
		t.Fatalf("injecting a fault: %v", err)
	}
}

func partition(region string) *operationsv1.Fault {
	return &operationsv1.Fault{Kind: &operationsv1.Fault_Partition{Partition: region}}
}

func heal() *operationsv1.Fault {
	return &operationsv1.Fault{Kind: &operationsv1.Fault_Heal{Heal: &operationsv1.Heal{}}}
}

// TestReadYourWritesEverywhere writes at home and reads in every other region with the write's token: never the past, and where a
// replica may hold the answer and catches up, without going home.
func TestReadYourWritesEverywhere(t *testing.T) {
	t.Parallel()
	p := domiciletest.Start(t, domiciletest.Config{Services: services.All(), Demo: true})
	key, home := p.DemoKey("acme-eu"), p.Endpoint("eu-central-1")+"/v1/users"
	id := do(t, call{method: http.MethodPost, url: home, key: key, body: newUser("reader")}).mustBe(t, 200, "").text("id")
	for _, region := range p.Regions() {
		eventually(t, region+" has heard of the tenant's lanes", func() bool {
			a := do(t, call{method: http.MethodGet, url: p.Endpoint(region) + "/v1/users:summaries", key: key}).mustBe(t, 200, "")
			return a.header.Get("Domicile-Region") == region
		})
	}
	for n := range 20 {
		zone := fmt.Sprintf("Etc/GMT-%d", n%14)
		token := do(t, call{method: http.MethodPatch, url: home + "/" + id, key: key, body: map[string]any{"timeZone": zone}}).
			mustBe(t, 200, "").header.Get(consistencyHeader)
		for _, region := range p.Regions() {
			a := do(t, call{
				method: http.MethodGet, url: p.Endpoint(region) + "/v1/users/" + id + "/summary", key: key,
				header: map[string]string{consistencyHeader: token, "Domicile-Max-Wait": "2000"},
			}).mustBe(t, 200, "")
			if a.text("timeZone") != zone {
				t.Fatalf("%s, through %s, shows %q after %q was written", a.header.Get("Domicile-Region"), region, a.text("timeZone"), zone)
			}
			if a.header.Get("Domicile-Region") != region {
				t.Errorf("write %d: asked in %s, answered by %s", n, region, a.header.Get("Domicile-Region"))
			}
		}
	}
	eventually(t, "a replica knows how old it is", func() bool {
		a := do(t, call{method: http.MethodGet, url: p.Endpoint("sa-east-1") + "/v1/users/" + id + "/summary", key: key})
		age, err := strconv.Atoi(a.header.Get("Domicile-Staleness"))
		return a.header.Get("Domicile-Region") == "sa-east-1" && err == nil && age > 0 && age < 20_000
	})
	fresh := do(t, call{
		method: http.MethodGet, url: p.Endpoint("sa-east-1") + "/v1/users/" + id + "/summary", key: key,
		header: map[string]string{"Domicile-Max-Staleness": "0"},
	}).mustBe(t, 200, "")
	if fresh.header.Get("Domicile-Region") != "eu-central-1" || fresh.header.Get("Domicile-Staleness") != "" {
		t.Errorf("a read that may not be stale at all was answered by %s", fresh.header.Get("Domicile-Region"))
	}
	forged := do(t, call{
		method: http.MethodGet, url: p.Endpoint("sa-east-1") + "/v1/users/" + id + "/summary", key: key,
		header: map[string]string{consistencyHeader: "bm90IGEgdG9rZW4"},
	})
	forged.mustBe(t, http.StatusBadRequest, "TOKEN_INVALID")
	equalEverywhere(t, operator(p.OperationsEndpoint(), p.OperatorKey()))
}

// TestPartitionUnderLoad cuts a region off, and crashes another, while tenants of three homes write; when all is well again, every copy is
// what its home has.
func TestPartitionUnderLoad(t *testing.T) {
	t.Parallel()
	p := domiciletest.Start(t, domiciletest.Config{Services: services.All(), Demo: true})
	ops := operator(p.OperationsEndpoint(), p.OperatorKey())
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var written atomic.Int64
	homes := map[string]string{"acme-eu": "eu-central-1", "acme-us": "us-east-1", "acme-br": "sa-east-1"}
	for tenant, home := range homes {
		url, key := p.Endpoint(home)+"/v1/users", p.DemoKey(tenant)
		wg.Go(func() { load(ctx, t, url, key, &written) })
	}
	goOn := func(n int64) {
		t.Helper()
		from := written.Load()
		eventually(t, "writes go on", func() bool { return written.Load() >= from+n })
	}
	goOn(50)
	inject(t, ops, partition("sa-east-1"))
	inject(t, ops, &operationsv1.Fault{Kind: &operationsv1.Fault_Disturbance{Disturbance: &operationsv1.Disturbance{
		Destination: "ap-southeast-1", DuplicatePercent: 30, ReorderPercent: 30, LagMillis: 20,
	}}})
	goOn(50)
	inject(t, ops, &operationsv1.Fault{Kind: &operationsv1.Fault_Crash{Crash: "us-west-2"}})
	goOn(50)
	inject(t, ops, &operationsv1.Fault{Kind: &operationsv1.Fault_Restart{Restart: "us-west-2"}})
	goOn(50)
	inject(t, ops, heal())
	goOn(20)
	stop()
	wg.Wait()
	equalEverywhere(t, ops)
}

// load creates, changes and deletes users until ctx ends.
func load(ctx context.Context, t *testing.T, url, key string, written *atomic.Int64) {
	t.Helper()
	for n := 0; ctx.Err() == nil; n++ {
		made, err := try(ctx, call{method: http.MethodPost, url: url, key: key, body: newUser(fmt.Sprintf("load%d", n))})
		if err != nil || made.status != 200 {
			continue
		}
		written.Add(1)
		id := made.text("id")
		if _, err := try(ctx, call{method: http.MethodPatch, url: url + "/" + id, key: key, body: map[string]any{"locale": "fr-FR"}}); err == nil {
			written.Add(1)
		}
		if n%3 == 0 {
			if _, err := try(ctx, call{method: http.MethodDelete, url: url + "/" + id, key: key}); err == nil {
				written.Add(1)
			}
		}
	}
}

// TestPolicySpreadsAndScrubs changes how far a tenant's projections may go: copies come and go with it, and with them the keys.
func TestPolicySpreadsAndScrubs(t *testing.T) {
	t.Parallel()
	p := domiciletest.Start(t, domiciletest.Config{Services: services.All()})
	key := p.CreateTenant(t, &tenancyv1.Tenant{
		Id: "mover", Home: "eu-central-1", Standby: "none", Transit: tenancyv1.Transit_TRANSIT_FORWARD,
		Projections: tenancyv1.Projections_PROJECTIONS_NONE,
	})
	ops := operator(p.OperationsEndpoint(), p.OperatorKey())
	for n := range 20 {
		do(t, call{method: http.MethodPost, url: p.Endpoint("eu-central-1") + "/v1/users", key: key, body: newUser(fmt.Sprintf("mover%d", n))}).
			mustBe(t, 200, "")
	}
	for _, step := range []struct {
		policy tenancyv1.Projections
		with   map[string]string
	}{
		{tenancyv1.Projections_PROJECTIONS_NONE, map[string]string{}},
		{tenancyv1.Projections_PROJECTIONS_EVERYWHERE, map[string]string{
			"eu-west-1": "REGIONAL", "us-east-1": "GLOBAL", "us-west-2": "GLOBAL", "ap-southeast-1": "GLOBAL", "sa-east-1": "GLOBAL",
		}},
		{tenancyv1.Projections_PROJECTIONS_JURISDICTION, map[string]string{"eu-west-1": "REGIONAL"}},
		{tenancyv1.Projections_PROJECTIONS_NONE, map[string]string{}},
		{tenancyv1.Projections_PROJECTIONS_JURISDICTION, map[string]string{"eu-west-1": "REGIONAL"}},
	} {
		_, err := p.Tenancy().UpdateTenant(t.Context(), &tenancyv1.UpdateTenantRequest{
			Id: "mover", Tenant: &tenancyv1.Tenant{Projections: step.policy}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"projections"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, "copies are where "+step.policy.String()+" lets them be, and nowhere else", func() bool {
			return holds(t, ops, "mover", step.with)
		})
		if step.policy != tenancyv1.Projections_PROJECTIONS_NONE {
			eventually(t, "the record is read in Dublin", func() bool {
				list := do(t, call{method: http.MethodGet, url: p.Endpoint("eu-west-1") + "/v1/users:summaries", key: key})
				return list.status == 200 && list.header.Get("Domicile-Region") == "eu-west-1" && len(list.json["summaries"].([]any)) == 20
			})
		}
	}
	equalEverywhere(t, ops)
}

// holds tells whether just these regions, beside the home, have 20 copies of a class, and whether just those that have sealed ones have
// the key.
func holds(t *testing.T, ops operationsv1connect.OperationsServiceClient, tenant string, with map[string]string) bool {
	t.Helper()
	report, err := ops.ReportAudit(t.Context(), &operationsv1.ReportAuditRequest{Tenant: tenant})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range report.GetRegions() {
		if !r.GetSettled() {
			return false
		}
		if r.GetRegion() == "eu-central-1" {
			continue
		}
		var copies, sealed uint64
		for _, h := range r.GetHoldings() {
			switch {
			case h.GetPlace() == "regional":
				return false
			case h.GetPlace() == "replica" && h.GetDataClass() == with[r.GetRegion()]:
				copies += h.GetItems()
			}
			if h.GetPlace() == "replica" && h.GetDataClass() != "GLOBAL" {
				sealed += h.GetItems()
			}
		}
		wanted := with[r.GetRegion()] != ""
		if wanted != (copies >= 20) || r.GetHasKey() != (with[r.GetRegion()] == "REGIONAL") || (sealed > 0) != r.GetHasKey() {
			return false
		}
	}
	return true
}

// TestStandbyHasSealedCopies looks for whole entities: the standby has them, and nobody else; of a tenant without a standby nobody has.
func TestStandbyHasSealedCopies(t *testing.T) {
	t.Parallel()
	p := domiciletest.Start(t, domiciletest.Config{Services: services.All(), Demo: true})
	ops := operator(p.OperationsEndpoint(), p.OperatorKey())
	for tenant, home := range map[string]string{"acme-eu": "eu-central-1", "bank-eu": "eu-central-1", "acme-sg": "ap-southeast-1"} {
		for n := range 10 {
			do(t, call{
				method: http.MethodPost, url: p.Endpoint(home) + "/v1/users", key: p.DemoKey(tenant), body: newUser(fmt.Sprintf("standby%d", n)),
				header: map[string]string{"Idempotency-Key": fmt.Sprintf("standby-%d", n)},
			}).mustBe(t, 200, "")
		}
	}
	whole := func(tenant, region string) uint64 {
		report, err := ops.ReportAudit(t.Context(), &operationsv1.ReportAuditRequest{Tenant: tenant, Region: region})
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range report.GetRegions()[0].GetHoldings() {
			if h.GetPlace() == "regional" && h.GetDataClass() == "PII" {
				return h.GetItems()
			}
		}
		return 0
	}
	// Ten users, ten e-mail entries and ten idempotency records.
	eventually(t, "the standby has it all", func() bool { return whole("acme-eu", "eu-west-1") == 30 })
	equalEverywhere(t, ops)
	for _, region := range p.Regions() {
		if region != "eu-central-1" && whole("bank-eu", region) > 0 || region != "ap-southeast-1" && whole("acme-sg", region) > 0 ||
			region != "eu-central-1" && region != "eu-west-1" && whole("acme-eu", region) > 0 {
			t.Errorf("%s has whole entities that it may not have", region)
		}
	}
}

// TestSixProcesses runs each region in a process of its own, stops one as a machine stops that is paused, and lets it go on.
func TestSixProcesses(t *testing.T) {
	t.Parallel()
	dir, base := t.TempDir(), freeBase(t)
	topo, err := topologyfile.Default().WithPortBase(base)
	if err != nil {
		t.Fatal(err)
	}
	regions := map[string]*process{}
	for n, i := range topo.Regions() {
		regions[string(topo.ID(i))] = launchServe(t, dir, base, n+1, "--demo")
	}
	for n := range topo.Regions() {
		eventually(t, fmt.Sprintf("region %d is ready", n+1), func() bool {
			a, err := try(t.Context(), call{method: http.MethodGet, url: fmt.Sprintf("http://127.0.0.1:%d/readyz", base+n+11)})
			return err == nil && a.status == http.StatusOK
		})
	}
	keys := demoKeys(t, dir)
	ops := operator(fmt.Sprintf("http://127.0.0.1:%d", base+13), keys["operator"])
	create := func(from, to int) {
		for n := from; n < to; n++ {
			do(t, call{
				method: http.MethodPost, url: fmt.Sprintf("http://127.0.0.1:%d/v1/users", base+1+n%5), key: keys["acme-eu"],
				body: newUser(fmt.Sprintf("six%d", n)),
			}).mustBe(t, 200, "")
		}
	}
	eventually(t, "tenants are known everywhere", func() bool {
		for n := range 6 {
			a, err := try(t.Context(), call{method: http.MethodGet, url: fmt.Sprintf("http://127.0.0.1:%d/v1/users", base+1+n), key: keys["acme-eu"]})
			if err != nil || a.status != 200 {
				return false
			}
		}
		return true
	})
	create(0, 20)
	saoPaulo := regions["sa-east-1"].cmd.Process
	if err := saoPaulo.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	create(20, 60)
	v, err := ops.VerifySync(t.Context(), &operationsv1.VerifySyncRequest{Region: "sa-east-1"})
	if err != nil || v.GetRegions()[0].GetUnreachable() == "" {
		t.Errorf("a stopped region was compared: %v, %v", v, err)
	}
	if err := saoPaulo.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	create(60, 70)
	equalEverywhere(t, ops)
	for id, p := range regions {
		if err := p.end(t, syscall.SIGTERM); err != nil {
			t.Errorf("%s ends with %v: %s", id, err, p.out)
		}
	}
}

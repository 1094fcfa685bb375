package directory_test

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strconv"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	directoryv1 "github.com/domicile-api/domicile/gen/domicile/directory/v1"
	tenancyv1 "github.com/domicile-api/domicile/gen/domicile/tenancy/v1"
	"github.com/domicile-api/domicile/internal/directory"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/routing"
)

func newIndex() *directory.Index { return directory.NewIndex(directory.IndexConfig{Topology: topo()}) }

// The small worlds of the random tests: few enough names that records of one subject meet.
var (
	worldTenants = []string{"acme-eu", "acme-us", "bank-eu", "zoo"}
	worldHosts   = []string{"api.acme.example", "acme.example", "bank.example", "zoo.example", "x"}
	worldKeys    = []string{"k1", "k2"}

	worldReleases  = []string{"v1.0.0", "v1.1.0"}
	worldTokenKeys = []uint32{1, 2, 3, 11}
)

// drawLog draws the log of a writer: records 1 to n of subjects that it may speak of.
func drawLog(t *rapid.T, writer ident.RegionID, n int) []*directoryv1.Record {
	log := make([]*directoryv1.Record, 0, n)
	for i := range n {
		seq := uint64(i + 1)
		tenantID := rapid.SampledFrom(worldTenants).Draw(t, "tenant")
		keyID := rapid.SampledFrom(worldKeys).Draw(t, "key")
		kind := rapid.IntRange(0, 13).Draw(t, "kind")
		var r *directoryv1.Record
		switch {
		case kind == 0:
			r = revocationRecord(writer, seq, tenantID, keyID)
		case kind == 1:
			r = regionKeysRecord(writer, seq, rapid.SliceOfNDistinct(rapid.SampledFrom(worldKeys), 0, 2, rapid.ID).Draw(t, "route keys")...)
		case kind == 10:
			r = wrappingRecord(writer, seq, rapid.SampledFrom([]string{"", "w1", "w2"}).Draw(t, "wrapping key"))
		case kind == 11:
			r = classTableRecord(writer, seq, rapid.SampledFrom(worldReleases).Draw(t, "release"))
		case kind == 2 || writer != control:
			r = &directoryv1.Record{Writer: string(writer), Wseq: seq, Subject: &directoryv1.Record_Erasure{
				Erasure: &directoryv1.Erasure{Tenant: tenantID, Region: string(writer)},
			}}
		case kind == 3:
			r = keyRecord(seq, tenantID, keyID, rapid.Bool().Draw(t, "revoked"))
		case kind == 4:
			r = operatorKeyRecord(seq, keyID)
		case kind == 12:
			r = tokenKeyRecord(seq, rapid.SampledFrom(worldTokenKeys).Draw(t, "token key"), strconv.Itoa(i))
		default:
			r = tenantRecord(seq, drawTenant(t, tenantID))
		}
		log = append(log, r)
	}
	return log
}

func drawTenant(t *rapid.T, id string) *tenancyv1.Tenant {
	hosts := rapid.SliceOfNDistinct(rapid.SampledFrom(worldHosts), 0, 3, rapid.ID).Draw(t, "hosts")
	out := tenant(id, hosts...)
	out.Home = rapid.SampledFrom([]string{string(frankfurt), string(singapore), "mars-1"}).Draw(t, "home")
	out.Standby = rapid.SampledFrom([]string{"none", string(dublin)}).Draw(t, "standby")
	out.State = tenancyv1.TenantState(rapid.Int32Range(1, 3).Draw(t, "state"))
	out.Transit = tenancyv1.Transit(rapid.Int32Range(0, 2).Draw(t, "transit"))
	out.Projections = tenancyv1.Projections(rapid.Int32Range(1, 3).Draw(t, "projections"))
	out.Epoch = rapid.Uint64Range(1, 1<<40).Draw(t, "epoch")
	return out
}

// model is the state that records fold to, in the plainest form.
type model struct {
	newest map[string]*directoryv1.Record // by writer and subject
}

func fold(logs ...[]*directoryv1.Record) model {
	m := model{newest: make(map[string]*directoryv1.Record)}
	for _, log := range logs {
		for _, r := range log {
			key := r.GetWriter() + " " + subjectName(r)
			if old := m.newest[key]; old == nil || old.GetWseq() < r.GetWseq() {
				m.newest[key] = r
			}
		}
	}
	return m
}

func subjectName(r *directoryv1.Record) string {
	switch r.GetSubject().(type) {
	case *directoryv1.Record_Tenant:
		return "tenant " + r.GetTenant().GetId()
	case *directoryv1.Record_ApiKey:
		return "key " + r.GetApiKey().GetKey().GetTenant() + " " + r.GetApiKey().GetKey().GetId()
	case *directoryv1.Record_OperatorKey:
		return "operator " + r.GetOperatorKey().GetId()
	case *directoryv1.Record_Revocation:
		return "revocation " + r.GetRevocation().GetTenant() + " " + r.GetRevocation().GetKeyId()
	case *directoryv1.Record_RegionKeys:
		return "region " + r.GetRegionKeys().GetRegion()
	case *directoryv1.Record_TokenKey:
		return fmt.Sprint("token key ", r.GetTokenKey().GetId())
	case *directoryv1.Record_ClassTable:
		return fmt.Sprintf("class table %x", r.GetClassTable().GetFingerprint())
	default:
		return "erasure " + r.GetErasure().GetTenant() + " " + r.GetErasure().GetRegion()
	}
}

func (m model) tenant(id string) (routing.Tenant, bool) {
	r := m.newest[string(control)+" tenant "+id]
	if r == nil {
		return routing.Tenant{}, false
	}
	t := r.GetTenant()
	home, _ := topo().Index(ident.RegionID(t.GetHome()))
	standby, _ := topo().Index(ident.RegionID(t.GetStandby()))
	return routing.Tenant{
		Home: home, Standby: standby, Transit: uint8(t.GetTransit()), Projections: uint8(t.GetProjections()),
		State: uint8(t.GetState()), Epoch: ident.Epoch(t.GetEpoch()),
	}, true
}

func (m model) host(host string) ident.TenantID {
	var owner *directoryv1.Record
	for _, r := range m.newest {
		t := r.GetTenant()
		if t == nil || t.GetState() == tenancyv1.TenantState_TENANT_STATE_PURGED || !slices.Contains(t.GetHosts(), host) {
			continue
		}
		if owner == nil || owner.GetWseq() < r.GetWseq() {
			owner = r
		}
	}
	return ident.TenantID(owner.GetTenant().GetId())
}

func (m model) revoked(tenantID, keyID string) bool {
	if m.newest[string(control)+" key "+tenantID+" "+keyID].GetApiKey().GetKey().GetRevokeTime() != nil {
		return true
	}
	for _, region := range regions() {
		if m.newest[string(region)+" revocation "+tenantID+" "+keyID] != nil {
			return true
		}
	}
	return false
}

// check compares an index with the model, for every name of the world.
func (m model) check(t interface {
	Helper()
	Fatalf(format string, args ...any)
}, x *directory.Index) {
	t.Helper()
	for _, id := range worldTenants {
		want, wantOK := m.tenant(id)
		got, ok := x.Tenant(id)
		gotBytes, okBytes := x.TenantBytes([]byte(id))
		if got != want || ok != wantOK || gotBytes != want || okBytes != wantOK {
			t.Fatalf("tenant %s: %+v %v; want %+v %v", id, got, ok, want, wantOK)
		}
		for _, keyID := range worldKeys {
			_, want := m.newest[string(control)+" key "+id+" "+keyID]
			v, ok := x.KeyVerifier(ident.TenantID(id), keyID)
			if ok != want || ok && (v.Revoked != m.revoked(id, keyID) || v.Hash != sha256.Sum256([]byte(secret(id, keyID)))) {
				t.Fatalf("key %s of %s: %+v %v; want %v, revoked %v", keyID, id, v, ok, want, m.revoked(id, keyID))
			}
		}
	}
	for _, host := range worldHosts {
		want := m.host(host)
		id, got, ok := x.Host(host)
		wantTenant, _ := m.tenant(string(want))
		if id != want || ok != (want != "") || got != wantTenant {
			t.Fatalf("host %s: %q %+v %v; want %q %+v", host, id, got, ok, want, wantTenant)
		}
	}
	for _, region := range regions() {
		for _, keyID := range worldKeys {
			want := false
			for _, k := range m.newest[string(region)+" region "+string(region)].GetRegionKeys().GetRouteKeys() {
				want = want || k.GetId() == keyID
			}
			if key, ok := x.RouteKey(region, keyID); ok != want || ok && !key.Equal(publicKey(keyID)) {
				t.Fatalf("route key %s of %s: %v %v; want %v", keyID, region, key, ok, want)
			}
		}
	}
	m.checkSecrets(t, x)
	for _, keyID := range worldKeys {
		_, want := m.newest[string(control)+" operator "+keyID]
		if _, ok := x.OperatorKeyVerifier(keyID); ok != want {
			t.Fatalf("operator key %s: %v, want %v", keyID, ok, want)
		}
	}
}

// checkSecrets compares what serves tokens and class checks.
func (m model) checkSecrets(t interface {
	Helper()
	Fatalf(format string, args ...any)
}, x *directory.Index) {
	t.Helper()
	for _, region := range regions() {
		want := m.newest[string(region)+" region "+string(region)].GetRegionKeys().GetWrappingKey()
		if got, ok := x.WrappingKey(region); string(got) != string(want) || ok != (len(want) > 0) {
			t.Fatalf("wrapping key of %s: %q %v, want %q", region, got, ok, want)
		}
	}
	var keys []*directoryv1.TokenKey
	for _, id := range slices.Backward(worldTokenKeys) {
		if r := m.newest[fmt.Sprint(control, " token key ", id)]; r != nil {
			keys = append(keys, r.GetTokenKey())
		}
	}
	if !slices.EqualFunc(x.TokenKeys(), keys, func(a, b *directoryv1.TokenKey) bool { return proto.Equal(a, b) }) {
		t.Fatalf("token keys %v, want %v", x.TokenKeys(), keys)
	}
	for _, release := range worldReleases {
		fingerprint := classTableRecord(control, 1, release).GetClassTable().GetFingerprint()
		want := false
		for _, region := range regions() {
			want = want || m.newest[fmt.Sprintf("%s class table %x", region, fingerprint)] != nil
		}
		if got, ok := x.ClassTable(fingerprint); ok != want || ok && got.GetMessages()[0].GetName() != release {
			t.Fatalf("class table of %s: %v %v, want %v", release, got, ok, want)
		}
	}
}

// TestIndexFolds gives an index the records of two logs in any order, in batches of any size and repeatedly, and checks that it
// always answers as the state that they fold to, also after a trip through Records.
func TestIndexFolds(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		all := append(drawLog(t, control, rapid.IntRange(1, 25).Draw(t, "control")), drawLog(t, frankfurt, 5)...)
		order := rapid.Permutation(append(slices.Clone(all), all[:len(all)/3]...)).Draw(t, "order")
		x := newIndex()
		for at := 0; at < len(order); {
			end := min(len(order), at+rapid.IntRange(1, 7).Draw(t, "batch"))
			x.Apply(order[at:end])
			at = end
			fold(order[:at]).check(t, x)
		}
		again := newIndex()
		again.Apply(slices.Collect(x.Records()))
		fold(all).check(t, again)
	})
}

// TestIndexKeepsWhatItDoesNotRoute checks that what a topology does not know survives a trip through Records.
func TestIndexKeepsWhatItDoesNotRoute(t *testing.T) {
	t.Parallel()
	x := newIndex()
	strange := tenant("acme-eu")
	strange.Home, strange.Standby = "mars-1", "mars-2"
	x.Apply([]*directoryv1.Record{tenantRecord(1, strange)})
	records := slices.Collect(x.Records())
	if len(records) != 1 || !proto.Equal(records[0].GetTenant(), strange) {
		t.Fatalf("records %v, want the tenant as it was", records)
	}
}

// TestIndexUnknownPolicy checks that a policy that only a later release knows becomes the strictest.
func TestIndexUnknownPolicy(t *testing.T) {
	t.Parallel()
	later := tenant("acme-eu")
	later.Transit, later.State = 9, 9
	x := newIndex()
	x.Apply([]*directoryv1.Record{tenantRecord(1, later)})
	got, ok := x.Tenant("acme-eu")
	if !ok || got.Transit != 0 || got.State != 0 {
		t.Fatalf("tenant %+v %v; want transit and state unspecified", got, ok)
	}
}

// TestIndexReadsDoNotAllocate holds the request path to its promise.
func TestIndexReadsDoNotAllocate(t *testing.T) { //nolint:paralleltest // AllocsPerRun counts what others allocate too.
	x := newIndex()
	records := make([]*directoryv1.Record, 0, 10_001)
	for i := range 5000 {
		id := fmt.Sprintf("tenant-with-a-name-of-full-length-%06d", i)
		records = append(records, tenantRecord(uint64(2*i+1), tenant(id, id+".example.com")), keyRecord(uint64(2*i+2), id, "k1", false))
	}
	records = append(records, regionKeysRecord(frankfurt, 1, "k1"))
	x.Apply(records)
	id := "tenant-with-a-name-of-full-length-004711"
	idBytes, host := []byte(id), id+".example.com"
	for name, read := range map[string]func() bool{
		"tenant":       func() bool { _, ok := x.Tenant(id); return ok },
		"tenant bytes": func() bool { _, ok := x.TenantBytes(idBytes); return ok },
		"host":         func() bool { _, _, ok := x.Host(host); return ok },
		"key":          func() bool { _, ok := x.KeyVerifier(ident.TenantID(id), "k1"); return ok },
		"route key":    func() bool { _, ok := x.RouteKey(frankfurt, "k1"); return ok },
		"absent":       func() bool { _, ok := x.Tenant("absent"); return !ok },
		"absent host":  func() bool { _, _, ok := x.Host("absent.example.com"); return !ok },
	} {
		if allocs := testing.AllocsPerRun(100, func() {
			if !read() {
				t.Fatalf("%s: wrong answer", name)
			}
		}); allocs != 0 {
			t.Errorf("%s: %v allocations, want 0", name, allocs)
		}
	}
}

// TestIndexConcurrent reads while records come; the race detector judges, and no read sees a tenant or host missing that was
// there before.
func TestIndexConcurrent(t *testing.T) {
	t.Parallel()
	x := newIndex()
	x.Apply([]*directoryv1.Record{tenantRecord(1, tenant("acme-eu", "acme.example", "old.example"))})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := uint64(2); n < 2000; n++ {
			x.Apply([]*directoryv1.Record{
				tenantRecord(n, tenant("acme-eu", "acme.example", fmt.Sprintf("h%d.example", n))),
				tenantRecord(n, tenant(fmt.Sprintf("tenant-%d", n))),
			})
		}
	}()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		if id, _, ok := x.Host("acme.example"); !ok || id != "acme-eu" {
			t.Fatalf("host is %q, %v", id, ok)
		}
		if _, ok := x.Tenant("acme-eu"); !ok {
			t.Fatal("the tenant was missing for a moment")
		}
	}
}

package audit_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	policyv1 "github.com/domicile-api/domicile/gen/domicile/policy/v1"
	storagev1 "github.com/domicile-api/domicile/gen/domicile/storage/v1"
	tenancyv1 "github.com/domicile-api/domicile/gen/domicile/tenancy/v1"
	"github.com/domicile-api/domicile/internal/audit"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/keyspace"
	"github.com/domicile-api/domicile/internal/routing"
	"github.com/domicile-api/domicile/internal/seal"
	"github.com/domicile-api/domicile/internal/seal/local"
	"github.com/domicile-api/domicile/internal/store"
	"github.com/domicile-api/domicile/internal/store/pebblestore"
	"github.com/domicile-api/domicile/internal/topology"
	"github.com/domicile-api/domicile/internal/topology/topologyfile"
)

const userID = "usr_01h455vb4pex5vsknk084sn02q"

// book is a directory of one tenant.
type book map[string]routing.Tenant

// Tenant implements audit.Tenants.
func (b book) Tenant(id string) (routing.Tenant, bool) {
	t, ok := b[id]
	return t, ok
}

func index(t *testing.T, region ident.RegionID) topology.Index {
	t.Helper()
	if region == "" {
		return topology.NoRegion
	}
	i, ok := topologyfile.Default().Index(region)
	if !ok {
		t.Fatalf("no region %s", region)
	}
	return i
}

// acme is a tenant at home in Frankfurt with a standby in Dublin, whose projections go everywhere, unless change says otherwise.
func acme(t *testing.T, change func(*routing.Tenant)) book {
	t.Helper()
	tenant := routing.Tenant{
		Home: index(t, "eu-central-1"), Standby: index(t, "eu-west-1"), Epoch: 1,
		Projections: uint8(tenancyv1.Projections_PROJECTIONS_EVERYWHERE), State: uint8(tenancyv1.TenantState_TENANT_STATE_ACTIVE),
	}
	if change != nil {
		change(&tenant)
	}
	return book{"acme": tenant}
}

func openTable(t *testing.T) store.Store {
	t.Helper()
	db, err := pebblestore.OpenMemory(pebblestore.Config{Clock: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db.Table("place")
}

func walker(t *testing.T, s store.Store) store.Walker {
	t.Helper()
	w, ok := s.(store.Walker)
	if !ok {
		t.Fatal("the store cannot be walked")
	}
	return w
}

func plant(t *testing.T, table store.Store, items ...store.Item) {
	t.Helper()
	for _, it := range items {
		if err := table.Commit(t.Context(), store.Commit{Ops: []store.Op{{Kind: store.Put, Item: it}}}); err != nil {
			t.Fatal(err)
		}
	}
}

// clearly refuses what says so in the clear.
func clearly(r *storagev1.Replica) error {
	if string(r.GetClear()) == "personal" {
		return errors.New("a field above GLOBAL")
	}
	return nil
}

func auditor(t *testing.T, region ident.RegionID, tenants book, places ...audit.Place) *audit.Auditor {
	t.Helper()
	return audit.New(audit.Config{
		Region: index(t, region), Topology: topologyfile.Default(), Tenants: tenants, Places: places, CheckReplica: clearly,
	})
}

func value(t *testing.T, m proto.Message) []byte {
	t.Helper()
	raw, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func tagged(class store.Class, law ident.Jurisdiction) store.Tag {
	return store.Tag{Tenant: "acme", Class: class, Jurisdiction: law}
}

// row is an item that is no entity.
func row(tag store.Tag) store.Item {
	return store.Item{Key: keyspace.Counter("acme", 3), Tag: tag, Value: []byte("v")}
}

func keyItem(t *testing.T, tag store.Tag, k *storagev1.WrappedKey) store.Item {
	t.Helper()
	return store.Item{Key: store.Key{Partition: "acme", Sort: "held"}, Tag: tag, Value: value(t, k)}
}

func projection(t *testing.T, tag store.Tag, r *storagev1.Replica) store.Item {
	t.Helper()
	return store.Item{Key: keyspace.Entity("acme", userID), Tag: tag, Value: value(t, r)}
}

// rule is one item in one place, and what is said of it.
type rule struct {
	region ident.RegionID
	kind   audit.Kind
	tenant func(*routing.Tenant)
	item   store.Item
	want   string
}

func runRules(t *testing.T, rules map[string]rule) {
	t.Helper()
	for name, r := range rules {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			table := openTable(t)
			plant(t, table, r.item)
			a := auditor(t, r.region, acme(t, r.tenant), audit.Place{Name: "there", Kind: r.kind, Table: walker(t, table)})
			var found []audit.Finding
			items, err := a.Scan(t.Context(), func(f audit.Finding) { found = append(found, f) })
			if err != nil || items != 1 {
				t.Fatalf("looked at %d items, %v", items, err)
			}
			var want []audit.Finding
			if r.want != "" {
				want = []audit.Finding{{Place: "there", Tenant: r.item.Tag.Tenant, Class: r.item.Tag.Class, Key: r.item.Key, Rule: r.want}}
			}
			if diff := cmp.Diff(want, found); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func policy(p tenancyv1.Projections) func(*routing.Tenant) {
	return func(t *routing.Tenant) { t.Projections = uint8(p) }
}

func purged(t *routing.Tenant) { t.State = uint8(tenancyv1.TenantState_TENANT_STATE_PURGED) }

func deleted(t *routing.Tenant) { t.State = uint8(tenancyv1.TenantState_TENANT_STATE_DELETED) }

func withoutStandby(t *routing.Tenant) { t.Standby = topology.NoRegion }

const (
	abroadRule = "data above GLOBAL outside the tenant's jurisdiction"
	taggedRule = "data that is tagged with another jurisdiction"
	globalRule = "only GLOBAL items may lie here"
	rowsRule   = "rows of a tenant whose home and standby are elsewhere"
	purgedRule = "the tenant was purged"
	scopeRule  = "a projection of scope JURISDICTION, which the tenant does not allow here"
	noneRule   = "the tenant allows no projections here"
)

func TestWhatNoPlaceMayHold(t *testing.T) {
	t.Parallel()
	none := row(tagged(store.ClassPII, "EU"))
	none.Tag.Tenant = ""
	stranger := row(tagged(store.ClassGlobal, "EU"))
	stranger.Tag.Tenant = "nobody"
	platform := row(tagged(store.ClassGlobal, "EU"))
	platform.Tag.Tenant = ""
	runRules(t, map[string]rule{
		"an item above GLOBAL that is no tenant's":       {"eu-central-1", audit.Regional, nil, none, "an item above GLOBAL that is no tenant's"},
		"a GLOBAL item that is no tenant's":              {"sa-east-1", audit.Replicas, nil, platform, ""},
		"an item of a tenant that nobody knows":          {"eu-central-1", audit.Regional, nil, stranger, "the directory has no such tenant"},
		"an item of a purged tenant at its home":         {"eu-central-1", audit.Regional, purged, row(tagged(store.ClassGlobal, "EU")), purgedRule},
		"a projection of a purged tenant":                {"sa-east-1", audit.Replicas, purged, row(tagged(store.ClassGlobal, "EU")), purgedRule},
		"a message of a purged tenant":                   {"sa-east-1", audit.Queues, purged, row(tagged(store.ClassGlobal, "EU")), purgedRule},
		"settings of a purged tenant":                    {"sa-east-1", audit.Settings, purged, row(tagged(store.ClassGlobal, "EU")), purgedRule},
		"an item of a deleted tenant, which can be back": {"eu-central-1", audit.Regional, deleted, row(tagged(store.ClassPII, "EU")), ""},
		"an item in a place without a purpose":           {"eu-central-1", audit.Kind(0), nil, row(tagged(store.ClassGlobal, "EU")), "a place that holds nothing"},
		"personal data abroad, whoever put it there":     {"sa-east-1", audit.Regional, nil, row(tagged(store.ClassPII, "BR")), abroadRule},
		"regulated data abroad": {
			"us-east-1", audit.Replicas, nil, row(tagged(store.ClassRegional, "EU")), abroadRule,
		},
		"personal data abroad in a standby that should not be one": {
			"us-west-2", audit.Regional, func(r *routing.Tenant) { r.Standby = index(t, "us-west-2") }, row(tagged(store.ClassPII, "US")), abroadRule,
		},
		"personal data at home that another law's tag is on": {"eu-central-1", audit.Regional, nil, row(tagged(store.ClassPII, "US")), taggedRule},
		"personal data of a tenant whose home nobody knows": {
			"eu-central-1", audit.Regional, func(r *routing.Tenant) { r.Home = topology.NoRegion }, row(tagged(store.ClassPII, "EU")), abroadRule,
		},
	})
}

// A store does not take an item without a class, so it is planted in a walker.
func TestItemsWithoutAClass(t *testing.T) {
	t.Parallel()
	for _, class := range []store.Class{0, store.ClassPII + 1} {
		a := auditor(t, "eu-central-1", acme(t, nil), audit.Place{Name: "there", Kind: audit.Regional, Table: shelf{row(tagged(class, "EU"))}})
		var rules []string
		if _, err := a.Scan(t.Context(), func(f audit.Finding) { rules = append(rules, f.Rule) }); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"an item without a class"}, rules); diff != "" {
			t.Errorf("class %d (-want +got):\n%s", class, diff)
		}
		if all, err := a.Report(t.Context(), "acme"); err != nil || len(all) > 1 {
			t.Errorf("class %d is reported as %v, %v", class, all, err)
		}
	}
}

// shelf is a walker over a few items.
type shelf []store.Item

// Walk implements store.Walker.
func (s shelf) Walk(_ context.Context, fn func(store.Item) error) error {
	for _, it := range s {
		if err := fn(it); err != nil {
			return err
		}
	}
	return nil
}

func TestWhatTablesMayHold(t *testing.T) {
	t.Parallel()
	runRules(t, map[string]rule{
		"the directory has GLOBAL items of any tenant":         {"sa-east-1", audit.Directory, nil, row(tagged(store.ClassGlobal, "EU")), ""},
		"the directory has those of purged tenants too":        {"sa-east-1", audit.Directory, purged, row(tagged(store.ClassGlobal, "EU")), ""},
		"the directory has nothing above, also at home":        {"eu-central-1", audit.Directory, nil, row(tagged(store.ClassRegional, "EU")), globalRule},
		"settings are GLOBAL, anywhere":                        {"sa-east-1", audit.Settings, nil, row(tagged(store.ClassGlobal, "EU")), ""},
		"settings are never above, also at home":               {"eu-central-1", audit.Settings, nil, row(tagged(store.ClassPII, "EU")), globalRule},
		"the home has rows":                                    {"eu-central-1", audit.Regional, nil, row(tagged(store.ClassPII, "EU")), ""},
		"the standby has rows":                                 {"eu-west-1", audit.Regional, nil, row(tagged(store.ClassPII, "EU")), ""},
		"a region of the jurisdiction without standby has not": {"eu-west-1", audit.Regional, withoutStandby, row(tagged(store.ClassPII, "EU")), rowsRule},
		"another region has not, GLOBAL ones either":           {"sa-east-1", audit.Regional, nil, row(tagged(store.ClassGlobal, "BR")), rowsRule},
	})
}

func TestWhatReplicasMayHold(t *testing.T) {
	t.Parallel()
	global, regional := tagged(store.ClassGlobal, "EU"), tagged(store.ClassRegional, "EU")
	public := &storagev1.Replica{Scope: policyv1.Scope_SCOPE_GLOBAL, Clear: []byte("clear")}
	sealed := &storagev1.Replica{Scope: policyv1.Scope_SCOPE_JURISDICTION, Clear: []byte("clear"), Sealed: []byte("sealed")}
	personal := &storagev1.Replica{Clear: []byte("personal")}
	broken := projection(t, global, public)
	broken.Value = []byte{0xff}
	none, inside := policy(tenancyv1.Projections_PROJECTIONS_NONE), policy(tenancyv1.Projections_PROJECTIONS_JURISDICTION)
	runRules(t, map[string]rule{
		"a GLOBAL projection abroad":                           {"sa-east-1", audit.Replicas, nil, projection(t, global, public), ""},
		"a watermark abroad":                                   {"sa-east-1", audit.Replicas, nil, row(global), ""},
		"a sealed one in the jurisdiction":                     {"eu-west-1", audit.Replicas, nil, projection(t, regional, sealed), ""},
		"a projection at the tenant's own home":                {"eu-central-1", audit.Replicas, nil, projection(t, global, public), "a projection at the tenant's own home"},
		"any where the policy says none":                       {"sa-east-1", audit.Replicas, none, projection(t, global, public), noneRule},
		"any in the jurisdiction where the policy says none":   {"eu-west-1", audit.Replicas, none, projection(t, regional, sealed), noneRule},
		"any where the policy is not known":                    {"sa-east-1", audit.Replicas, policy(99), projection(t, global, public), noneRule},
		"any abroad where the policy says jurisdiction":        {"sa-east-1", audit.Replicas, inside, projection(t, global, public), noneRule},
		"a watermark abroad where the policy says so":          {"sa-east-1", audit.Replicas, inside, row(global), noneRule},
		"one in the jurisdiction where the policy says so":     {"eu-west-1", audit.Replicas, inside, projection(t, regional, sealed), ""},
		"personal data among projections":                      {"eu-west-1", audit.Replicas, nil, row(tagged(store.ClassPII, "EU")), "personal data among projections"},
		"a sealed part abroad under a GLOBAL tag":              {"sa-east-1", audit.Replicas, nil, projection(t, global, sealed), "a sealed part in an item that is tagged GLOBAL"},
		"a field above GLOBAL in the clear":                    {"sa-east-1", audit.Replicas, nil, projection(t, global, personal), "a field above GLOBAL in the clear"},
		"a field above GLOBAL in the clear, lawful in a seal":  {"eu-west-1", audit.Replicas, nil, projection(t, regional, personal), "a field above GLOBAL in the clear"},
		"a projection that cannot be decoded":                  {"sa-east-1", audit.Replicas, nil, broken, "a projection that cannot be decoded"},
		"a deleted one, kept until all are past it":            {"sa-east-1", audit.Replicas, nil, projection(t, global, &storagev1.Replica{Deleted: true}), ""},
		"one of a deleted tenant, which can be back":           {"sa-east-1", audit.Replicas, deleted, projection(t, global, public), ""},
		"regulated data in the wrong law's name, also at rest": {"eu-west-1", audit.Replicas, nil, projection(t, tagged(store.ClassRegional, "US"), sealed), taggedRule},
	})
}

func TestWhatKeysMayLieHere(t *testing.T) {
	t.Parallel()
	tag := tagged(store.ClassPII, "EU")
	held := &storagev1.WrappedKey{Tenant: "acme", Generation: 1, Wrapped: []byte("wrapped")}
	mark := &storagev1.WrappedKey{Tenant: "acme"}
	hidden := keyItem(t, tag, mark)
	hidden.Value = append(hidden.Value, 0x7a, 3, 'k', 'e', 'y') // field 15, which nobody knows
	broken := keyItem(t, tag, mark)
	broken.Value = []byte{0xff}
	none := func(r *routing.Tenant) {
		r.Projections, r.Standby = uint8(tenancyv1.Projections_PROJECTIONS_NONE), topology.NoRegion
	}
	const keyRule = "a key of a tenant that this region has nothing sealed of"
	runRules(t, map[string]rule{
		"the home's":                           {"eu-central-1", audit.Keys, none, keyItem(t, tag, held), ""},
		"the standby's":                        {"eu-west-1", audit.Keys, policy(tenancyv1.Projections_PROJECTIONS_NONE), keyItem(t, tag, held), ""},
		"that of a region with sealed parts":   {"eu-west-1", audit.Keys, withoutStandby, keyItem(t, tag, held), ""},
		"that of one which may have none":      {"eu-west-1", audit.Keys, none, keyItem(t, tag, held), keyRule},
		"one abroad":                           {"sa-east-1", audit.Keys, nil, keyItem(t, tag, held), abroadRule},
		"one abroad under a GLOBAL tag":        {"sa-east-1", audit.Keys, nil, keyItem(t, tagged(store.ClassGlobal, "BR"), held), keyRule},
		"a purged tenant's":                    {"eu-central-1", audit.Keys, purged, keyItem(t, tag, held), purgedRule},
		"a purged tenant's under a GLOBAL tag": {"eu-central-1", audit.Keys, purged, keyItem(t, tagged(store.ClassGlobal, "EU"), held), purgedRule},
		"the mark that it was purged":          {"eu-central-1", audit.Keys, purged, keyItem(t, tag, mark), ""},
		"a mark with more in it":               {"eu-central-1", audit.Keys, purged, hidden, purgedRule},
		"a purged tenant's that is garbled":    {"eu-central-1", audit.Keys, purged, broken, purgedRule},
		"a mark among the rows":                {"eu-central-1", audit.Regional, purged, keyItem(t, tag, mark), purgedRule},
	})
}

func TestWhatMessagesMayWaitHere(t *testing.T) {
	t.Parallel()
	whole, sealed := row(tagged(store.ClassPII, "EU")), row(tagged(store.ClassRegional, "EU"))
	none := policy(tenancyv1.Projections_PROJECTIONS_NONE)
	const wholeRule = "a whole entity on its way to a region that is neither home nor standby"
	runRules(t, map[string]rule{
		"a GLOBAL one anywhere":                      {"sa-east-1", audit.Queues, nil, row(tagged(store.ClassGlobal, "EU")), ""},
		"a whole entity at the standby":              {"eu-west-1", audit.Queues, none, whole, ""},
		"a whole entity elsewhere in the law":        {"eu-west-1", audit.Queues, withoutStandby, whole, wholeRule},
		"a whole entity abroad":                      {"sa-east-1", audit.Queues, nil, whole, abroadRule},
		"a sealed projection in the law":             {"eu-west-1", audit.Queues, withoutStandby, sealed, ""},
		"a sealed projection that the policy denies": {"eu-west-1", audit.Queues, func(r *routing.Tenant) { none(r); withoutStandby(r) }, sealed, scopeRule},
	})
}

// A purge by the keyring itself leaves what the audit allows, and what was there before is what it does not.
func TestPurgeLeavesAMark(t *testing.T) {
	t.Parallel()
	table := openTable(t)
	wrapper, err := local.Open(t.TempDir(), "eu-central-1")
	if err != nil {
		t.Fatal(err)
	}
	ring := seal.NewKeyring(seal.KeyringConfig{Region: "eu-central-1", Jurisdiction: "EU", Keys: table, Wrapper: wrapper, Clock: time.Now})
	if err := ring.Provision(t.Context(), "acme", 1, []ident.RegionID{"eu-central-1"}); err != nil {
		t.Fatal(err)
	}
	findings := func() (n, items uint64) {
		t.Helper()
		a := auditor(t, "eu-central-1", acme(t, purged), audit.Place{Name: "keys", Kind: audit.Keys, Table: walker(t, table)})
		items, err := a.Scan(t.Context(), func(audit.Finding) { n++ })
		if err != nil {
			t.Fatal(err)
		}
		return n, items
	}
	if n, _ := findings(); n == 0 {
		t.Error("a key of a purged tenant is not found")
	}
	if err := ring.Purge(t.Context(), "acme"); err != nil {
		t.Fatal(err)
	}
	if n, items := findings(); n != 0 || items != 1 {
		t.Errorf("%d findings among %d items after the purge", n, items)
	}
}

func TestReport(t *testing.T) {
	t.Parallel()
	regional, replicas := openTable(t), openTable(t)
	it := func(sort, tenant string, class store.Class, size int) store.Item {
		return store.Item{
			Key: store.Key{Partition: "p", Sort: sort}, Value: make([]byte, size),
			Tag: store.Tag{Tenant: ident.TenantID(tenant), Class: class, Jurisdiction: "EU"},
		}
	}
	plant(t, regional, it("a", "acme", store.ClassGlobal, 3), it("b", "acme", store.ClassPII, 5), it("c", "acme", store.ClassPII, 7),
		it("d", "bank", store.ClassPII, 100), it("e", "", store.ClassGlobal, 100))
	plant(t, replicas, it("a", "bank", store.ClassGlobal, 9))
	a := auditor(t, "eu-central-1", acme(t, nil),
		audit.Place{Name: "regional", Kind: audit.Regional, Table: walker(t, regional)},
		audit.Place{Name: "replica", Kind: audit.Replicas, Table: walker(t, replicas)})
	for tenant, want := range map[ident.TenantID][]audit.Holding{
		"acme":   {{Place: "regional", Class: store.ClassGlobal, Items: 1, Bytes: 3}, {Place: "regional", Class: store.ClassPII, Items: 2, Bytes: 12}},
		"bank":   {{Place: "regional", Class: store.ClassPII, Items: 1, Bytes: 100}, {Place: "replica", Class: store.ClassGlobal, Items: 1, Bytes: 9}},
		"nobody": nil,
	} {
		got, err := a.Report(t.Context(), tenant)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tenant, diff)
		}
	}
}

// What cannot be looked at is an error that names the place, never a clean scan.
func TestPlacesThatCannotBeWalked(t *testing.T) {
	t.Parallel()
	a := auditor(t, "eu-central-1", acme(t, nil), audit.Place{Name: "queues", Kind: audit.Queues, Table: broken{}})
	if _, err := a.Scan(t.Context(), func(audit.Finding) {}); !errors.Is(err, errBroken) {
		t.Errorf("scan: %v", err)
	}
	if _, err := a.Report(t.Context(), "acme"); !errors.Is(err, errBroken) {
		t.Errorf("report: %v", err)
	}
}

var errBroken = errors.New("broken")

type broken struct{}

// Walk implements store.Walker.
func (broken) Walk(context.Context, func(store.Item) error) error { return errBroken }

package repair

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	peerv1 "github.com/domicile-api/domicile/gen/domicile/peer/v1"
	profilev1 "github.com/domicile-api/domicile/gen/domicile/profile/v1"
	replicationv1 "github.com/domicile-api/domicile/gen/domicile/replication/v1"
	storagev1 "github.com/domicile-api/domicile/gen/domicile/storage/v1"
	tenancyv1 "github.com/domicile-api/domicile/gen/domicile/tenancy/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/keyspace"
	"github.com/domicile-api/domicile/internal/queue"
	"github.com/domicile-api/domicile/internal/replication"
	"github.com/domicile-api/domicile/internal/residency"
	"github.com/domicile-api/domicile/internal/routing"
	"github.com/domicile-api/domicile/internal/store"
	"github.com/domicile-api/domicile/internal/store/pebblestore"
	"github.com/domicile-api/domicile/internal/topology"
	"github.com/domicile-api/domicile/internal/topology/topologyfile"
)

const (
	frankfurt = ident.RegionID("eu-central-1") // the home
	dublin    = ident.RegionID("eu-west-1")    // its standby
	saoPaulo  = ident.RegionID("sa-east-1")
	acme      = ident.TenantID("acme-eu")
	userType  = "domicile.profile.v1.User"
)

// failer is what testing.TB and rapid.T have in common.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
	Fatal(args ...any)
}

// directory is a directory of one tenant, and the class tables of one release.
type directory struct {
	tenant  routing.Tenant
	classes *residency.Classes
}

func (d *directory) Tenant(id ident.TenantID) (routing.Tenant, bool) { return d.tenant, id == acme }

func (d *directory) AtHome(_ context.Context, region topology.Index, fn func(ident.TenantID) error) error {
	if region != d.tenant.Home {
		return nil
	}
	return fn(acme)
}

func (d *directory) Classes([]byte) (*residency.Classes, bool) { return d.classes, true }

func (*directory) Send(context.Context, ident.RegionID, string, []queue.Outgoing) ([]error, error) {
	return nil, errors.New("nobody to send to")
}

// world is a home and a region with copies, which is the standby, or one abroad.
type world struct {
	tb       failer
	top      *topology.Topology
	dir      *directory
	table    store.Store
	replica  store.Store
	regional store.Store
	maker    *replication.Maker
	applier  *replication.Applier
	source   *Source
	rec      *Reconciler
	region   ident.RegionID
	// between is called before each answer of the home, which it may make fail, and after with the answer, which it may change.
	between func() error
	garble  func(proto.Message)
	counter [ident.Lanes]ident.Version
	close   func()
}

func newWorld(tb failer, region ident.RegionID) *world {
	tb.Helper()
	w := &world{tb: tb, region: region, top: topologyfile.Default()}
	db, err := pebblestore.Open(pebblestore.Config{Dir: "data", FS: vfs.NewMem(), SweepInterval: -1})
	must(tb, err)
	w.close = func() { _ = db.Close() }
	w.table, w.replica, w.regional = db.Table("home"), db.Table("replica"), db.Table("regional")
	user := (&profilev1.User{}).ProtoReflect().Descriptor()
	catalog, err := residency.NewCatalog(user)
	must(tb, err)
	home, _ := w.top.Index(frankfurt)
	standby, _ := w.top.Index(dublin)
	w.dir = &directory{classes: catalog.Classes(), tenant: routing.Tenant{
		Home: home, Standby: standby, Epoch: 1, State: uint8(tenancyv1.TenantState_TENANT_STATE_ACTIVE),
		Projections: uint8(tenancyv1.Projections_PROJECTIONS_EVERYWHERE),
	}}
	w.maker = &replication.Maker{Table: w.table, Catalog: catalog}
	w.applier, err = replication.NewApplier(replication.ApplierConfig{
		Region: region, Topology: w.top, Replica: w.replica, Regional: w.regional, Directory: w.dir, Classes: catalog.Classes(), Sender: w.dir,
		Clock: time.Now,
	})
	must(tb, err)
	w.source, err = NewSource(SourceConfig{
		Region: frankfurt, Topology: w.top, Table: w.table, Directory: w.dir, Entities: []protoreflect.MessageDescriptor{user},
		Fitter: catalog, Maker: w.maker,
	})
	must(tb, err)
	w.reconcile(w.applier, Tuning{Settle: time.Nanosecond})
	return w
}

// reconcile makes the reconciler.
func (w *world) reconcile(target Target, tuning Tuning) {
	var err error
	w.rec, err = New(Config{
		Region: w.region, Topology: w.top, Tenants: w.dir, Replica: w.replica, Regional: w.regional, Target: target, Tuning: tuning,
		Home: func(ident.RegionID) Home { return wire{w} }, Watch: w.applier.Watch,
	})
	must(w.tb, err)
}

func must(tb failer, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// wire is the way to the home.
type wire struct{ w *world }

func (h wire) Digest(ctx context.Context, r *peerv1.DigestRequest) (*peerv1.DigestResponse, error) {
	if err := h.ask(); err != nil {
		return nil, err
	}
	out, err := h.w.source.Digest(ctx, h.w.region, r)
	return out, h.answer(out, err)
}

func (h wire) Fetch(ctx context.Context, r *peerv1.FetchRequest) (*peerv1.FetchResponse, error) {
	if err := h.ask(); err != nil {
		return nil, err
	}
	out, err := h.w.source.Fetch(ctx, h.w.region, r)
	return out, h.answer(out, err)
}

func (h wire) ask() error {
	if h.w.between == nil {
		return nil
	}
	return h.w.between()
}

func (h wire) answer(m proto.Message, err error) error {
	if err == nil && h.w.garble != nil {
		h.w.garble(m)
	}
	if err == nil && h.w.between != nil {
		return h.w.between()
	}
	return err
}

// userID is the id of the n-th user.
func userID(n int) string { return fmt.Sprintf("usr_%026d", n) }

// inLane returns the numbers of the first n users of a lane.
func inLane(lane ident.Lane, n int) []int {
	var all []int
	for i := 0; len(all) < n; i++ {
		if keyspace.LaneOf(userID(i)) == lane {
			all = append(all, i)
		}
	}
	return all
}

func lane0(feed replicationv1.Feed) *replicationv1.Stream {
	return &replicationv1.Stream{Tenant: string(acme), Feed: feed, Origin: string(frankfurt)}
}

const (
	projections = replicationv1.Feed_FEED_PROJECTIONS
	copiesFeed  = replicationv1.Feed_FEED_STANDBY
)

// write changes or deletes users at home, as a home does: one commit for each lane's batch.
func (w *world) write(deleted bool, users ...int) {
	w.tb.Helper()
	for chunk := range slices.Chunk(users, 30) {
		var ops []store.Op
		touched := make(map[ident.Lane]bool)
		for _, n := range chunk {
			id := userID(n)
			lane := keyspace.LaneOf(id)
			touched[lane] = true
			w.counter[lane] = ident.Version{Epoch: w.dir.tenant.Epoch, Seq: w.counter[lane].Seq + 1}
			at := w.counter[lane]
			ops = append(ops, w.put(keyspace.Outbox(acme, lane, at.Seq), at, &storagev1.OutboxRecord{Entity: userType, Id: id, Deleted: deleted}))
			if deleted {
				ops = append(ops, store.Op{Kind: store.Delete, Item: store.Item{Key: keyspace.Entity(acme, id)}})
				continue
			}
			clearPart, err := proto.Marshal(&profilev1.User{Id: id, Handle: fmt.Sprintf("v%d", at.Seq), Locale: "de-DE"})
			must(w.tb, err)
			ops = append(ops, w.put(keyspace.Entity(acme, id), at, &storagev1.Entity{Clear: clearPart}))
		}
		for lane := range touched {
			ops = append(ops, w.put(keyspace.Counter(acme, lane), w.counter[lane], nil))
		}
		must(w.tb, w.table.Commit(context.Background(), store.Commit{Ops: ops}))
	}
}

func (w *world) put(key store.Key, at ident.Version, value proto.Message) store.Op {
	raw, err := proto.Marshal(value)
	must(w.tb, err)
	return store.Op{Kind: store.Put, Item: store.Item{
		Key: key, Version: at, Value: raw, Tag: store.Tag{Tenant: acme, Class: store.ClassGlobal, Jurisdiction: "EU"},
	}}
}

// deliver brings the event of a position of lane 0 to the region, as it is told now.
func (w *world) deliver(feed replicationv1.Feed, seq ident.Seq) {
	w.tb.Helper()
	ctx := context.Background()
	item, err := w.table.Get(ctx, keyspace.Outbox(acme, 0, seq))
	must(w.tb, err)
	s := lane0(feed)
	region, _ := w.top.Index(w.region)
	events, err := w.maker.Events(ctx, s, replication.GrantOf(w.top, w.dir.tenant, region), item)
	must(w.tb, err)
	for _, e := range events {
		w.take(e)
	}
}

// open tells the region that lane 0 begins.
func (w *world) open(feed replicationv1.Feed) {
	w.take(&replicationv1.Event{Stream: lane0(feed), Epoch: 1, What: &replicationv1.Event_Open{Open: &replicationv1.Open{}}})
}

func (w *world) take(e *replicationv1.Event) {
	w.tb.Helper()
	body, err := proto.Marshal(&replicationv1.Envelope{Content: &replicationv1.Envelope_Event{Event: e}})
	must(w.tb, err)
	for _, v := range w.applier.Apply(context.Background(), []queue.Message{{ID: "m", Group: "g", Body: body}}) {
		if v.Outcome != replication.Done {
			w.tb.Fatalf("an event was not applied: %v", v.Err)
		}
	}
}

// copied is the table that a feed's copies are in.
func (w *world) copied(feed replicationv1.Feed) store.Store {
	if feed == copiesFeed {
		return w.regional
	}
	return w.replica
}

// spoil changes the region's copy behind everybody's back.
func (w *world) spoil(feed replicationv1.Feed, op store.Op) {
	w.tb.Helper()
	must(w.tb, w.copied(feed).Commit(context.Background(), store.Commit{Ops: []store.Op{op}}))
}

// entities returns what a table has of lane 0: version and handle by id.
func (w *world) entities(table store.Store) map[string]string {
	w.tb.Helper()
	all := make(map[string]string)
	from, to := keyspace.Entities("", "")
	for more := true; more; {
		page, err := table.Query(context.Background(), store.Query{Partition: keyspace.Lane(acme, 0), From: from, To: to})
		must(w.tb, err)
		for _, item := range page.Items {
			var clearPart []byte
			if table == w.replica {
				var r storagev1.Replica
				must(w.tb, proto.Unmarshal(item.Value, &r))
				clearPart = r.GetClear()
			} else {
				var e storagev1.Entity
				must(w.tb, proto.Unmarshal(item.Value, &e))
				clearPart = e.GetClear()
			}
			var user profilev1.User
			must(w.tb, proto.Unmarshal(clearPart, &user))
			all[strings.TrimPrefix(item.Key.Sort, keyspace.EntityPrefix)] = fmt.Sprint(item.Version, user.GetHandle())
			from = item.Key.Sort + "\x00"
		}
		more = page.More
	}
	return all
}

// watermark is how far the region is in lane 0.
func (w *world) watermark(feed replicationv1.Feed) replication.Lane {
	w.tb.Helper()
	l, err := replication.ReadLane(context.Background(), w.copied(feed), acme, feed, frankfurt, 0)
	must(w.tb, err)
	return l
}

// outboxID is the id of the entity that an outbox record deleted; empty when it did not.
func outboxID(tb failer, item store.Item) string {
	var record storagev1.OutboxRecord
	must(tb, proto.Unmarshal(item.Value, &record))
	if !record.GetDeleted() {
		return ""
	}
	return record.GetId()
}

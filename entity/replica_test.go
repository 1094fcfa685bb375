package entity_test

import (
	"context"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/domicile-api/domicile/entity"
	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	policyv1 "github.com/domicile-api/domicile/gen/domicile/policy/v1"
	profilev1 "github.com/domicile-api/domicile/gen/domicile/profile/v1"
	storagev1 "github.com/domicile-api/domicile/gen/domicile/storage/v1"
	"github.com/domicile-api/domicile/internal/call"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/keyspace"
	"github.com/domicile-api/domicile/internal/seal"
	"github.com/domicile-api/domicile/internal/store"
)

// lanes answers for every lane but the closed one.
type lanes struct {
	highest ident.Version
	closed  ident.Lane
	isOpen  bool
}

func (l lanes) Highest(_ context.Context, _ ident.TenantID, _ ident.RegionID, lane ident.Lane) (ident.Version, bool, error) {
	return l.highest, l.isOpen || lane != l.closed, nil
}

// away is a world whose tenants are at home in another region, and a call of one.
func away(t *testing.T, l lanes) (*world, store.Store, func() (context.Context, *call.Call)) {
	t.Helper()
	w := memory(t)
	replica := openMemory(t)("replica")
	engine, users := newEngineWith(t, w.table, w.ring, &entity.Replica{Table: replica, Lanes: l})
	w.engine, w.users = engine, users
	return w, replica, func() (context.Context, *call.Call) {
		ctx, c := callOf(acme)
		c.Home = "us-east-1"
		return ctx, c
	}
}

func putReplica(t *testing.T, table store.Store, id string, v ident.Version, value *storagev1.Replica) {
	t.Helper()
	raw, err := proto.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	err = table.Commit(t.Context(), store.Commit{Ops: []store.Op{{Kind: store.Put, Item: store.Item{
		Key: keyspace.Entity(acme, id), Version: v, Tag: store.Tag{Tenant: acme, Class: store.ClassGlobal, Jurisdiction: "US"}, Value: raw,
	}}}})
	if err != nil {
		t.Fatal(err)
	}
}

func clearPart(t *testing.T, id, handle string) []byte {
	t.Helper()
	raw, err := proto.Marshal(&profilev1.UserSummary{Id: id, Handle: handle})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

const (
	idA = "usr_01h455vb4pex5vsknk084sn02q"
	idB = "usr_01h2xcejqtf2nbrexx3vqjhp41"
)

func TestReplicaAnswersProjections(t *testing.T) {
	t.Parallel()
	w, replica, newCall := away(t, lanes{highest: ident.Version{Epoch: 1, Seq: 9}, isOpen: true})
	putReplica(t, replica, idA, ident.Version{Epoch: 1, Seq: 4}, &storagev1.Replica{Scope: policyv1.Scope_SCOPE_GLOBAL, Clear: clearPart(t, idA, "ada")})
	putReplica(t, replica, idB, ident.Version{Epoch: 1, Seq: 5}, &storagev1.Replica{Deleted: true})
	ctx, c := newCall()
	got, err := entity.GetProjection[*profilev1.UserSummary](ctx, w.users, idA)
	if err != nil {
		t.Fatal(err)
	}
	want := &profilev1.UserSummary{Id: idA, Handle: "ada", Etag: got.GetEtag()}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" || got.GetEtag() == "" {
		t.Errorf("the summary (-want +got):\n%s", diff)
	}
	if c.NotHere || c.Seen.Epoch != 1 || c.Seen.Lanes[keyspace.LaneOf(idA)] != 9 {
		t.Errorf("not here %t, seen %+v; what is applied beyond the item was seen too", c.NotHere, c.Seen)
	}
	ctx, c = newCall()
	if _, err := entity.GetProjection[*profilev1.UserSummary](ctx, w.users, idB); !fault.Is(err, errorsv1.Reason_REASON_NOT_FOUND) || c.NotHere {
		t.Errorf("a deleted user: %v, not here %t", err, c.NotHere)
	}
	ctx, c = newCall()
	all, next, err := entity.ListProjections[*profilev1.UserSummary](ctx, w.users, entity.Page{})
	if err != nil || next != "" || len(all) != 1 || all[0].GetId() != idA || c.NotHere {
		t.Errorf("listed %v %q %v, not here %t", all, next, err, c.NotHere)
	}
	for lane, seq := range c.Seen.Lanes {
		if seq != 9 {
			t.Errorf("lane %d is seen up to %d", lane, seq)
		}
	}
}

func TestReplicaOpensRegionalFields(t *testing.T) {
	t.Parallel()
	w, replica, newCall := away(t, lanes{highest: ident.Version{Epoch: 1, Seq: 4}, isOpen: true})
	if err := w.ring.Provision(t.Context(), acme, 1, []ident.RegionID{region}); err != nil {
		t.Fatal(err)
	}
	plain, err := proto.Marshal(&profilev1.UserRecord{RegulatedNote: "note"})
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := w.ring.Seal(t.Context(), seal.Bind{Tenant: acme, Type: keyspace.SealType("domicile.profile.v1.User"), ID: idA}, plain)
	if err != nil {
		t.Fatal(err)
	}
	putReplica(t, replica, idA, ident.Version{Epoch: 1, Seq: 4}, &storagev1.Replica{
		Scope: policyv1.Scope_SCOPE_JURISDICTION, Clear: clearPart(t, idA, "ada"), Sealed: sealed,
	})
	ctx, _ := newCall()
	got, err := entity.GetProjection[*profilev1.UserRecord](ctx, w.users, idA)
	if err != nil || got.GetRegulatedNote() != "note" || got.GetHandle() != "ada" {
		t.Errorf("got %v, %v", got, err)
	}
	ctx, _ = newCall()
	if got, err := entity.GetProjection[*profilev1.UserSummary](ctx, w.users, idA); err != nil || got.GetHandle() != "ada" {
		t.Errorf("the smaller projection of it: %v, %v", got, err)
	}
}

// What a replica cannot answer goes home; nothing of it is answered here.
func TestReplicaSendsHome(t *testing.T) {
	t.Parallel()
	v := ident.Version{Epoch: 1, Seq: 4}
	global := &storagev1.Replica{Scope: policyv1.Scope_SCOPE_GLOBAL, Clear: clearPart(t, idA, "ada")}
	summary := func(ctx context.Context, w *world) error {
		_, err := entity.GetProjection[*profilev1.UserSummary](ctx, w.users, idA)
		return err
	}
	list := func(ctx context.Context, w *world) error {
		_, _, err := entity.ListProjections[*profilev1.UserSummary](ctx, w.users, entity.Page{})
		return err
	}
	tests := map[string]struct {
		lanes lanes
		item  *storagev1.Replica
		read  func(context.Context, *world) error
	}{
		"an entity that is not there":       {lanes{isOpen: true}, nil, summary},
		"a lane that is behind":             {lanes{closed: keyspace.LaneOf(idA)}, global, summary},
		"a list with a lane that is behind": {lanes{closed: 7}, global, list},
		"an entity that was refused":        {lanes{isOpen: true}, &storagev1.Replica{Withheld: true}, summary},
		"a list with one that was refused":  {lanes{isOpen: true}, &storagev1.Replica{Withheld: true}, list},
		"a projection larger than what is here": {lanes{isOpen: true}, global, func(ctx context.Context, w *world) error {
			_, err := entity.GetProjection[*profilev1.UserRecord](ctx, w.users, idA)
			return err
		}},
		"a whole entity": {lanes{isOpen: true}, global, func(ctx context.Context, w *world) error {
			_, err := w.users.Get(ctx, idA)
			return err
		}},
		"a list of whole entities": {lanes{isOpen: true}, global, func(ctx context.Context, w *world) error {
			_, _, err := w.users.List(ctx, entity.Page{})
			return err
		}},
		"a look-up": {lanes{isOpen: true}, global, func(ctx context.Context, w *world) error {
			_, err := w.users.Lookup(ctx, "email", "a@b.example")
			return err
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, replica, newCall := away(t, tt.lanes)
			if tt.item != nil {
				putReplica(t, replica, idA, v, tt.item)
			}
			ctx, c := newCall()
			if err := tt.read(ctx, w); err == nil || !c.NotHere {
				t.Errorf("got %v, not here %t", err, c.NotHere)
			}
		})
	}
}

// At home, what a call shows is what its token will cover, by whatever it shows it: also that something is gone, or not so.
func TestHomeNotesWhatItShows(t *testing.T) {
	t.Parallel()
	w := memory(t)
	made := w.mustCreate(as(acme), user("ada"))
	gone := w.mustCreate(as(acme), user("bob"))
	if err := w.remove(as(acme), gone.GetId(), ""); err != nil {
		t.Fatal(err)
	}
	newest := func(id string) ident.Seq {
		item, err := w.table.Get(t.Context(), keyspace.Counter(acme, keyspace.LaneOf(id)))
		if err != nil {
			t.Fatal(err)
		}
		return item.Version.Seq
	}
	ofMade, ofGone := newest(made.GetId()), newest(gone.GetId())
	if keyspace.LaneOf(made.GetId()) == keyspace.LaneOf(gone.GetId()) {
		ofMade = 1 // a read shows the entity's own version, not what was written to the lane since
	}
	both := []*profilev1.User{made, gone}
	tests := map[string]struct {
		read   func(context.Context) error
		reason errorsv1.Reason
		sees   []*profilev1.User
	}{
		"a read": {func(ctx context.Context) error {
			_, err := w.users.Get(ctx, made.GetId())
			return err
		}, 0, both[:1]},
		"a read of a projection": {func(ctx context.Context) error {
			_, err := entity.GetProjection[*profilev1.UserSummary](ctx, w.users, made.GetId())
			return err
		}, 0, both[:1]},
		"a read of what is gone": {func(ctx context.Context) error {
			_, err := w.users.Get(ctx, gone.GetId())
			return err
		}, errorsv1.Reason_REASON_NOT_FOUND, both[1:]},
		"a read of a projection of what is gone": {func(ctx context.Context) error {
			_, err := entity.GetProjection[*profilev1.UserSummary](ctx, w.users, gone.GetId())
			return err
		}, errorsv1.Reason_REASON_NOT_FOUND, both[1:]},
		"a list": {func(ctx context.Context) error {
			_, _, err := w.users.List(ctx, entity.Page{})
			return err
		}, 0, both},
		"a list of projections": {func(ctx context.Context) error {
			_, _, err := entity.ListProjections[*profilev1.UserSummary](ctx, w.users, entity.Page{})
			return err
		}, 0, both},
		"a look-up": {func(ctx context.Context) error {
			_, err := w.users.Lookup(ctx, "email", "ada@example.org")
			return err
		}, 0, both[:1]},
		"a look-up of a value that was given up": {func(ctx context.Context) error {
			_, err := w.users.Lookup(ctx, "email", "bob@example.org")
			return err
		}, errorsv1.Reason_REASON_NOT_FOUND, both},
		"a change of what is gone": {func(ctx context.Context) error {
			_, err := w.update(ctx, gone.GetId(), "", func(*profilev1.User) {})
			return err
		}, errorsv1.Reason_REASON_NOT_FOUND, both[1:]},
		"a removal of what is gone": {func(ctx context.Context) error { return w.remove(ctx, gone.GetId(), "") },
			errorsv1.Reason_REASON_NOT_FOUND, both[1:]},
		"a change of what has changed": {func(ctx context.Context) error {
			_, err := w.update(ctx, made.GetId(), "another", func(*profilev1.User) {})
			return err
		}, errorsv1.Reason_REASON_ETAG_MISMATCH, both[:1]},
		"a value that another has": {func(ctx context.Context) error {
			_, err := w.create(ctx, user("ada"))
			return err
		}, errorsv1.Reason_REASON_ALREADY_EXISTS, both},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, c := callOf(acme)
			if err := tt.read(ctx); fault.ReasonOf(err) != tt.reason || tt.reason == 0 && err != nil {
				t.Fatalf("got %v, want %s", err, tt.reason)
			}
			for _, u := range tt.sees {
				want := ofMade
				if u == gone {
					want = ofGone
				}
				if got := c.Seen.Lanes[keyspace.LaneOf(u.GetId())]; c.Seen.Epoch != 1 || got < want {
					t.Errorf("%s: seen up to %d, not %d", u.GetGivenName(), got, want)
				}
			}
		})
	}
}

// pages lists all summaries, each page by the next of the calls.
func pages(t *testing.T, w *world, size int32, next func() context.Context) (ids []string, sizes []int) {
	t.Helper()
	page := entity.Page{Size: size}
	for {
		found, token, err := entity.ListProjections[*profilev1.UserSummary](next(), w.users, page)
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range found {
			ids = append(ids, u.GetId())
		}
		sizes = append(sizes, len(found))
		if page.Token = token; token == "" {
			return ids, sizes
		}
	}
}

// A list that was begun in one region goes on in another, and shows each entity once, with one etag, whatever lies deleted in between.
func TestListGoesOnInAnotherRegion(t *testing.T) {
	t.Parallel()
	w, replica, newCall := away(t, lanes{highest: ident.Version{Epoch: 1, Seq: 99}, isOpen: true})
	var want []string
	for i := range 40 {
		u := w.mustCreate(as(acme), user(strconv.Itoa(i)))
		item, err := w.table.Get(t.Context(), keyspace.Entity(acme, u.GetId()))
		if err != nil {
			t.Fatal(err)
		}
		if i%3 == 0 || i >= 30 {
			if err := w.remove(as(acme), u.GetId(), ""); err != nil {
				t.Fatal(err)
			}
			putReplica(t, replica, u.GetId(), ident.Version{Epoch: 1, Seq: item.Version.Seq + 50}, &storagev1.Replica{Deleted: true})
			continue
		}
		want = append(want, u.GetId())
		putReplica(t, replica, u.GetId(), item.Version, &storagev1.Replica{Scope: policyv1.Scope_SCOPE_GLOBAL, Clear: clearPart(t, u.GetId(), "handle")})
	}
	slices.Sort(want)
	here := func() context.Context {
		ctx, _ := newCall()
		return ctx
	}
	home := func() context.Context { return as(acme) }
	calls := 0
	turns := map[string]func() context.Context{"home": home, "replica": here, "by turns": func() context.Context {
		if calls++; calls%2 == 0 {
			return home()
		}
		return here()
	}}
	for name, next := range turns {
		for _, size := range []int32{1, 3, 4, 20, 100} {
			got, sizes := pages(t, w, size, next)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s, pages of %d (-want +got):\n%s", name, size, diff)
			}
			if n := (len(want) + int(size) - 1) / int(size); len(sizes) != n {
				t.Errorf("%s, pages of %d: %v, want %d pages", name, size, sizes, n)
			}
		}
	}
	for _, id := range want {
		a, err := entity.GetProjection[*profilev1.UserSummary](home(), w.users, id)
		if err != nil {
			t.Fatal(err)
		}
		b, err := entity.GetProjection[*profilev1.UserSummary](here(), w.users, id)
		if err != nil || a.GetEtag() != b.GetEtag() {
			t.Errorf("%s has the etag %q at home and %q here, %v", id, a.GetEtag(), b.GetEtag(), err)
		}
	}
}

// An entity that was refused sends home the page that it is on, and no other; what a page cannot show is not returned in part.
func TestListUpToARefusedEntity(t *testing.T) {
	t.Parallel()
	w, replica, newCall := away(t, lanes{highest: ident.Version{Epoch: 1, Seq: 9}, isOpen: true})
	first, second := idB, idA // in the order of ids
	putReplica(t, replica, first, ident.Version{Epoch: 1, Seq: 4}, &storagev1.Replica{Scope: policyv1.Scope_SCOPE_GLOBAL, Clear: clearPart(t, first, "ada")})
	putReplica(t, replica, second, ident.Version{Epoch: 1, Seq: 5}, &storagev1.Replica{Withheld: true})
	ctx, c := newCall()
	found, next, err := entity.ListProjections[*profilev1.UserSummary](ctx, w.users, entity.Page{Size: 1})
	if err != nil || len(found) != 1 || next == "" || c.NotHere {
		t.Fatalf("the first page: %v %q %v, not here %t", found, next, err, c.NotHere)
	}
	ctx, c = newCall()
	found, next, err = entity.ListProjections[*profilev1.UserSummary](ctx, w.users, entity.Page{Size: 1, Token: next})
	if err == nil || found != nil || next != "" || !c.NotHere {
		t.Errorf("the second page: %v %q %v, not here %t", found, next, err, c.NotHere)
	}
	// A lane that closes after the rows were read takes them back.
	w, replica, newCall = away(t, lanes{closed: 5})
	putReplica(t, replica, first, ident.Version{Epoch: 1, Seq: 4}, &storagev1.Replica{Scope: policyv1.Scope_SCOPE_GLOBAL, Clear: clearPart(t, first, "ada")})
	ctx, c = newCall()
	found, next, err = entity.ListProjections[*profilev1.UserSummary](ctx, w.users, entity.Page{})
	if err == nil || found != nil || next != "" || !c.NotHere {
		t.Errorf("with a closed lane: %v %q %v, not here %t", found, next, err, c.NotHere)
	}
}

// A region that has no copy, or no key for what is sealed, sends home too.
func TestReplicaThatIsNotThereSendsHome(t *testing.T) {
	t.Parallel()
	w := memory(t)
	ctx, c := callOf(acme)
	c.Home = "us-east-1"
	if _, err := entity.GetProjection[*profilev1.UserSummary](ctx, w.users, idA); err == nil || !c.NotHere {
		t.Errorf("without a replica: %v, not here %t", err, c.NotHere)
	}
	w, replica, newCall := away(t, lanes{isOpen: true})
	elsewhere := newRing(t, openMemory(t)("keys"))
	if err := elsewhere.Provision(t.Context(), acme, 1, []ident.RegionID{region}); err != nil {
		t.Fatal(err)
	}
	sealed, err := elsewhere.Seal(t.Context(), seal.Bind{Tenant: acme, Type: keyspace.SealType("domicile.profile.v1.User"), ID: idA}, nil)
	if err != nil {
		t.Fatal(err)
	}
	putReplica(t, replica, idA, ident.Version{Epoch: 1, Seq: 4}, &storagev1.Replica{
		Scope: policyv1.Scope_SCOPE_JURISDICTION, Clear: clearPart(t, idA, "ada"), Sealed: sealed,
	})
	ctx, c = newCall()
	if _, err := entity.GetProjection[*profilev1.UserRecord](ctx, w.users, idA); err == nil || !c.NotHere {
		t.Errorf("without the key: %v, not here %t", err, c.NotHere)
	}
}

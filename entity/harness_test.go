package entity_test

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/domicile-api/domicile/entity"
	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	profilev1 "github.com/domicile-api/domicile/gen/domicile/profile/v1"
	"github.com/domicile-api/domicile/internal/call"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/idempotency"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/seal"
	"github.com/domicile-api/domicile/internal/seal/local"
	"github.com/domicile-api/domicile/internal/store"
)

const (
	region       = ident.RegionID("eu-central-1")
	jurisdiction = ident.Jurisdiction("EU")
	acme         = ident.TenantID("acme-eu")
	other        = ident.TenantID("bank-eu")
	// busyLane is the lane of tests whose entities must share one.
	busyLane = ident.Lane(3)
)

var start = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)

// world is a region's engine over a real store and real keys.
type world struct {
	tb      testing.TB
	table   store.Store // the regional table, undecorated
	ring    *seal.Keyring
	engine  *entity.Engine
	users   *entity.Repository[*profilev1.User]
	records *idempotency.Records
}

// newWorld makes a world over tables; decorate may put something between the engine and its table.
func newWorld(tb testing.TB, tables func(name string) store.Store, decorate func(store.Store) store.Store, tuning entity.Tuning) *world {
	tb.Helper()
	w := &world{tb: tb, table: tables("regional"), ring: newRing(tb, tables("keys"))}
	w.start(decorate, tuning)
	return w
}

// start begins a process: an engine that knows nothing of what an earlier one remembered.
func (w *world) start(decorate func(store.Store) store.Store, tuning entity.Tuning) {
	w.tb.Helper()
	table := w.table
	if decorate != nil {
		table = decorate(table)
	}
	w.engine, w.users = newEngine(w.tb, table, w.ring, tuning)
	w.records = idempotency.New(idempotency.Config{Store: table, Sealer: w.ring, Jurisdiction: jurisdiction, Clock: time.Now})
}

func newEngine(tb testing.TB, table store.Store, ring *seal.Keyring, tuning entity.Tuning) (*entity.Engine, *entity.Repository[*profilev1.User]) {
	tb.Helper()
	return engineOf(tb, entity.Config{Store: table, Tuning: tuning}, ring)
}

// newEngineWith is newEngine in a region that has a replica.
func newEngineWith(tb testing.TB, table store.Store, ring *seal.Keyring, replica *entity.Replica) (*entity.Engine, *entity.Repository[*profilev1.User]) {
	tb.Helper()
	return engineOf(tb, entity.Config{Store: table, Replica: replica}, ring)
}

func engineOf(tb testing.TB, cfg entity.Config, ring *seal.Keyring) (*entity.Engine, *entity.Repository[*profilev1.User]) {
	tb.Helper()
	engine, err := entity.NewEngine(entity.Config{
		Store: cfg.Store, Tuning: cfg.Tuning, Replica: cfg.Replica, Sealer: ring, Pages: pageKeys{}, Region: region, Jurisdiction: jurisdiction,
		Clock: time.Now, Rand: rand.Reader,
		EnsureKey: func(ctx context.Context, tenant ident.TenantID) error {
			return ring.Provision(ctx, tenant, 1, []ident.RegionID{region})
		},
	})
	if err != nil {
		tb.Fatal(err)
	}
	users, err := entity.New[*profilev1.User](engine)
	if err != nil {
		tb.Fatal(err)
	}
	return engine, users
}

func newRing(tb testing.TB, keys store.Store) *seal.Keyring {
	tb.Helper()
	wrapper, err := local.Open(tb.TempDir(), region)
	if err != nil {
		tb.Fatal(err)
	}
	return seal.NewKeyring(seal.KeyringConfig{Region: region, Jurisdiction: jurisdiction, Keys: keys, Wrapper: wrapper, Clock: time.Now})
}

// memory is newWorld in memory, over one process's life.
func memory(tb testing.TB) *world {
	tb.Helper()
	return newWorld(tb, openMemory(tb), nil, entity.Tuning{})
}

// callOf returns a context as the guard makes it for a tenant's call.
func callOf(tenant ident.TenantID) (context.Context, *call.Call) {
	c := &call.Call{
		Procedure: "/domicile.profile.v1.ProfileService/Test", Tenant: tenant, Epoch: 1, Home: region,
		Jurisdiction: jurisdiction, Region: region, Edge: region, Principal: call.Principal{Kind: call.TenantKey, KeyID: "k1"},
	}
	return call.With(context.Background(), c), c
}

func as(tenant ident.TenantID) context.Context {
	ctx, _ := callOf(tenant)
	return ctx
}

// keyed is callOf for a mutation with an idempotency key.
func keyed(tenant ident.TenantID, key, request string) (context.Context, *call.Call) {
	ctx, c := callOf(tenant)
	c.Operation = &call.Operation{
		KeyHash: sha256.Sum256([]byte(string(tenant) + "\x00" + key)), RequestHash: sha256.Sum256([]byte(request)),
	}
	return ctx, c
}

// answered does what the platform's interceptor does around a mutation: it replays before, and before it answers a failure.
func answered[R proto.Message](
	ctx context.Context, replayer idempotency.Replayer, c *call.Call, empty R, handle func(context.Context) (R, error),
) (R, error) {
	replay := func() (R, bool, error) {
		raw, found, err := replayer.Replay(ctx, c)
		if err != nil || !found {
			return empty, false, err
		}
		return empty, true, proto.Unmarshal(raw, empty)
	}
	if r, found, err := replay(); found || err != nil {
		return r, err
	}
	r, err := handle(ctx)
	if err == nil {
		return r, nil
	}
	if r, found, again := replay(); found || again != nil {
		return r, again
	}
	return r, err
}

func (w *world) create(ctx context.Context, u *profilev1.User) (*profilev1.User, error) {
	return entity.Create(ctx, w.users, u, itself)
}

func (w *world) mustCreate(ctx context.Context, u *profilev1.User) *profilev1.User {
	w.tb.Helper()
	made, err := w.create(ctx, u)
	if err != nil {
		w.tb.Fatalf("creating: %v", err)
	}
	return made
}

func (w *world) update(ctx context.Context, id, etag string, apply func(*profilev1.User)) (*profilev1.User, error) {
	return entity.Update(ctx, w.users, id, entity.Change[*profilev1.User]{Etag: etag, Apply: func(u *profilev1.User) error {
		apply(u)
		return nil
	}}, itself)
}

func (w *world) remove(ctx context.Context, id, etag string) error {
	_, err := entity.Delete(ctx, w.users, id, etag, itself)
	return err
}

// createInLane creates users of acme until n of them are in busyLane, and returns those.
func (w *world) createInLane(n int) []*profilev1.User {
	w.tb.Helper()
	var found []*profilev1.User
	for i := 0; len(found) < n; i++ {
		if u := w.mustCreate(as(acme), user(fmt.Sprint("in-lane", i))); entity.LaneOf(u.GetId()) == busyLane {
			found = append(found, u)
		}
	}
	return found
}

func itself(u *profilev1.User) *profilev1.User { return u }

func user(name string) *profilev1.User {
	return &profilev1.User{
		GivenName: "Given " + name, FamilyName: "Family " + name, Email: name + "@example.org", Locale: "de-DE",
		Phone: "+4969123456", RegulatedNote: "note of " + name, Handle: "handle", Role: profilev1.Role_ROLE_MEMBER,
		PostalAddress: &profilev1.PostalAddress{Lines: []string{"Zeil 1"}, Locality: "Frankfurt", Country: "DE"},
	}
}

func wantReason(tb testing.TB, err error, want errorsv1.Reason) {
	tb.Helper()
	_ = wantFault(tb, err, want)
}

func wantFault(tb testing.TB, err error, want errorsv1.Reason) *fault.Error {
	tb.Helper()
	var f *fault.Error
	if !errors.As(err, &f) || f.Reason != want {
		tb.Fatalf("got error %v, want a fault of %v", err, want)
	}
	return f
}

// until yields until the condition holds. What it waits for is sure to come; when it does not, the test's deadline tells.
func until(condition func() bool) {
	for !condition() {
		runtime.Gosched()
	}
}

// pageKeys is one key that never changes.
type pageKeys struct{}

func (pageKeys) MAC(purpose string, data []byte) (uint32, [16]byte, error) {
	mac := hmac.New(sha256.New, []byte("a key of the tests"))
	_, _ = mac.Write([]byte(purpose))
	_, _ = mac.Write(data)
	return 1, [16]byte(mac.Sum(nil)), nil
}

func (k pageKeys) Check(purpose string, data []byte, keyID uint32, mac [16]byte) bool {
	_, want, _ := k.MAC(purpose, data)
	return keyID == 1 && hmac.Equal(want[:], mac[:])
}

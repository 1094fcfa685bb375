package sealtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/seal"
	"github.com/domicile-api/domicile/internal/store"
)

// world is the regions of a test: tables and keys that last, and processes that come and go over them.
type world struct {
	courier *seal.InProcess
	regions map[ident.RegionID]*region
	tenants atomic.Uint64
	commits atomic.Uint64

	mu  sync.Mutex
	now time.Time
}

// region is what outlives a process.
type region struct {
	keys    store.Store
	wrapper *countingWrapper
}

func newWorld(t testing.TB, f Fixture) *world {
	t.Helper()
	w := &world{
		courier: seal.NewInProcess(),
		regions: make(map[ident.RegionID]*region),
		now:     time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC),
	}
	for _, id := range []ident.RegionID{home, standby, third, foreign} {
		w.regions[id] = &region{keys: f.NewKeys(t), wrapper: &countingWrapper{Wrapper: f.NewWrapper(t, id)}}
		w.start(id)
	}
	return w
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// remember spares the regions' keys repeated calls for one wrapped key: some tests restart processes thousands of times.
func (w *world) remember() *world {
	for _, r := range w.regions {
		r.wrapper.Wrapper = &rememberingWrapper{Wrapper: r.wrapper.Wrapper, keysets: make(map[string][]byte)}
	}
	return w
}

// tenant returns a name that no test of this world has had.
func (w *world) tenant() ident.TenantID {
	return ident.TenantID(fmt.Sprintf("tenant-%d", w.tenants.Add(1)))
}

// start starts a process of a region, with nothing in memory, and has deliveries go to it.
func (w *world) start(id ident.RegionID, adjust ...func(*seal.KeyringConfig)) *seal.Keyring {
	r := w.regions[id]
	cfg := seal.KeyringConfig{
		Region: id, Jurisdiction: "EU", Clock: w.clock,
		Keys: hookedStore{r.keys, &w.commits}, Wrapper: hookedWrapper{r.wrapper}, Courier: hookedCourier{w.courier},
	}
	for _, a := range adjust {
		a(&cfg)
	}
	ring := seal.NewKeyring(cfg)
	w.courier.Join(ring)
	return ring
}

// provisioned returns a new tenant with a key, and a process of its home.
func (w *world) provisioned(t testing.TB) (*seal.Keyring, ident.TenantID) {
	t.Helper()
	ring, tenant := w.start(home), w.tenant()
	if err := ring.Provision(t.Context(), tenant, 1, lawful()); err != nil {
		t.Fatalf("Provision: %v", err)
	}
	return ring, tenant
}

// value is something sealed, and what it must open as.
type value struct {
	bind   seal.Bind
	plain  []byte
	sealed []byte
}

// fataler is *testing.T or *rapid.T.
type fataler interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

func sealValue(t fataler, ctx context.Context, ring *seal.Keyring, tenant ident.TenantID) value { //nolint:revive // t first, as in package testing
	t.Helper()
	v, err := trySeal(ctx, ring, tenant)
	if err != nil {
		t.Fatalf("Seal: %v", err)
	}
	return v
}

func trySeal(ctx context.Context, ring *seal.Keyring, tenant ident.TenantID) (value, error) {
	v := value{
		bind:  seal.Bind{Tenant: tenant, Type: "domicile.profile.v1.User", ID: "usr_01jd0000000000000000000000"},
		plain: []byte("canary.person@example.com of " + tenant),
	}
	var err error
	v.sealed, err = ring.Seal(ctx, v.bind, v.plain)
	return v, err
}

func wantOpens(t fataler, ctx context.Context, ring *seal.Keyring, v value) { //nolint:revive // t first, as in package testing
	t.Helper()
	plain, err := ring.Open(ctx, v.bind, v.sealed)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	if !bytes.Equal(plain, v.plain) {
		t.Fatalf("Open gives other bytes than were sealed")
	}
}

func wantError(t fataler, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error %v, want %v", err, want)
	}
}

// countingWrapper counts the calls of a region's own key.
type countingWrapper struct {
	seal.Wrapper

	wraps, unwraps atomic.Int64
}

func (c *countingWrapper) Wrap(ctx context.Context, tenant ident.TenantID, keyset []byte) ([]byte, error) {
	c.wraps.Add(1)
	return c.Wrapper.Wrap(ctx, tenant, keyset)
}

func (c *countingWrapper) Unwrap(ctx context.Context, tenant ident.TenantID, wrapped []byte) ([]byte, error) {
	c.unwraps.Add(1)
	return c.Wrapper.Unwrap(ctx, tenant, wrapped)
}

// rememberingWrapper answers what it has unwrapped before from memory.
type rememberingWrapper struct {
	seal.Wrapper

	mu      sync.Mutex
	keysets map[string][]byte
}

func (r *rememberingWrapper) Unwrap(ctx context.Context, tenant ident.TenantID, wrapped []byte) ([]byte, error) {
	key := string(tenant) + "\x00" + string(wrapped)
	r.mu.Lock()
	keyset, ok := r.keysets[key]
	r.mu.Unlock()
	if ok {
		return bytes.Clone(keyset), nil
	}
	keyset, err := r.Wrapper.Unwrap(ctx, tenant, wrapped)
	if err == nil {
		r.mu.Lock()
		r.keysets[key] = bytes.Clone(keyset)
		r.mu.Unlock()
	}
	return keyset, err
}

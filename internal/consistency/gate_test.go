package consistency_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	"github.com/domicile-api/domicile/internal/consistency"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/routing"
)

// replica is a region's copy of one tenant.
type replica struct {
	mu       sync.Mutex
	have     ident.Positions
	owes     bool
	err      error
	watchers map[chan struct{}]bool
	home     ident.RegionID
}

func (r *replica) Positions(_ context.Context, _ ident.TenantID, home ident.RegionID) (ident.Positions, bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.home = home
	return consistency.Cover(r.have, ident.Positions{}), !r.owes, r.err
}

func (r *replica) Watch(ident.TenantID) (<-chan struct{}, func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.watchers == nil {
		r.watchers = make(map[chan struct{}]bool)
	}
	ch := make(chan struct{}, 1)
	r.watchers[ch] = true
	return ch, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.watchers, ch)
	}
}

func (r *replica) change(fn func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fn()
	for ch := range r.watchers {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}

func acmeRoute(epoch ident.Epoch) routing.Tenant {
	home, _ := topo().Index(frankfurt)
	return routing.Tenant{Home: home, Epoch: epoch}
}

func newGate(t testing.TB, k consistency.Keys, r consistency.Replica, change func(*consistency.GateConfig)) *consistency.Gate {
	t.Helper()
	cfg := consistency.GateConfig{Codec: newCodec(t, k), Topology: topo(), Replica: r}
	if change != nil {
		change(&cfg)
	}
	g, err := consistency.NewGate(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// TestGateWaits is what a client that has just written meets at another region: the replica is asked, waited for as long as the client
// allows, and passed over when it is too late. No answer is given before the replica has what the client has seen.
func TestGateWaits(t *testing.T) {
	t.Parallel()
	needed := lane(1, 3, 10)
	needed.RaiseOrigin(saoPaulo, 4)
	reached := func(r *replica) {
		r.have.Lanes[3] = 10
		r.have.RaiseOrigin(saoPaulo, 4)
	}
	for name, tt := range map[string]struct {
		maxWait string
		after   time.Duration
		do      func(*replica)
		want    bool
		takes   time.Duration
	}{
		"it has caught up":         {"", 0, reached, true, 0},
		"it catches up":            {"", 100 * time.Millisecond, reached, true, 100 * time.Millisecond},
		"it catches up too late":   {"", 300 * time.Millisecond, reached, false, 250 * time.Millisecond},
		"the client gives it time": {"1000", 300 * time.Millisecond, reached, true, 300 * time.Millisecond},
		"the client gives it none": {"0", 10 * time.Millisecond, reached, false, 0},
		"a lane is one short":      {"", 10 * time.Millisecond, func(r *replica) { reached(r); r.have.Lanes[3] = 9 }, false, 250 * time.Millisecond},
		"an origin is one short":   {"", 10 * time.Millisecond, func(r *replica) { reached(r); r.have.Origins[saoPaulo] = 3 }, false, 250 * time.Millisecond},
		"an older ownership":       {"", 10 * time.Millisecond, func(r *replica) { reached(r); r.have.Epoch = 0 }, false, 250 * time.Millisecond},
		"a newer ownership":        {"", 10 * time.Millisecond, func(r *replica) { reached(r); r.have.Epoch = 2 }, false, 10 * time.Millisecond},
		"a repair is owed":         {"", 10 * time.Millisecond, func(r *replica) { reached(r); r.owes = true }, false, 10 * time.Millisecond},
		"the replica fails":        {"", 10 * time.Millisecond, func(r *replica) { reached(r); r.err = errors.New("disk") }, false, 10 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := &replica{have: ident.Positions{Epoch: 1}}
				k := newKeys(1)
				g := newGate(t, k, r, nil)
				h := headers(mint(t, newCodec(t, k), acme, needed))
				if tt.maxWait != "" {
					h.Set(consistency.HeaderMaxWait, tt.maxWait)
				}
				if tt.after == 0 {
					r.change(func() { tt.do(r) })
				} else {
					time.AfterFunc(tt.after, func() { r.change(func() { tt.do(r) }) })
					time.AfterFunc(tt.after/2, func() { r.change(func() { r.have.Lanes[0]++ }) })
				}
				begin := time.Now()
				ok, err := g.Admit(t.Context(), acme, acmeRoute(1), h)
				if err != nil || ok != tt.want || time.Since(begin) != tt.takes {
					t.Errorf("%v, %v after %v; want %v after %v", ok, err, time.Since(begin), tt.want, tt.takes)
				}
				if r.home != frankfurt || len(r.watchers) > 0 {
					t.Errorf("asked about %s, %d watches are left", r.home, len(r.watchers))
				}
				time.Sleep(time.Second) // Let the timers end.
			})
		})
	}
}

// TestGateCallerLeaves ends the wait with the caller.
func TestGateCallerLeaves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newKeys(1)
		g := newGate(t, k, &replica{have: ident.Positions{Epoch: 1}}, nil)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		ok, err := g.Admit(ctx, acme, acmeRoute(1), headers(mint(t, newCodec(t, k), acme, lane(1, 0, 1))))
		if ok || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v, %v", ok, err)
		}
	})
}

// TestGateDecides has the cases without a wait.
func TestGateDecides(t *testing.T) {
	t.Parallel()
	k := newKeys(1, 2)
	c := newCodec(t, k)
	unknown := mint(t, c, acme, lane(1, 0, 1))
	delete(k.states, 2)
	token, old := mint(t, c, acme, lane(2, 0, 5)), mint(t, c, acme, lane(1, 0, 50))
	age := func(age time.Duration, known bool) func(*consistency.GateConfig) {
		return func(cfg *consistency.GateConfig) {
			cfg.Staleness = func(ident.TenantID) (time.Duration, bool) { return age, known }
		}
	}
	streams := func(s consistency.Streams) func(*consistency.GateConfig) {
		return func(cfg *consistency.GateConfig) { cfg.Streams = s }
	}
	takeover := func(cfg *consistency.GateConfig) {
		cfg.History = func(ident.TenantID, routing.Tenant) consistency.History {
			return consistency.History{Present: 2, Takeovers: []consistency.Takeover{{Epoch: 2, Bases: [ident.Lanes]ident.Seq{49}}}}
		}
	}
	var settings ident.Positions
	settings.RaiseOrigin(saoPaulo, 9)
	elsewhere := mint(t, c, acme, settings)
	at := func(epoch ident.Epoch, seq ident.Seq) *replica { return &replica{have: lane(epoch, 0, seq)} }
	nowhere := acmeRoute(2)
	nowhere.Home = 200
	for name, tt := range map[string]struct {
		replica *replica
		change  func(*consistency.GateConfig)
		header  http.Header
		want    bool
		reason  errorsv1.Reason
	}{
		"no token":                           {at(2, 0), nil, http.Header{}, true, 0},
		"no token, a newer replica":          {at(3, 0), nil, http.Header{}, true, 0},
		"no token, an older replica":         {at(1, 900), nil, http.Header{}, false, 0},
		"no token, a repair is owed":         {&replica{owes: true}, nil, http.Header{}, false, 0},
		"reached":                            {at(2, 5), nil, headers(token), true, 0},
		"inherited":                          {at(2, 50), nil, headers(old), true, 0},
		"lost":                               {at(2, 50), takeover, headers(old), false, errorsv1.Reason_REASON_WRITE_LOST},
		"an unknown key":                     {at(2, 5), nil, headers(unknown), false, 0},
		"an unknown ownership":               {at(2, 5), nil, headers(mint(t, c, acme, lane(3, 0, 1))), false, 0},
		"a foreign token":                    {at(2, 5), nil, headers(mint(t, c, bank, lane(2, 0, 1))), false, errorsv1.Reason_REASON_TOKEN_INVALID},
		"a bad wait":                         {at(2, 5), nil, http.Header{"Domicile-Max-Wait": {"soon"}}, false, errorsv1.Reason_REASON_INVALID_ARGUMENT},
		"staleness that nobody knows":        {at(2, 5), nil, http.Header{"Domicile-Max-Staleness": {"1000"}}, false, 0},
		"staleness not known":                {at(2, 5), age(0, false), http.Header{"Domicile-Max-Staleness": {"1000"}}, false, 0},
		"stale":                              {at(2, 5), age(1001*time.Millisecond, true), http.Header{"Domicile-Max-Staleness": {"1000"}}, false, 0},
		"fresh":                              {at(2, 5), age(time.Second, true), http.Header{"Domicile-Max-Staleness": {"1000"}}, true, 0},
		"stale, and nobody asks":             {at(2, 5), age(time.Hour, true), http.Header{}, true, 0},
		"settings behind, an entity is read": {at(2, 5), streams(consistency.HomeLanes), headers(token, elsewhere), true, 0},
		"entities behind, settings are read": {&replica{have: settings}, streams(consistency.Origins), headers(token, elsewhere), true, 0},
		"settings behind, settings are read": {at(2, 5), streams(consistency.Origins), headers(elsewhere), false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tt.header.Add(consistency.HeaderMaxWait, "0")
			if tt.reason == errorsv1.Reason_REASON_INVALID_ARGUMENT {
				tt.header[consistency.HeaderMaxWait] = tt.header[consistency.HeaderMaxWait][:1]
			}
			ok, err := newGate(t, k, tt.replica, tt.change).Admit(t.Context(), acme, acmeRoute(2), tt.header)
			if ok != tt.want || fault.ReasonOf(err) != tt.reason {
				t.Errorf("%v, %v; want %v, %v", ok, err, tt.want, tt.reason)
			}
		})
	}
	if ok, err := newGate(t, k, at(2, 5), nil).Admit(t.Context(), acme, nowhere, http.Header{}); ok || err != nil {
		t.Errorf("a home that the topology does not have: %v, %v", ok, err)
	}
}

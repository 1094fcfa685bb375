package app

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	operationsv1 "github.com/domicile-api/domicile/gen/domicile/operations/v1"
	peerv1 "github.com/domicile-api/domicile/gen/domicile/peer/v1"
	replicationv1 "github.com/domicile-api/domicile/gen/domicile/replication/v1"
	tenancyv1 "github.com/domicile-api/domicile/gen/domicile/tenancy/v1"
	"github.com/domicile-api/domicile/internal/call"
	"github.com/domicile-api/domicile/internal/consistency"
	"github.com/domicile-api/domicile/internal/crdt"
	"github.com/domicile-api/domicile/internal/edge"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/peer"
	"github.com/domicile-api/domicile/internal/replication"
	"github.com/domicile-api/domicile/internal/routing"
	"github.com/domicile-api/domicile/internal/settings"
)

// clockKept is how long what was seen of another region's clock counts. Heartbeats show it every second.
const clockKept = 30 * time.Second

// configuration is a region's part in multi-primary settings: it keeps them, tells the other regions what it wrote, and takes in what they
// tell.
type configuration struct {
	region *region
	kept   *settings.Settings
	relay  *settings.Relay
	mender *settings.Mender
	source *settings.Source
	// clocks are the other regions', gate lets calls wait for what their tokens cover.
	clocks *crdt.Peers
	gate   *consistency.Gate
}

// openSettings puts together what needs no other region yet.
func (r *region) openSettings(cfg Config) error {
	if r.edgeOnly {
		return nil
	}
	c := &configuration{region: r, clocks: crdt.NewPeers(clockKept)}
	var err error
	c.kept, err = settings.New(settings.Config{
		Store: r.res.Settings, Region: r.id, Jurisdiction: cfg.Topology.Jurisdiction(r.index),
		Others: func(ident.TenantID) []ident.RegionID { return c.others(cfg) },
		Clock:  cfg.Clock, CheckClock: c.clocks.Check, Rand: cfg.Random,
	})
	if err != nil {
		return fmt.Errorf("opening the settings of %s: %w", r.id, err)
	}
	c.source = settings.NewSource(c.kept, c)
	c.gate, err = consistency.NewGate(consistency.GateConfig{
		Codec: r.tokens.codec, Topology: cfg.Topology, Replica: c, Streams: consistency.Origins, Logger: r.logger,
	})
	if err != nil {
		return fmt.Errorf("making the gate of the settings of %s: %w", r.id, err)
	}
	r.settings = c
	return nil
}

// connect puts together what reaches other regions.
func (c *configuration) connect(cfg Config, sender replication.Sender) error {
	r, others := c.region, c.others(cfg)
	var err error
	c.relay, err = settings.NewRelay(settings.RelayConfig{
		Settings: c.kept, Destinations: others, Sender: sender, Tenants: c, Clock: cfg.Clock, Jitter: rand.Float64, Rand: cfg.Random,
	})
	if err != nil {
		return fmt.Errorf("making the relay of the settings of %s: %w", r.id, err)
	}
	c.mender, err = settings.NewMender(settings.MenderConfig{
		Settings: c.kept, Origins: others, Tenants: c, Known: c.relay.Known, Jitter: rand.Float64,
		Reach: func(id ident.RegionID) settings.Origin { return r.peers.To(id) },
	})
	if err != nil {
		return fmt.Errorf("making the repairs of the settings of %s: %w", r.id, err)
	}
	return nil
}

// Observe implements peer.Clocks: whatever was sent to a region, a heartbeat at least, has shown its clock, and that it answers.
func (c *configuration) Observe(region ident.RegionID, sent, theirs, received time.Time) {
	c.clocks.Observe(region, sent, theirs, received)
	c.relay.Answers(region)
}

// others are all regions but this.
func (c *configuration) others(cfg Config) []ident.RegionID {
	var all []ident.RegionID
	for _, i := range cfg.Topology.Regions() {
		if i != c.region.index {
			all = append(all, cfg.Topology.ID(i))
		}
	}
	return all
}

// run begins the loops.
func (c *configuration) run() {
	r := c.region
	r.loop("relay of settings", func(ctx context.Context) error { return c.relay.Run(ctx, r.logger) })
	r.loop("repair of settings", func(ctx context.Context) error { return c.mender.Run(ctx, r.logger) })
}

// Kept implements settings.Tenants.
func (c *configuration) Kept(tenant ident.TenantID) bool {
	t, known := c.region.directory.Index.Tenant(string(tenant))
	return known && lives(t)
}

// Each implements settings.Tenants.
func (c *configuration) Each(_ context.Context, fn func(ident.TenantID) error) error {
	for id, t := range c.region.directory.Index.Tenants() {
		if !lives(t) {
			continue
		}
		if err := fn(id); err != nil {
			return err
		}
	}
	return nil
}

// lives tells whether a tenant is active, or deleted and may be back.
func lives(t routing.Tenant) bool {
	return t.State == uint8(tenancyv1.TenantState_TENANT_STATE_ACTIVE) || t.State == uint8(tenancyv1.TenantState_TENANT_STATE_DELETED)
}

// Positions implements consistency.Replica. The region answers for every tenant: what its streams lack, a token shows.
func (c *configuration) Positions(ctx context.Context, tenant ident.TenantID, _ ident.RegionID) (ident.Positions, bool, error) {
	reached, err := c.kept.Reached(ctx, tenant)
	return ident.Positions{Origins: reached}, true, err
}

// Watch implements consistency.Replica. Where functions apply what other regions wrote, nobody in this process knows when: who waits looks
// again and again.
func (c *configuration) Watch(tenant ident.TenantID) (<-chan struct{}, func()) {
	if !c.region.functions {
		return c.kept.Watch(tenant)
	}
	return lookAgain(firstLook, lastLook)
}

// The pauses between two looks at what another process may have changed meanwhile.
const (
	firstLook = 20 * time.Millisecond
	lastLook  = 100 * time.Millisecond
)

// lookAgain returns a channel that gets a value again and again, first soon and then more seldom, until the function is called.
func lookAgain(first, last time.Duration) (<-chan struct{}, func()) {
	look, done := make(chan struct{}, 1), make(chan struct{})
	go func() {
		timer := time.NewTimer(first)
		defer timer.Stop()
		for pause := first; ; pause = min(pause*3/2, last) {
			select {
			case <-done:
				return
			case <-timer.C:
			}
			select {
			case look <- struct{}{}:
			default: // It says so already.
			}
			timer.Reset(pause)
		}
	}()
	return look, sync.OnceFunc(func() { close(done) })
}

// Admit implements edge.Nearest for calls of route ANY.
func (c *configuration) Admit(ctx context.Context, tenant ident.TenantID, t routing.Tenant, header http.Header) (bool, error) {
	return c.gate.Admit(ctx, tenant, t, header)
}

// settingsTokens are tokens in the service of settings: at home, where a call goes that another region could not answer in time, it waits
// for what the tokens cover as well. Elsewhere the edge has waited.
type settingsTokens struct {
	*consistency.Tokens

	settings *configuration
}

// Floor implements mount.Tokens. It fails with REGION_UNAVAILABLE rather than that the home shows the past.
func (t settingsTokens) Floor(ctx context.Context, c *call.Call, h consistency.Headers) (ident.Positions, error) {
	floor, err := t.Tokens.Floor(ctx, c, h)
	if err != nil || c.Region != c.Home || len(floor.Origins) == 0 {
		return floor, err
	}
	home, known := t.settings.region.directory.Index.Tenant(string(c.Tenant))
	if !known {
		return floor, nil // It was just there; the handler finds nothing of it.
	}
	// How old the home's own state is, nobody but the tokens says.
	h = h.Clone()
	h.Del(consistency.HeaderMaxStaleness)
	admitted, err := t.settings.gate.Admit(ctx, c.Tenant, home, h)
	if err == nil && !admitted {
		f := fault.New(errorsv1.Reason_REASON_REGION_UNAVAILABLE, "what the call has seen of other regions' writes has not come here yet")
		f.RetryAfter = edge.DefaultRetryAfter
		err = f
	}
	return floor, err
}

// sources answer what repairs ask, each for its feeds; it is a peer.Source.
type sources struct {
	entities peer.Source
	settings *settings.Source
}

func (s sources) of(stream *replicationv1.Stream) peer.Source {
	if stream.GetFeed() == replicationv1.Feed_FEED_SETTINGS {
		return s.settings
	}
	return s.entities
}

// Digest implements peer.Source.
func (s sources) Digest(ctx context.Context, caller ident.RegionID, r *peerv1.DigestRequest) (*peerv1.DigestResponse, error) {
	return s.of(r.GetStream()).Digest(ctx, caller, r)
}

// Fetch implements peer.Source.
func (s sources) Fetch(ctx context.Context, caller ident.RegionID, r *peerv1.FetchRequest) (*peerv1.FetchResponse, error) {
	return s.of(r.GetStream()).Fetch(ctx, caller, r)
}

// compare compares a tenant's copies, or all tenants' when the id is empty, with the other regions, and with mend repairs what differs.
func (s *synchronisation) compare(ctx context.Context, tenant ident.TenantID, mend bool) (*operationsv1.RegionVerification, error) {
	do := s.repairs.VerifyAll
	if mend {
		do = s.repairs.RepairAll
	}
	found, err := do(ctx, tenant)
	if err != nil {
		return found, err
	}
	if err := s.region.settings.mender.VerifyAll(ctx, tenant, mend, found); err != nil {
		return found, fmt.Errorf("comparing settings: %w", err)
	}
	return found, nil
}

// status adds what is not sent and not repaired to an operator's view.
func (c *configuration) status(now time.Time, out *operationsv1.RegionSync) {
	for _, d := range c.relay.Status() {
		for _, o := range out.GetOutbound() {
			if o.GetDestination() != string(d.Region) {
				continue
			}
			o.Events += d.Events
			o.OldestSeconds = max(o.GetOldestSeconds(), secondsSince(now, d.Oldest))
			o.LanesLost += uint64(d.Lost) //nolint:gosec // not negative
			if d.Failure != nil && o.GetFailure() == "" {
				o.Failure = failureLabel(d.Failure)
			}
		}
	}
	out.LanesBehind += uint64(c.mender.Owed()) //nolint:gosec // not negative
}

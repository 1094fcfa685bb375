package settings

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	peerv1 "github.com/domicile-api/domicile/gen/domicile/peer/v1"
	replicationv1 "github.com/domicile-api/domicile/gen/domicile/replication/v1"
	settingsv1 "github.com/domicile-api/domicile/gen/domicile/settings/v1"
	storagev1 "github.com/domicile-api/domicile/gen/domicile/storage/v1"
	"github.com/domicile-api/domicile/internal/crdt"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/keyspace"
	"github.com/domicile-api/domicile/internal/replication"
	"github.com/domicile-api/domicile/internal/store"
)

const (
	// fetchAtOnce is how many namespaces are asked for in one call.
	fetchAtOnce = 50
	// lookAgain is how often a difference is looked at that nobody tells of.
	lookAgain = 250 * time.Millisecond
)

// Origin is another region as a Mender asks it; peerv1connect.PeerServiceClient is one.
type Origin interface {
	// Digest and Fetch are what the region's Source answers.
	Digest(ctx context.Context, r *peerv1.DigestRequest) (*peerv1.DigestResponse, error)
	Fetch(ctx context.Context, r *peerv1.FetchRequest) (*peerv1.FetchResponse, error)
}

// MenderConfig is what a Mender needs.
type MenderConfig struct {
	// Settings are what is mended.
	Settings *Settings
	// Origins are all other regions, and Reach reaches them.
	Origins []ident.RegionID
	Reach   func(ident.RegionID) Origin
	// Tenants is the directory.
	Tenants Tenants
	// Known returns the tenants of which the region keeps settings; Relay.Known.
	Known func() []ident.TenantID
	// Jitter gives numbers from 0 to 1, e.g. of math/rand/v2.Float64.
	Jitter func() float64
	// Settle is how long a comparison waits for the streams to bring what differs. Default 5 s.
	Settle time.Duration
	// Look is how often it is seen whether a repair is owed. Default 1 s.
	Look time.Duration
	// MaintainEvery is how often the settings of each tenant are looked after. Default 1 min. A stream that has stood before a gap
	// for that long is owed a repair.
	MaintainEvery time.Duration
	// CompareEvery is how often all settings are compared with each other region's. Default 10 min; negative: never.
	CompareEvery time.Duration
}

// Mender takes in what other regions tell, and fetches what did not come: the beginning of a stream that this region never got, the
// positions of a gap that does not close, and what a comparison finds to differ. All methods are safe for concurrent use.
type Mender struct {
	cfg MenderConfig

	mu sync.Mutex
	// owed are the streams that are to be fetched.
	owed map[streamID]struct{}
	// gaps are the streams that stood before a gap when they were looked at last, and where.
	gaps map[streamID]ident.Seq
}

// streamID names a stream of settings.
type streamID struct {
	tenant ident.TenantID
	origin ident.RegionID
}

// NewMender returns the mender of a region.
func NewMender(cfg MenderConfig) (*Mender, error) {
	if cfg.Settings == nil || cfg.Reach == nil || cfg.Tenants == nil || cfg.Known == nil || cfg.Jitter == nil {
		return nil, errors.New("settings: a mender needs Settings, Reach, Tenants, Known and Jitter")
	}
	cfg.Settle, cfg.Look = orDefault(cfg.Settle, 5*time.Second), orDefault(cfg.Look, time.Second)
	cfg.MaintainEvery = orDefault(cfg.MaintainEvery, time.Minute)
	if cfg.CompareEvery == 0 {
		cfg.CompareEvery = 10 * time.Minute
	}
	return &Mender{cfg: cfg, owed: make(map[streamID]struct{}), gaps: make(map[streamID]ident.Seq)}, nil
}

// Take implements replication.Settings: it applies a position of another region's stream, or puts it aside durably.
func (m *Mender) Take(ctx context.Context, e *replicationv1.Event) error {
	id := streamID{ident.TenantID(e.GetStream().GetTenant()), ident.RegionID(e.GetStream().GetOrigin())}
	if ident.Epoch(e.GetEpoch()) != Epoch {
		return replication.ErrMalformed
	}
	seq := ident.Seq(e.GetSeq())
	if e.GetOpen() != nil {
		if err := m.cfg.Settings.Open(ctx, id.tenant, id.origin, seq); err != nil {
			return err
		}
		mark, err := m.cfg.Settings.Watermark(ctx, id.tenant, id.origin)
		if err == nil && mark.GetBehind() {
			m.owe(id)
		}
		return err
	}
	state, err := decode(e.GetSettings().GetState())
	if err == nil {
		_, err = m.cfg.Settings.ApplyRemote(ctx, id.tenant, id.origin, seq, e.GetSettings().GetNamespace(), state)
	}
	if errors.Is(err, ErrInvalid) {
		return replication.ErrMalformed
	}
	return err
}

func (m *Mender) owe(id streamID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.owed[id] = struct{}{}
}

// Owed returns how many streams wait for a repair.
func (m *Mender) Owed() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.owed)
}

// owedBy returns the tenants whose streams of an origin wait for a repair.
func (m *Mender) owedBy(origin ident.RegionID) []ident.TenantID {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []ident.TenantID
	for id := range m.owed {
		if id.origin == origin {
			all = append(all, id.tenant)
		}
	}
	return all
}

// Inspect finds the streams of a tenant that a repair is owed for: those that begin after what was applied, and those that stand before
// the same gap as when they were inspected last.
func (m *Mender) Inspect(ctx context.Context, tenant ident.TenantID) error {
	gaps := make(map[streamID]ident.Seq)
	err := m.cfg.Settings.scan(ctx, tenant, keyspace.Watermarks, func(item store.Item) error {
		feed, origin, ok := keyspace.ParseWatermark(item.Key.Sort)
		var mark storagev1.Watermark
		if err := proto.Unmarshal(item.Value, &mark); err != nil || !ok || feed != replicationv1.Feed_FEED_SETTINGS {
			return fmt.Errorf("decoding a watermark of settings: %w", err)
		}
		id := streamID{tenant, origin}
		if mark.GetBehind() {
			m.owe(id)
		}
		if len(mark.GetAhead()) > 0 {
			gaps[id] = item.Version.Seq
		}
		return nil
	})
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, origin := range m.cfg.Origins {
		id := streamID{tenant, origin}
		at, gap := gaps[id]
		if before, was := m.gaps[id]; gap && was && before == at {
			m.owed[id] = struct{}{}
		}
		delete(m.gaps, id)
	}
	maps.Copy(m.gaps, gaps)
	return nil
}

// Repair fetches all of a tenant's settings that an origin has, and merges them: the region then has all that the origin had, and its
// watermark says so.
func (m *Mender) Repair(ctx context.Context, tenant ident.TenantID, origin ident.RegionID) error {
	c := m.comparison(tenant, origin)
	if err := c.list(ctx); err != nil {
		return err
	}
	// What this region alone has may have been deleted there.
	names := slices.Sorted(maps.Keys(c.there))
	for name := range c.here {
		if _, both := c.there[name]; !both {
			names = append(names, name)
		}
	}
	err := c.fetch(ctx, names, func(name string, state *settingsv1.State) error {
		_, err := m.cfg.Settings.ApplyRemote(ctx, tenant, origin, 0, name, state)
		return err
	})
	if err != nil {
		return err
	}
	if err := m.cfg.Settings.Raise(ctx, tenant, origin, c.through); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.owed, streamID{tenant, origin})
	return nil
}

// comparison compares a tenant's settings with an origin's.
type comparison struct {
	m      *Mender
	tenant ident.TenantID
	region ident.RegionID
	origin Origin
	stream *replicationv1.Stream
	// here and there are the digests of namespaces; through is the position of the origin's stream before any of there was read.
	here, there map[string][]byte
	through     ident.Seq
	// bytes is how much was received.
	bytes uint64
}

func (m *Mender) comparison(tenant ident.TenantID, origin ident.RegionID) *comparison {
	return &comparison{
		m: m, tenant: tenant, region: origin, origin: m.cfg.Reach(origin), stream: streamOf(tenant, origin),
		here: make(map[string][]byte), there: make(map[string][]byte),
	}
}

func (c *comparison) digest(ctx context.Context, list uint32, from string) (*peerv1.DigestResponse, error) {
	answer, err := c.origin.Digest(ctx, &peerv1.DigestRequest{Stream: c.stream, List: list, From: from})
	if err != nil {
		return nil, fmt.Errorf("asking %s for digests of settings: %w", c.region, err)
	}
	c.bytes += uint64(proto.Size(answer)) //nolint:gosec // not negative
	return answer, nil
}

// equal tells by one digest each whether all namespaces are the same here and there.
func (c *comparison) equal(ctx context.Context) (bool, error) {
	answer, err := c.digest(ctx, 0, "")
	if err != nil {
		return false, err
	}
	sum, _, err := c.m.cfg.Settings.digestAll(ctx, c.tenant, func(name string, digest []byte) { c.here[name] = digest })
	if err != nil || len(answer.GetRanges()) != 1 {
		return false, err
	}
	return string(answer.GetRanges()[0].GetDigest()) == string(sum), nil
}

// list fetches the digests of all namespaces there, and reads those here.
func (c *comparison) list(ctx context.Context) error {
	for from, first := "", true; ; first = false {
		answer, err := c.digest(ctx, maxListed, from)
		if err != nil {
			return err
		}
		if first {
			c.through = ident.Seq(answer.GetSeq())
		}
		for _, e := range answer.GetEntities() {
			c.there[e.GetId()], from = e.GetDigest(), e.GetId()+"\x00"
		}
		if !answer.GetMore() || len(answer.GetEntities()) == 0 {
			break
		}
	}
	clear(c.here)
	_, _, err := c.m.cfg.Settings.digestAll(ctx, c.tenant, func(name string, digest []byte) { c.here[name] = digest })
	return err
}

// differing are the names of the namespaces whose digests are not the same.
func (c *comparison) differing() []string {
	var names []string
	for name, digest := range c.there {
		if string(c.here[name]) != string(digest) {
			names = append(names, name)
		}
	}
	for name := range c.here {
		if _, both := c.there[name]; !both {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// fetch calls fn with the states that namespaces have there.
func (c *comparison) fetch(ctx context.Context, names []string, fn func(name string, state *settingsv1.State) error) error {
	for len(names) > 0 {
		answer, err := c.origin.Fetch(ctx, &peerv1.FetchRequest{Stream: c.stream, Ids: names[:min(len(names), fetchAtOnce)]})
		if err != nil {
			return fmt.Errorf("fetching settings from %s: %w", c.region, err)
		}
		c.bytes += uint64(proto.Size(answer)) //nolint:gosec // not negative
		answered := int(answer.GetAnswered())
		if answered == 0 || answered > len(names) || answered != len(answer.GetStates()) {
			return fmt.Errorf("fetching settings from %s: %w", c.region, errAnswer)
		}
		for i, s := range answer.GetStates() {
			state, err := decode(s.GetClear())
			if err != nil || s.GetId() != names[i] {
				return fmt.Errorf("fetching settings from %s: %w", c.region, errAnswer)
			}
			if err := fn(s.GetId(), state); err != nil {
				return err
			}
		}
		names = names[answered:]
	}
	return nil
}

var errAnswer = errors.New("settings: an answer that makes no sense")

// lacks tells whether the region has not all of a state that a namespace had there. That it has more does not matter: what an origin
// lacks, its own comparison finds.
func (c *comparison) lacks(ctx context.Context, name string, state *settingsv1.State) (bool, error) {
	here, err := c.m.cfg.Settings.Tell(ctx, c.tenant, name)
	if err != nil || crdt.Foreign(state) || crdt.Foreign(here) || crdt.Check(state) != nil {
		return true, err
	}
	merged := crdt.Merge(here, state)
	return !crdt.Equal(&settingsv1.State{Entries: merged.GetEntries()}, &settingsv1.State{Entries: here.GetEntries()}), nil
}

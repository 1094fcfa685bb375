package replication

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	replicationv1 "github.com/domicile-api/domicile/gen/domicile/replication/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/keyspace"
	"github.com/domicile-api/domicile/internal/store"
)

// standing says where a tenant's lanes stand.
func standing(id ident.TenantID, epoch ident.Epoch, heads [ident.Lanes]ident.Version) *replicationv1.Standing {
	s := &replicationv1.Standing{Tenant: string(id), Heads: make([]uint64, ident.Lanes)}
	for lane, v := range heads {
		epoch = max(epoch, v.Epoch)
		s.Heads[lane] = uint64(v.Seq)
	}
	s.Epoch = uint64(epoch)
	return s
}

// standingsBeat is a heartbeat that tells where lanes stood.
func standingsBeat(source string, asOf time.Time, turn uint32, tenants []*replicationv1.Standing) *replicationv1.Heartbeat {
	return &replicationv1.Heartbeat{Source: source, Standings: &replicationv1.Standings{
		AsOf: timestamppb.New(asOf), Turn: turn, Tenants: tenants,
	}}
}

// standingsLife is for how long it is kept where lanes stood, unless it is told anew.
const standingsLife = 6 * time.Hour

// sound tells whether standings make sense: whose they are, and in which order.
func (a *Applier) sound(source ident.RegionID, s *replicationv1.Standings) bool {
	index, known := a.cfg.Topology.Index(source)
	if !known || index == a.self || s.GetAsOf() == nil || len(s.GetTenants()) == 0 || len(s.GetTenants()) > store.MaxPage {
		return false
	}
	before := ""
	for _, t := range s.GetTenants() {
		if t.GetTenant() <= before || len(t.GetTenant()) > 64 || len(t.GetHeads()) != ident.Lanes || t.GetEpoch() == 0 {
			return false
		}
		before = t.GetTenant()
	}
	return true
}

// keep stores where a source's lanes stood, in one item, unless a later word of the same turn is there.
func (a *Applier) keep(ctx context.Context, source ident.RegionID, s *replicationv1.Standings) error {
	if !a.sound(source, s) {
		return nil
	}
	if a.cfg.Replica == nil {
		return errNoTable
	}
	value, err := proto.Marshal(s)
	if err != nil {
		return fmt.Errorf("encoding standings: %w", err)
	}
	index, _ := a.cfg.Topology.Index(source)
	at := ident.Version{Epoch: 1, Seq: ident.Seq(max(s.GetAsOf().AsTime().UnixMicro(), 0))}
	op := store.Op{Kind: store.Put, If: store.OlderThan(at), Item: store.Item{
		Key:     keyspace.Standings(source, s.GetTurn(), ident.TenantID(s.GetTenants()[0].GetTenant())),
		Version: at, Value: value, Expires: a.cfg.Clock().Add(standingsLife),
		Tag: store.Tag{Class: store.ClassGlobal, Jurisdiction: a.cfg.Topology.Jurisdiction(index)},
	}}
	if err := commitEach(ctx, a.cfg.Replica, []store.Op{op}); err != nil {
		return fmt.Errorf("storing standings: %w", err)
	}
	return nil
}

// claim is where a tenant's lanes stood at the source at a time.
type claim struct {
	asOf  time.Time
	epoch ident.Epoch
	heads [ident.Lanes]ident.Seq
}

// covered tells whether watermarks have all of it.
func (c *claim) covered(marks *[ident.Lanes]*mark) bool {
	for lane, m := range marks {
		if !c.covers(ident.Lane(lane), m.version) {
			return false
		}
	}
	return true
}

// covers tells whether a lane that is applied up to a version has all of it. Of another ownership it says nothing.
func (c *claim) covers(lane ident.Lane, v ident.Version) bool {
	return v.Epoch == c.epoch && v.Seq >= c.heads[lane]
}

func claimOf(s *replicationv1.Standings, t *replicationv1.Standing) claim {
	c := claim{asOf: s.GetAsOf().AsTime(), epoch: ident.Epoch(t.GetEpoch())}
	for lane, head := range t.GetHeads() {
		c.heads[lane] = ident.Seq(head)
	}
	return c
}

// The cache of claims.
const (
	claimsLife = time.Second
	maxClaims  = 10_000
)

// claims are what was read lately of where tenants' lanes stood. What is late makes a replica look older than it is.
type claims struct {
	mu    sync.Mutex
	known map[claimsOf]knownClaims
}

type claimsOf struct {
	tenant ident.TenantID
	origin ident.RegionID
}

type knownClaims struct {
	at     time.Time
	newest []claim
}

// claims returns where a tenant's lanes stood at a source, the newest first.
func (a *Applier) claims(ctx context.Context, tenant ident.TenantID, origin ident.RegionID) ([]claim, error) {
	key, now := claimsOf{tenant, origin}, a.cfg.Clock()
	a.told.mu.Lock()
	known, ok := a.told.known[key]
	a.told.mu.Unlock()
	if age := now.Sub(known.at); ok && age >= 0 && age < claimsLife {
		return known.newest, nil
	}
	newest, err := a.readClaims(ctx, tenant, origin)
	if err != nil {
		return nil, err
	}
	a.told.mu.Lock()
	defer a.told.mu.Unlock()
	if a.told.known == nil || len(a.told.known) >= maxClaims {
		a.told.known = make(map[claimsOf]knownClaims)
	}
	a.told.known[key] = knownClaims{now, newest}
	return newest, nil
}

// sets is how many sets of standings are looked into for a tenant, each turn: the sets of different passes begin at different tenants.
const sets = 3

func (a *Applier) readClaims(ctx context.Context, tenant ident.TenantID, origin ident.RegionID) ([]claim, error) {
	if a.cfg.Replica == nil {
		return nil, errNoTable
	}
	var found []claim
	for turn := range uint32(2) {
		from, to := keyspace.StandingsUpTo(turn, tenant)
		page, err := a.cfg.Replica.Query(ctx, store.Query{
			Partition: keyspace.StandingsOf(origin), From: from, To: to, Descending: true, Limit: sets,
		})
		if err != nil {
			return nil, fmt.Errorf("reading standings: %w", err)
		}
		for _, item := range page.Items {
			var s replicationv1.Standings
			if err := proto.Unmarshal(item.Value, &s); err != nil {
				return nil, fmt.Errorf("decoding standings: %w", err)
			}
			at, ok := slices.BinarySearchFunc(s.GetTenants(), string(tenant), func(t *replicationv1.Standing, id string) int {
				return strings.Compare(t.GetTenant(), id)
			})
			if ok {
				found = append(found, claimOf(&s, s.GetTenants()[at]))
			}
		}
	}
	slices.SortFunc(found, func(x, y claim) int { return y.asOf.Compare(x.asOf) })
	return found, nil
}

// freshStored is Fresh where several processes share the tables: the newest standing of which all is applied says it.
func (a *Applier) freshStored(
	ctx context.Context, tenant ident.TenantID, feed replicationv1.Feed, origin ident.RegionID,
) (time.Time, bool, error) {
	newest, err := a.claims(ctx, tenant, origin)
	if err != nil || len(newest) == 0 {
		return time.Time{}, false, err
	}
	marks, err := a.marks(ctx, tenant, feed, origin)
	if err != nil {
		return time.Time{}, false, err
	}
	for _, m := range marks {
		if !m.exists || m.GetBehind() {
			return time.Time{}, false, nil
		}
	}
	for i := range newest {
		if newest[i].covered(&marks) {
			return newest[i].asOf, true, nil
		}
	}
	return time.Time{}, false, nil
}

// marks reads the watermarks of a tenant.
func (a *Applier) marks(
	ctx context.Context, tenant ident.TenantID, feed replicationv1.Feed, origin ident.RegionID,
) (marks [ident.Lanes]*mark, err error) {
	table := a.table(feed)
	if table == nil {
		return marks, errNoTable
	}
	for lane := range ident.Lane(ident.Lanes) {
		marks[lane], err = readMark(ctx, table, keyspace.Watermark(tenant, lane, feed, origin))
		if err != nil {
			return marks, err
		}
	}
	return marks, nil
}

// errNoTable says that a process does not have the table that something is about; another has it.
var errNoTable = errors.New("replication: the table is not this process's")

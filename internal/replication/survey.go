package replication

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"google.golang.org/protobuf/proto"

	replicationv1 "github.com/domicile-api/domicile/gen/domicile/replication/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/keyspace"
	"github.com/domicile-api/domicile/internal/store"
)

// surveys is what Survey remembers.
type surveys struct {
	mu sync.Mutex
	// looked are the sets of standings that were looked at, by their versions; well has where lanes stood of tenants that had all of that.
	looked map[store.Key]ident.Version
	well   map[wellOf]wellAt
}

type wellOf struct {
	tenant ident.TenantID
	feed   replicationv1.Feed
}

type wellAt struct {
	epoch    ident.Epoch
	heads    [ident.Lanes]ident.Seq
	revision uint64
}

// maxWell is of how many tenants' feeds it is remembered that they had everything.
const maxWell = 200_000

// Survey finds the lanes that are behind or stuck, for Owed, where other processes apply: it looks again at those that it knows, and compares
// where lanes stood at their homes StuckAfter ago or earlier, as their sweepers told, with the watermarks here. It is to be called more often
// than each StuckAfter. What is idle costs nothing but the reading of the standings. What fails is looked at the next time.
func (a *Applier) Survey(ctx context.Context) error {
	if !a.cfg.Shared {
		return nil
	}
	failed := a.lookAgain(ctx)
	for _, i := range a.cfg.Topology.Regions() {
		if i != a.self && a.cfg.Replica != nil {
			failed = errors.Join(failed, a.surveySource(ctx, a.cfg.Topology.ID(i)))
		}
	}
	return failed
}

// lookAgain reads the watermarks of the lanes that are known to be behind or stuck: another process may have repaired them.
func (a *Applier) lookAgain(ctx context.Context) error {
	a.mu.Lock()
	known := make([]streamID, 0, len(a.lanes))
	for id := range a.lanes {
		known = append(known, id)
	}
	a.mu.Unlock()
	for _, id := range known {
		if a.table(id.feed) == nil {
			continue
		}
		m, err := readMark(ctx, a.table(id.feed), watermarkKey(id))
		if err != nil {
			return err
		}
		a.noteRead(id, m)
	}
	return nil
}

// noteRead keeps what a watermark says; one that is not there counts as behind.
func (a *Applier) noteRead(id streamID, m *mark) {
	if !m.exists {
		m.exists, m.Behind = true, true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.noteLane(id, m, a.cfg.Clock())
}

// surveySource compares what a source told.
func (a *Applier) surveySource(ctx context.Context, source ident.RegionID) error {
	for from, more := "", true; more; {
		page, err := a.cfg.Replica.Query(ctx, store.Query{Partition: keyspace.StandingsOf(source), From: from, Limit: 20})
		if err != nil {
			return fmt.Errorf("reading standings: %w", err)
		}
		for _, item := range page.Items {
			from = item.Key.Sort + "\x00"
			if err := a.surveySet(ctx, source, item); err != nil {
				return err
			}
		}
		more = page.More
	}
	return nil
}

// surveySet compares a set of standings, once, when it is old enough for all of it to have arrived.
func (a *Applier) surveySet(ctx context.Context, source ident.RegionID, item store.Item) error {
	a.surveyed.mu.Lock()
	looked := a.surveyed.looked[item.Key] == item.Version
	a.surveyed.mu.Unlock()
	if looked {
		return nil
	}
	var s replicationv1.Standings
	if err := proto.Unmarshal(item.Value, &s); err != nil {
		return fmt.Errorf("decoding standings: %w", err)
	}
	if a.cfg.Clock().Sub(s.GetAsOf().AsTime()) < a.cfg.StuckAfter {
		return nil
	}
	for _, t := range s.GetTenants() {
		c := claimOf(&s, t)
		for _, feed := range feeds() {
			if err := a.surveyTenant(ctx, ident.TenantID(t.GetTenant()), feed, source, &c); err != nil {
				return err
			}
		}
	}
	a.surveyed.mu.Lock()
	defer a.surveyed.mu.Unlock()
	if a.surveyed.looked == nil || len(a.surveyed.looked) >= maxWell {
		a.surveyed.looked = make(map[store.Key]ident.Version)
	}
	a.surveyed.looked[item.Key] = item.Version
	return nil
}

func (a *Applier) surveyTenant(
	ctx context.Context, tenant ident.TenantID, feed replicationv1.Feed, source ident.RegionID, c *claim,
) error {
	if a.table(feed) == nil || !a.granted(streamID{tenant: tenant, feed: feed, origin: source}) {
		return nil
	}
	key, now := wellOf{tenant, feed}, wellAt{c.epoch, c.heads, a.revision(tenant)}
	a.surveyed.mu.Lock()
	well := a.surveyed.well[key] == now
	a.surveyed.mu.Unlock()
	if well {
		return nil
	}
	marks, err := a.marks(ctx, tenant, feed, source)
	if err != nil {
		return err
	}
	well = true
	for lane, m := range marks {
		id := streamID{tenant: tenant, feed: feed, origin: source, lane: ident.Lane(lane)}
		if !m.exists || m.GetBehind() || !c.covers(id.lane, m.version) {
			well = false
			a.noteRead(id, m)
			a.noteMissing(id, m, ident.Version{Epoch: c.epoch, Seq: c.heads[lane]})
		}
	}
	if !well {
		return nil
	}
	a.surveyed.mu.Lock()
	defer a.surveyed.mu.Unlock()
	if a.surveyed.well == nil || len(a.surveyed.well) >= maxWell {
		a.surveyed.well = make(map[wellOf]wellAt)
	}
	a.surveyed.well[key] = now
	return nil
}

// noteMissing keeps that a lane has not shown a position that its home had long enough ago.
func (a *Applier) noteMissing(id streamID, m *mark, at ident.Version) {
	if m.version.Compare(at) >= 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	l, ok := a.lanes[id]
	if !ok {
		l = &laneState{since: a.cfg.Clock(), version: m.version, behind: m.GetBehind()}
		a.lanes[id] = l
	}
	if l.reached.Compare(at) < 0 {
		l.reached = at
	}
}

// revision numbers the tenant's record as the directory here has it.
func (a *Applier) revision(tenant ident.TenantID) uint64 {
	if a.cfg.Revision == nil {
		return 0
	}
	return a.cfg.Revision(tenant)
}

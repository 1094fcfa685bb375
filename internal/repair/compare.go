package repair

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	peerv1 "github.com/domicile-api/domicile/gen/domicile/peer/v1"
	replicationv1 "github.com/domicile-api/domicile/gen/domicile/replication/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store"
)

const (
	// maxDepth bounds how often a range is split: far above what any lane needs.
	maxDepth = 24
	// pageList is how many entities are asked for when a range is listed because next to nothing of it is here.
	pageList = 500
)

// comparison is one comparison of a lane, or one repair.
type comparison struct {
	r      *Reconciler
	stream *replicationv1.Stream
	tenant ident.TenantID
	lane   ident.Lane
	table  store.Store
	home   Home
	// epoch is the ownership that the directory here knows.
	epoch ident.Epoch
	// within says which idempotency records are compared; nil: none.
	within *window
	// begun says that result.Q is known.
	begun  bool
	result Result
	// mend settles the differences; nil: they are only told.
	mend *mending
}

func (r *Reconciler) newComparison(s *replicationv1.Stream, repairing bool) (*comparison, error) {
	if s.GetLane() >= ident.Lanes ||
		s.GetFeed() != replicationv1.Feed_FEED_PROJECTIONS && s.GetFeed() != replicationv1.Feed_FEED_STANDBY {
		return nil, fmt.Errorf("repair: there is nothing to compare in feed %v, lane %d", s.GetFeed(), s.GetLane())
	}
	origin := ident.RegionID(s.GetOrigin())
	tenant, ok := r.cfg.Tenants.Tenant(ident.TenantID(s.GetTenant()))
	if !ok || tenant.Home == r.self || r.cfg.Topology.ID(tenant.Home) != origin {
		return nil, ErrNotHome
	}
	c := &comparison{
		r: r, stream: s, tenant: ident.TenantID(s.GetTenant()), lane: ident.Lane(s.GetLane()), //nolint:gosec // checked above
		table: r.table(s.GetFeed()), home: r.cfg.Home(origin), epoch: tenant.Epoch,
	}
	if s.GetFeed() == replicationv1.Feed_FEED_STANDBY {
		c.within = windowAt(r.cfg.Clock(), repairing)
	}
	return c, nil
}

// compare compares the whole lane.
func (c *comparison) compare(ctx context.Context) error {
	first, err := c.copies("", "").next(ctx)
	if err != nil {
		return err
	}
	if first == nil {
		return c.list(ctx, "", "", 0)
	}
	return c.walk(ctx, "", "", 0)
}

// walk compares a range by its digests.
func (c *comparison) walk(ctx context.Context, from, to string, depth int) error {
	answer, q, err := c.ask(ctx, &peerv1.DigestRequest{Stream: c.stream, From: from, To: to})
	if err != nil {
		return err
	}
	if len(answer.GetRanges()) == 0 {
		return c.merge(ctx, from, to, q, answer.GetEntities())
	}
	return c.descend(ctx, from, to, answer.GetRanges(), depth)
}

// descend goes into those ranges that differ.
func (c *comparison) descend(ctx context.Context, from, to string, ranges []*peerv1.RangeDigest, depth int) error {
	if depth == maxDepth {
		return nonsense("ranges without end")
	}
	ranges[len(ranges)-1].To = to
	here, err := c.totals(ctx, from, to, ranges)
	if err != nil {
		return err
	}
	for i, r := range ranges {
		switch {
		case here[i].is(r.GetCount(), r.GetDigest()):
			c.result.Entities += here[i].count
		case here[i].count == 0:
			err = c.list(ctx, from, r.GetTo(), depth+1)
		default:
			err = c.walk(ctx, from, r.GetTo(), depth+1)
		}
		if err != nil {
			return err
		}
		from = r.GetTo()
	}
	return nil
}

// totals returns the digests of neighbouring ranges of the copy.
func (c *comparison) totals(ctx context.Context, from, to string, ranges []*peerv1.RangeDigest) ([]total, error) {
	here := make([]total, len(ranges))
	all, at := c.copies(from, to), 0
	for {
		h, err := all.next(ctx)
		if err != nil || h == nil {
			return here, err
		}
		for at < len(ranges)-1 && h.id >= ranges[at].GetTo() {
			at++
		}
		here[at].add(h.digest(c.stream.GetFeed()))
	}
}

// list compares a range of which next to nothing is here with the list of it, page by page.
func (c *comparison) list(ctx context.Context, from, to string, depth int) error {
	for {
		answer, q, err := c.ask(ctx, &peerv1.DigestRequest{Stream: c.stream, From: from, To: to, List: pageList})
		if err != nil {
			return err
		}
		if len(answer.GetRanges()) > 0 { // A home that does not know how to list.
			return c.descend(ctx, from, to, answer.GetRanges(), depth)
		}
		end := to
		if answer.GetMore() {
			end = answer.GetEntities()[len(answer.GetEntities())-1].GetId() + "\x00"
		}
		if err := c.merge(ctx, from, end, q, answer.GetEntities()); err != nil || !answer.GetMore() {
			return err
		}
		from = end
	}
}

// merge compares a range with its list as of q. What is here in a version later than q is not looked at: the home wrote it after its
// answer was made. Idempotency records have versions of all lanes, and one that the home does not have ends by itself.
func (c *comparison) merge(ctx context.Context, from, to string, q ident.Version, list []*peerv1.EntityDigest) error {
	all := c.copies(from, to)
	for {
		h, err := all.next(ctx)
		if err != nil {
			return err
		}
		for len(list) > 0 && (h == nil || list[0].GetId() < h.id) {
			if err := c.differs(ctx, Difference{ID: list[0].GetId(), Kind: Missing, remote: list[0], q: q}); err != nil {
				return err
			}
			list = list[1:]
		}
		if h == nil {
			return c.endOfRange(ctx)
		}
		c.result.Entities++
		if len(list) > 0 && list[0].GetId() == h.id {
			d := h.digest(c.stream.GetFeed())
			if string(d[:]) != string(list[0].GetDigest()) && h.asOf(q) {
				err = c.differs(ctx, Difference{ID: h.id, Kind: Different, remote: list[0], q: q})
			}
			list = list[1:]
		} else if h.asOf(q) && !isRecord(h.id) {
			err = c.differs(ctx, Difference{ID: h.id, Kind: Surplus, q: q})
		}
		if err != nil {
			return err
		}
	}
}

// differs notes a difference and, in a repair, settles it.
func (c *comparison) differs(ctx context.Context, d Difference) error {
	c.result.Count++
	if len(c.result.Differences) < c.r.cfg.Tuning.Keep {
		c.result.Differences = append(c.result.Differences, d)
	}
	if c.mend == nil {
		return nil
	}
	return c.mend.take(ctx, d)
}

func (c *comparison) endOfRange(ctx context.Context) error {
	if c.mend == nil {
		return nil
	}
	return c.mend.flush(ctx, maxFetch)
}

// ask asks the home for digests, and checks the answer.
func (c *comparison) ask(ctx context.Context, in *peerv1.DigestRequest) (*peerv1.DigestResponse, ident.Version, error) {
	if err := c.spend(); err != nil {
		return nil, ident.Version{}, err
	}
	c.within.put(in)
	out, err := c.home.Digest(ctx, in)
	if err != nil {
		return nil, ident.Version{}, fmt.Errorf("asking the home for a digest: %w", err)
	}
	c.result.Bytes += uint64(proto.Size(out)) //nolint:gosec // a size is not negative
	q, err := c.position(out.GetEpoch(), out.GetSeq())
	if err == nil {
		err = checkDigest(c.lane, in, out)
	}
	return out, q, err
}

// spend counts a request.
func (c *comparison) spend() error {
	if c.result.Requests++; c.result.Requests > uint64(c.r.cfg.Tuning.MaxRequests) { //nolint:gosec // not negative
		return nonsense("no end of answers")
	}
	return nil
}

// position checks the position of an answer. It is never of an ownership that the directory here does not know, since a watermark
// that is raised too far shuts everything out; and a home does not go back.
func (c *comparison) position(epoch, seq uint64) (ident.Version, error) {
	q := ident.Version{Epoch: ident.Epoch(epoch), Seq: ident.Seq(seq)}
	switch {
	case q.Epoch == 0:
		return q, nonsense("no position")
	case q.Epoch > c.epoch:
		return q, ErrNotHome
	case c.begun && q.Compare(c.result.Q) < 0:
		return q, nonsense("a position before the one before")
	case !c.begun:
		c.begun, c.result.Q = true, q
	}
	return q, nil
}

// copies goes over what is here of a range.
func (c *comparison) copies(from, to string) *copies {
	return &copies{cursor: newCursor(c.table, c.tenant, c.lane, from, to, c.within), feed: c.stream.GetFeed()}
}

// copy returns what is here of one entity or idempotency record; nil when that is nothing.
func (c *comparison) copy(ctx context.Context, id string) (*held, error) {
	item, err := c.table.Get(ctx, keyOf(c.tenant, id))
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil //nolint:nilnil // said above
	}
	if err != nil {
		return nil, fmt.Errorf("reading a copy: %w", err)
	}
	return copyOf(c.stream.GetFeed(), item, id)
}

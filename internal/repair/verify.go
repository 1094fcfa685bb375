package repair

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	operationsv1 "github.com/domicile-api/domicile/gen/domicile/operations/v1"
	peerv1 "github.com/domicile-api/domicile/gen/domicile/peer/v1"
	replicationv1 "github.com/domicile-api/domicile/gen/domicile/replication/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/replication"
)

const (
	// lookAgain is how often a watermark is looked at that nobody tells of.
	lookAgain = 250 * time.Millisecond
	// maxAsked is how many missing entities of a lane are asked for once more, one by one.
	maxAsked = 200
	// maxDifferences is how many differences a RegionVerification lists.
	maxDifferences = 1000
	// giveUpAfter is how many lanes in a row a home may fail to answer for before its others are not asked for.
	giveUpAfter = 3
)

// Verify compares a lane with its home and tells what differs and is not merely on its way: the stream gets the time to pass the
// position at which a difference was found, or a repair that is owed, at most Tuning.Settle.
func (r *Reconciler) Verify(ctx context.Context, s *replicationv1.Stream) (Result, error) {
	c, err := r.newComparison(s, false)
	if err != nil {
		return Result{}, err
	}
	if err := c.compare(ctx); err != nil {
		return c.result, err
	}
	if c.result.Complete, err = c.complete(ctx); err != nil || c.result.Count == 0 {
		return c.result, err
	}
	if err := c.pass(ctx); err != nil {
		return c.result, err
	}
	err = c.confirm(ctx)
	return c.result, err
}

// complete tells whether the region answers for the lane as of the position that it was compared as of.
func (c *comparison) complete(ctx context.Context) (bool, error) {
	lane, err := replication.ReadLane(ctx, c.table, c.tenant, c.stream.GetFeed(), ident.RegionID(c.stream.GetOrigin()), c.lane)
	return lane.Complete && lane.Watermark.Compare(c.result.Q) >= 0, err
}

// pass waits until the watermark is at all that was found.
func (c *comparison) pass(ctx context.Context) error {
	var need ident.Version
	for _, d := range c.result.Differences {
		if need = later(need, d.q); !isRecord(d.ID) {
			need = later(need, d.version())
		}
	}
	deadline := time.NewTimer(c.r.cfg.Tuning.Settle)
	defer deadline.Stop()
	for {
		moved, end := c.watch()
		lane, err := replication.ReadLane(ctx, c.table, c.tenant, c.stream.GetFeed(), ident.RegionID(c.stream.GetOrigin()), c.lane)
		if err != nil || lane.Complete && lane.Watermark.Compare(need) >= 0 {
			end()
			return err
		}
		again := time.NewTimer(lookAgain)
		select {
		case <-moved:
		case <-again.C:
		case <-deadline.C:
			err = errSettled
		case <-ctx.Done():
			err = ctx.Err()
		}
		again.Stop()
		end()
		if errors.Is(err, errSettled) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// errSettled says that the time is up.
var errSettled = errors.New("repair: waited long enough")

func (c *comparison) watch() (moved <-chan struct{}, end func()) {
	if c.r.cfg.Watch == nil {
		return nil, func() {}
	}
	return c.r.cfg.Watch(c.tenant)
}

func later(a, b ident.Version) ident.Version {
	if a.Compare(b) < 0 {
		return b
	}
	return a
}

// version is that of the entity at home; the zero version when it is not there.
func (d *Difference) version() ident.Version {
	return ident.Version{Epoch: ident.Epoch(d.remote.GetEpoch()), Seq: ident.Seq(d.remote.GetSeq())}
}

// confirm drops the differences that are none any more.
func (c *comparison) confirm(ctx context.Context) error {
	kept, asked := c.result.Differences[:0], 0
	for _, d := range c.result.Differences {
		here, err := c.copy(ctx, d.ID)
		if err != nil {
			return err
		}
		stays := c.still(d, here)
		if stays && here == nil && asked < maxAsked {
			asked++
			if stays, err = c.stillAtHome(ctx, d.ID); err != nil {
				return err
			}
		}
		if stays {
			kept = append(kept, d)
		} else {
			c.result.Count--
		}
	}
	c.result.Differences = kept
	return nil
}

// still tells whether what is here now is not what the home had, nor anything later.
func (c *comparison) still(d Difference, here *held) bool {
	if here == nil {
		return d.remote != nil
	}
	if d.remote == nil {
		return here.version.Compare(d.q) <= 0
	}
	digest := here.digest(c.stream.GetFeed())
	if isRecord(d.ID) { // Versions of other lanes say nothing about this one.
		return string(digest[:]) != string(d.remote.GetDigest())
	}
	return here.version.Compare(d.version()) < 0 || here.version.Compare(d.q) <= 0 && string(digest[:]) != string(d.remote.GetDigest())
}

// stillAtHome asks whether the home still has an entity: if it was deleted after the home was asked, its absence here is right.
func (c *comparison) stillAtHome(ctx context.Context, id string) (bool, error) {
	answer, _, err := c.ask(ctx, &peerv1.DigestRequest{Stream: c.stream, From: id, To: id + "\x00"})
	return len(answer.GetEntities()) > 0, err
}

// VerifyAll verifies every lane of a tenant, or of all when the id is empty, that the region has copies of. A lane that could not be
// compared is a difference too. It fails only with the directory or the context.
func (r *Reconciler) VerifyAll(ctx context.Context, tenant ident.TenantID) (*operationsv1.RegionVerification, error) {
	return r.all(ctx, tenant, r.Verify)
}

// RepairAll is VerifyAll with Repair: the differences are those that were found.
func (r *Reconciler) RepairAll(ctx context.Context, tenant ident.TenantID) (*operationsv1.RegionVerification, error) {
	return r.all(ctx, tenant, r.Repair)
}

func (r *Reconciler) all(
	ctx context.Context, tenant ident.TenantID, do func(context.Context, *replicationv1.Stream) (Result, error),
) (*operationsv1.RegionVerification, error) {
	sum := &summary{out: &operationsv1.RegionVerification{Region: string(r.cfg.Region)}, failures: make(map[string]int)}
	work := newCrew(r.cfg.Tuning.Lanes)
	err := r.Streams(ctx, tenant, func(s *replicationv1.Stream) error {
		work.do(func() error {
			if sum.givenUp(s.GetOrigin()) {
				sum.add(s, Result{}, errSilent)
				return nil
			}
			result, err := do(ctx, s)
			sum.add(s, result, err)
			return nil
		})
		return ctx.Err()
	})
	_ = work.wait() // None fails.
	if err == nil {
		err = ctx.Err()
	}
	slices.SortFunc(sum.out.GetDifferences(), func(a, b *operationsv1.Difference) int {
		return cmp.Or(
			strings.Compare(a.GetTenant(), b.GetTenant()), strings.Compare(a.GetFeed(), b.GetFeed()),
			cmp.Compare(a.GetLane(), b.GetLane()), strings.Compare(a.GetId(), b.GetId()),
		)
	})
	return sum.out, err
}

// errSilent stands for what a home did not answer for other lanes.
var errSilent = errors.New("repair: the home does not answer")

// summary adds up what was found in lanes.
type summary struct {
	mu  sync.Mutex
	out *operationsv1.RegionVerification
	// failures are the lanes in a row that a home did not answer for.
	failures map[string]int
}

func (a *summary) givenUp(home string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.failures[home] >= giveUpAfter
}

func (a *summary) add(s *replicationv1.Stream, result Result, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.out.Entities += result.Entities
	a.out.Bytes += result.Bytes
	a.out.Repaired += result.Repaired
	a.out.DifferenceCount += result.Count
	for _, d := range result.Differences {
		a.list(s, d.ID, d.Kind)
	}
	if err != nil {
		a.failures[s.GetOrigin()]++
		a.out.DifferenceCount++
		a.list(s, "", NotCompared)
		return
	}
	a.failures[s.GetOrigin()] = 0
	a.out.Lanes++
}

func (a *summary) list(s *replicationv1.Stream, id string, kind Kind) {
	if len(a.out.GetDifferences()) == maxDifferences {
		return
	}
	a.out.Differences = append(a.out.Differences, &operationsv1.Difference{
		Tenant: s.GetTenant(), Source: s.GetOrigin(), Feed: feedName(s.GetFeed()), Lane: s.GetLane(), Id: id, Kind: string(kind),
	})
}

// feedName is the name of a feed for people.
func feedName(feed replicationv1.Feed) string {
	return strings.ToLower(strings.TrimPrefix(feed.String(), "FEED_"))
}

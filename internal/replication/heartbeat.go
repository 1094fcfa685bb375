package replication

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	replicationv1 "github.com/domicile-api/domicile/gen/domicile/replication/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/queue"
)

// maxReached is how many positions a heartbeat has at the most: about 100 KB.
const maxReached = 1000

// Heartbeat tells a destination until when everything was sent, and the positions that were sent since the last time. When it fails,
// the next one tells them too. Positions that do not fit go ahead in messages without a time.
func (r *Relay) Heartbeat(ctx context.Context, to ident.RegionID) error {
	d, ok := r.destinationOf(to)
	if !ok {
		return fmt.Errorf("replication: region %q is no destination", to)
	}
	until, known := r.sentUntil(d)
	d.mu.Lock()
	reached := d.reached
	d.reached = make(map[streamID]ident.Version)
	d.mu.Unlock()
	err := r.beat(ctx, d, reached, until, known)
	if err != nil {
		d.mu.Lock()
		defer d.mu.Unlock()
		for s, v := range reached {
			if d.reached[s].Compare(v) < 0 {
				d.reached[s] = v
			}
		}
	}
	return err
}

// sentUntil returns a time before which everything committed was sent; false while that is not known. The change feed may
// tell of a commit late, so it is that much before now, or before the oldest that was seen and not sent.
func (r *Relay) sentUntil(d *destination) (time.Time, bool) {
	r.mu.Lock()
	until, scanning, all := r.cfg.Clock(), r.scanning, r.all || r.allNow
	r.mu.Unlock()
	if _, oldest, _, _ := d.work.backlog(); !oldest.IsZero() && oldest.Before(until) {
		until = oldest
	}
	if !scanning.IsZero() && scanning.Before(until) {
		until = scanning
	}
	// While all tenants are to be looked at nothing is known; while some are, what was before they were named.
	return until.Add(-r.cfg.Tuning.FeedDelay), !all
}

func (r *Relay) beat(ctx context.Context, d *destination, reached map[streamID]ident.Version, until time.Time, known bool) error {
	streams := slices.Collect(maps.Keys(reached))
	if len(streams) == 0 && !known {
		return nil
	}
	for first := true; first || len(streams) > 0; first = false {
		part := streams[:min(len(streams), maxReached)]
		streams = streams[len(part):]
		beat := &replicationv1.Heartbeat{Source: string(r.cfg.Region)}
		for _, s := range part {
			beat.Reached = append(beat.GetReached(), &replicationv1.Reached{
				Stream: s.message(), Epoch: uint64(reached[s].Epoch), Seq: uint64(reached[s].Seq),
			})
		}
		if len(streams) == 0 && known {
			beat.SentUntil = timestamppb.New(until)
		}
		if err := r.sendBeat(ctx, d, beat); err != nil {
			return err
		}
	}
	return nil
}

func (r *Relay) sendBeat(ctx context.Context, d *destination, beat *replicationv1.Heartbeat) error {
	body, err := encode(&replicationv1.Envelope{Content: &replicationv1.Envelope_Heartbeat{Heartbeat: beat}})
	if err != nil {
		return err
	}
	d.mu.Lock()
	d.beats++
	number := d.beats
	d.mu.Unlock()
	group := groupOfRegion("heartbeat", r.cfg.Region)
	failed, err := r.cfg.Sender.Send(ctx, d.id, QueueEvents, []queue.Outgoing{{
		Group: group, Deduplication: group + "." + strconv.FormatUint(number, 16) + "." + r.process, Body: body,
	}})
	if err == nil && len(failed) > 0 {
		err = failed[0]
	}
	if err != nil {
		return fmt.Errorf("sending a heartbeat: %w", err)
	}
	d.work.answered()
	return nil
}

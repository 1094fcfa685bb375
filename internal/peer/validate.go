package peer

import (
	"context"
	"regexp"
	"time"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	peerv1 "github.com/domicile-api/domicile/gen/domicile/peer/v1"
	replicationv1 "github.com/domicile-api/domicile/gen/domicile/replication/v1"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/queue"
	"github.com/domicile-api/domicile/internal/store"
)

const (
	// MaxItems is how many items Replicate takes.
	MaxItems = 100
	// MaxFetch is how many ids Fetch takes.
	MaxFetch = 100
	// maxID bounds the id of an entity.
	maxID = 256
	// maxKey bounds a wrapped key.
	maxKey = 64 << 10
)

var tenantID = regexp.MustCompile(`^[a-z][a-z0-9-]{0,38}[a-z0-9]$`)

// replicated reads an item of the directory.
func (s *Server) replicated(caller ident.RegionID, in *peerv1.ReplicatedItem) (Replicated, error) {
	key := store.Key{Partition: string(in.GetPartition()), Sort: string(in.GetSort())}
	if key.Validate() != nil || len(in.GetValue())+len(key.Partition)+len(key.Sort) > store.MaxItemBytes {
		return Replicated{}, invalid("an item's key is not one, or it is too large")
	}
	// A region's word is good for its own writes: one that was taken over must not forge the keys or revocations of another.
	if ident.RegionID(in.GetWriter()) != caller {
		return Replicated{}, fault.New(errorsv1.Reason_REASON_PERMISSION_DENIED, "a region tells what it wrote itself")
	}
	if in.GetExpireTime() != nil && !in.GetExpireTime().IsValid() {
		return Replicated{}, invalid("an item's expiry is not a time")
	}
	var expires time.Time
	if in.GetExpireTime() != nil {
		expires = in.GetExpireTime().AsTime()
	}
	return Replicated{
		Item: store.Item{
			Key:     key,
			Version: ident.Version{Epoch: ident.Epoch(in.GetEpoch()), Seq: ident.Seq(in.GetSeq())},
			Tag: store.Tag{
				Tenant: ident.TenantID(in.GetTenant()), Class: store.ClassGlobal, Jurisdiction: ident.Jurisdiction(in.GetJurisdiction()),
			},
			Expires: expires,
			Value:   in.GetValue(),
		},
		Deleted: in.GetDeleted(), Time: in.GetWriteNanos(), Writer: ident.RegionID(in.GetWriter()),
	}, nil
}

// outgoingMessages checks the messages of a Send as every queue does, so that what a queue would refuse does not get to it.
func outgoingMessages(in []*peerv1.OutgoingMessage) ([]queue.Outgoing, error) {
	if len(in) == 0 || len(in) > queue.MaxBatch {
		return nil, invalid("there are no messages, or too many")
	}
	messages, bytes := make([]queue.Outgoing, 0, len(in)), 0
	for _, m := range in {
		if !queue.IsName(m.GetGroup()) || !queue.IsName(m.GetDeduplication()) {
			return nil, invalid("a message's group or deduplication id is not one")
		}
		bytes += len(m.GetBody())
		messages = append(messages, queue.Outgoing{Group: m.GetGroup(), Deduplication: m.GetDeduplication(), Body: m.GetBody()})
	}
	if bytes > queue.MaxMessageBytes {
		return nil, fault.New(errorsv1.Reason_REASON_TOO_LARGE, "the messages are larger than is allowed").With(errorMetadata, "too_large")
	}
	return messages, nil
}

func checkKey(r *peerv1.DeliverKeyRequest) error {
	switch {
	case !tenantID.MatchString(r.GetTenant()):
		return invalid("the tenant is not an id")
	case r.GetGeneration() == 0 || len(r.GetWrapped()) == 0 || len(r.GetWrapped()) > maxKey:
		return invalid("there is no key, or it is too large")
	case r.GetCreateTime() != nil && !r.GetCreateTime().IsValid():
		return invalid("the key's time is not one")
	}
	return nil
}

// source checks the stream that a repair asks for, and returns the caller.
func (s *Server) source(ctx context.Context, stream *replicationv1.Stream) (ident.RegionID, error) {
	caller, err := s.caller(ctx)
	if err != nil {
		return ident.NoRegion, err
	}
	_, known := replicationv1.Feed_name[int32(stream.GetFeed())]
	_, origin := s.cfg.Topology.Index(ident.RegionID(stream.GetOrigin()))
	switch {
	case s.cfg.Source == nil:
		return ident.NoRegion, unsupported()
	case !tenantID.MatchString(stream.GetTenant()) || !known || stream.GetFeed() == replicationv1.Feed_FEED_UNSPECIFIED ||
		!origin || stream.GetLane() >= ident.Lanes:
		return ident.NoRegion, invalid("the stream is not one")
	case stream.GetFeed() == replicationv1.Feed_FEED_STANDBY && !s.cfg.Topology.SameJurisdiction(caller, s.here):
		return ident.NoRegion, fault.New(errorsv1.Reason_REASON_PERMISSION_DENIED, "whole entities are for regions of the jurisdiction alone")
	}
	return s.cfg.Topology.ID(caller), nil
}

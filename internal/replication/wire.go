package replication

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strconv"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	replicationv1 "github.com/domicile-api/domicile/gen/domicile/replication/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/queue"
)

// streamID names a stream in a map.
type streamID struct {
	tenant ident.TenantID
	feed   replicationv1.Feed
	origin ident.RegionID
	lane   ident.Lane
}

// idOf is the streamID of a stream whose lane was checked.
func idOf(s *replicationv1.Stream) streamID {
	return streamID{
		tenant: ident.TenantID(s.GetTenant()), feed: s.GetFeed(), origin: ident.RegionID(s.GetOrigin()),
		lane: ident.Lane(s.GetLane()), //nolint:gosec // checked where it came in
	}
}

func (s streamID) message() *replicationv1.Stream {
	return &replicationv1.Stream{Tenant: string(s.tenant), Feed: s.feed, Origin: string(s.origin), Lane: uint32(s.lane)}
}

// GroupOf returns the message group of a stream: opaque, 22 characters, the same wherever it is asked.
func GroupOf(s *replicationv1.Stream) string { return idOf(s).group() }

func (s streamID) group() string {
	return opaque("stream", string(s.tenant), strconv.Itoa(int(s.feed)), string(s.origin), strconv.Itoa(int(s.lane)))
}

// groupOfRegion is the message group of what a region says about itself: its heartbeats, its reports of violations.
func groupOfRegion(kind string, region ident.RegionID) string { return opaque(kind, string(region)) }

func opaque(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		_, _ = h.Write([]byte(p)) // A hash never fails.
		_, _ = h.Write([]byte{0})
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:16])
}

// deduplication names a part of a position; incarnation tells the sendings apart that are to be delivered once each.
func deduplication(group, incarnation string, e *replicationv1.Event) string {
	id := group + "." + strconv.FormatUint(e.GetEpoch(), 16) + "." + strconv.FormatUint(e.GetSeq(), 16) + "."
	if e.GetOpen() != nil {
		return id + "o." + incarnation
	}
	return id + strconv.FormatUint(uint64(e.GetPart()), 16) + "." + incarnation
}

// encode returns the body of a message.
func encode(e *replicationv1.Envelope) ([]byte, error) {
	body, err := proto.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("encoding an event: %w", err)
	}
	return body, nil
}

// outgoing makes the message of an event.
func outgoing(group, incarnation string, e *replicationv1.Event) (queue.Outgoing, error) {
	body, err := encode(&replicationv1.Envelope{Content: &replicationv1.Envelope_Event{Event: e}})
	return queue.Outgoing{Group: group, Deduplication: deduplication(group, incarnation, e), Body: body}, err
}

// position is where an event lies in its stream.
func position(e *replicationv1.Event) ident.Version {
	return ident.Version{Epoch: ident.Epoch(e.GetEpoch()), Seq: ident.Seq(e.GetSeq())}
}

// openAt makes the event that begins a stream after a position.
func openAt(s streamID, at ident.Version, commit *timestamppb.Timestamp) *replicationv1.Event {
	return &replicationv1.Event{
		Stream: s.message(), Epoch: uint64(at.Epoch), Seq: uint64(at.Seq), CommitTime: commit,
		What: &replicationv1.Event_Open{Open: &replicationv1.Open{}},
	}
}

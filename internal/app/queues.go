package app

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	replicationv1 "github.com/domicile-api/domicile/gen/domicile/replication/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/replication"
	"github.com/domicile-api/domicile/internal/store"
)

// senderOf says which region sent a message.
func senderOf(body []byte) string {
	var envelope replicationv1.Envelope
	if err := proto.Unmarshal(body, &envelope); err != nil {
		return ""
	}
	return envelope.GetEvent().GetStream().GetOrigin() + envelope.GetHeartbeat().GetSource() + envelope.GetViolation().GetDestination()
}

// oldest is when the oldest message was sent that is in one of the region's queues; the zero time when there is none.
func (s *synchronisation) oldest(ctx context.Context) (time.Time, error) {
	var oldest time.Time
	for _, q := range s.queues {
		depth, err := q.Queue.Depth(ctx)
		if err != nil {
			return time.Time{}, fmt.Errorf("reading how full %s is: %w", q.Name, err)
		}
		if !depth.Oldest.IsZero() && (oldest.IsZero() || depth.Oldest.Before(oldest)) {
			oldest = depth.Oldest
		}
	}
	return oldest, nil
}

// tagger says of messages whose they are, in a region of a jurisdiction.
type tagger struct{ jurisdiction ident.Jurisdiction }

// tagIn says whose a message in a queue is and what it holds. One that does not decode is nobody's, and taken for the worst that the
// queue is for.
func (t tagger) tagIn(name string, body []byte) store.Tag {
	var envelope replicationv1.Envelope
	if err := proto.Unmarshal(body, &envelope); err != nil && name == replication.QueueSealed {
		return store.Tag{Class: store.ClassPII, Jurisdiction: t.jurisdiction}
	}
	return t.tagOf(body)
}

// tagOf says whose a message is and what it holds, as far as it decodes.
func (t tagger) tagOf(body []byte) store.Tag {
	var envelope replicationv1.Envelope
	if err := proto.Unmarshal(body, &envelope); err != nil {
		return store.Tag{Class: store.ClassGlobal}
	}
	e := envelope.GetEvent()
	tag := store.Tag{
		Class: store.ClassGlobal, Jurisdiction: t.jurisdiction,
		Tenant: ident.TenantID(e.GetStream().GetTenant() + envelope.GetViolation().GetStream().GetTenant()),
	}
	switch {
	case e.GetStream().GetFeed() == replicationv1.Feed_FEED_STANDBY:
		tag.Class = store.ClassPII
	case len(e.GetState().GetSealed()) > 0:
		tag.Class = store.ClassRegional
	}
	return tag
}

package app

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	operationsv1 "github.com/domicile-api/domicile/gen/domicile/operations/v1"
	peerv1 "github.com/domicile-api/domicile/gen/domicile/peer/v1"
	replicationv1 "github.com/domicile-api/domicile/gen/domicile/replication/v1"
	"github.com/domicile-api/domicile/internal/audit"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/peer"
	"github.com/domicile-api/domicile/internal/queue"
	"github.com/domicile-api/domicile/internal/replication"
	"github.com/domicile-api/domicile/internal/residency"
	"github.com/domicile-api/domicile/internal/settings"
	"github.com/domicile-api/domicile/internal/store"
)

const (
	// mostListed bounds what an answer lists.
	mostListed = 1000
	// keyShown is how many bytes of a key an audit shows.
	keyShown = 96
	// statusTimeout is how long a region may take to say how it is.
	statusTimeout = 3 * time.Second
)

// operator does what operators ask of one region; it is a peer.Operator.
type operator struct{ region *region }

// Operate implements peer.Operator.
func (o operator) Operate(ctx context.Context, _ ident.RegionID, request *peerv1.OperateRequest) (*peerv1.OperateResponse, error) {
	r := o.region
	switch in := request.GetRequest().(type) {
	case *peerv1.OperateRequest_GetSyncStatus:
		status, err := r.sync.status(ctx)
		return &peerv1.OperateResponse{Response: &peerv1.OperateResponse_GetSyncStatus{
			GetSyncStatus: &operationsv1.GetSyncStatusResponse{Regions: []*operationsv1.RegionSync{status}},
		}}, err
	case *peerv1.OperateRequest_VerifySync:
		found, err := r.sync.compare(ctx, ident.TenantID(in.VerifySync.GetTenant()), false)
		return &peerv1.OperateResponse{Response: &peerv1.OperateResponse_VerifySync{
			VerifySync: &operationsv1.VerifySyncResponse{Regions: []*operationsv1.RegionVerification{found}},
		}}, err
	case *peerv1.OperateRequest_RepairSync:
		found, err := r.sync.compare(ctx, ident.TenantID(in.RepairSync.GetTenant()), true)
		return &peerv1.OperateResponse{Response: &peerv1.OperateResponse_RepairSync{
			RepairSync: &operationsv1.RepairSyncResponse{Regions: []*operationsv1.RegionVerification{found}},
		}}, err
	case *peerv1.OperateRequest_ListDeadLetters:
		letters, err := o.letters(ctx, in.ListDeadLetters.GetIds())
		return &peerv1.OperateResponse{Response: &peerv1.OperateResponse_ListDeadLetters{
			ListDeadLetters: &operationsv1.ListDeadLettersResponse{Letters: letters},
		}}, err
	case *peerv1.OperateRequest_RedriveDeadLetters:
		moved, err := o.redrive(ctx, in.RedriveDeadLetters.GetIds())
		return &peerv1.OperateResponse{Response: &peerv1.OperateResponse_RedriveDeadLetters{
			RedriveDeadLetters: &operationsv1.RedriveDeadLettersResponse{Moved: moved},
		}}, err
	case *peerv1.OperateRequest_DropDeadLetters:
		dropped, err := o.drop(ctx, in.DropDeadLetters.GetIds())
		return &peerv1.OperateResponse{Response: &peerv1.OperateResponse_DropDeadLetters{
			DropDeadLetters: &operationsv1.DropDeadLettersResponse{Dropped: dropped},
		}}, err
	case *peerv1.OperateRequest_ScanAudit:
		found, err := o.scan(ctx)
		return &peerv1.OperateResponse{Response: &peerv1.OperateResponse_ScanAudit{
			ScanAudit: &operationsv1.ScanAuditResponse{Regions: []*operationsv1.RegionAudit{found}},
		}}, err
	case *peerv1.OperateRequest_ReportAudit:
		found, err := o.report(ctx, ident.TenantID(in.ReportAudit.GetTenant()))
		return &peerv1.OperateResponse{Response: &peerv1.OperateResponse_ReportAudit{
			ReportAudit: &operationsv1.ReportAuditResponse{Regions: []*operationsv1.RegionHolding{found}},
		}}, err
	default:
		return nil, fault.New(errorsv1.Reason_REASON_UNSUPPORTED, "this release cannot do what is asked")
	}
}

// operators reaches each region's operator: this one's directly, the others as peers.
type operators struct{ region *region }

// Operate implements operations.Regions.
func (o operators) Operate(ctx context.Context, to ident.RegionID, request *peerv1.OperateRequest) (*peerv1.OperateResponse, error) {
	if to == o.region.id {
		return operator(o).Operate(ctx, to, request)
	}
	if err := o.probe(ctx, to, request); err != nil {
		return nil, err
	}
	if request.GetGetSyncStatus() != nil {
		bounded, cancel := context.WithTimeout(ctx, statusTimeout)
		defer cancel()
		ctx = bounded
	}
	answer, err := o.region.peers.To(to).Operate(ctx, request)
	if errors.Is(err, peer.ErrUnreachable) || errors.Is(err, context.DeadlineExceeded) {
		return nil, fault.Wrap(errorsv1.Reason_REASON_REGION_UNAVAILABLE, err, "the region does not answer")
	}
	if err != nil {
		return nil, fmt.Errorf("asking %s: %w", to, err)
	}
	return answer, nil
}

// probe asks a region for what it answers at once before it is asked for what takes long: a region that is silent is then told from one
// that works.
func (o operators) probe(ctx context.Context, to ident.RegionID, request *peerv1.OperateRequest) error {
	if request.GetGetSyncStatus() != nil {
		return nil
	}
	_, err := o.Operate(ctx, to, &peerv1.OperateRequest{Request: &peerv1.OperateRequest_GetSyncStatus{
		GetSyncStatus: &operationsv1.GetSyncStatusRequest{},
	}})
	return err
}

// letters lists the region's dead letters, of all queues or those with the ids.
func (o operator) letters(ctx context.Context, ids []string) ([]*operationsv1.DeadLetter, error) {
	wanted := setOf(ids)
	var out []*operationsv1.DeadLetter
	for _, q := range o.region.sync.queues {
		messages, err := q.Browse(ctx, mostListed)
		if err != nil {
			return nil, fmt.Errorf("listing dead letters of %s: %w", q.Name, err)
		}
		for _, m := range messages {
			if _, ok := wanted[m.ID]; ok || wanted == nil {
				out = append(out, o.letter(q, m))
			}
		}
	}
	return out, nil
}

// letter is what may be shown of a message: ids, class and reason.
func (o operator) letter(q Queue, m queue.Message) *operationsv1.DeadLetter {
	l := &operationsv1.DeadLetter{
		Region: string(o.region.id), Queue: q.Name, Id: m.ID, Receives: uint32(MaxReceives + m.Receives), //nolint:gosec // a few
		SendTime: timestamppb.New(m.Sent), Bytes: uint64(len(m.Body)), Reason: o.region.sync.applier.Reason(m.ID),
	}
	var envelope replicationv1.Envelope
	content := q.content(m.Body)
	if proto.Unmarshal(content, &envelope) != nil {
		l.DataClass = residency.Label(0)
		return l
	}
	tag := o.region.sync.tags.tagOf(content)
	l.DataClass = classLabel(tag.Class)
	e := envelope.GetEvent()
	if e == nil {
		return l
	}
	l.Source, l.Tenant, l.Feed = e.GetStream().GetOrigin(), e.GetStream().GetTenant(), feedLabel(e.GetStream().GetFeed())
	l.Lane, l.Epoch, l.Seq = e.GetStream().GetLane(), e.GetEpoch(), e.GetSeq()
	switch what := e.GetWhat().(type) {
	case *replicationv1.Event_State:
		l.Entity, l.EntityId = what.State.GetEntity(), what.State.GetId()
	case *replicationv1.Event_Tombstone:
		l.Entity, l.EntityId = what.Tombstone.GetEntity(), what.Tombstone.GetId()
	case *replicationv1.Event_Settings:
		l.Entity, l.EntityId = settings.Entity, what.Settings.GetNamespace()
	}
	return l
}

func feedLabel(feed replicationv1.Feed) string {
	switch feed {
	case replicationv1.Feed_FEED_PROJECTIONS:
		return "projections"
	case replicationv1.Feed_FEED_STANDBY:
		return "standby"
	case replicationv1.Feed_FEED_SETTINGS:
		return "settings"
	case replicationv1.Feed_FEED_UNSPECIFIED:
		return "unknown"
	default:
		return "unknown"
	}
}

func classLabel(c store.Class) string {
	switch c {
	case store.ClassGlobal:
		return "GLOBAL"
	case store.ClassRegional:
		return "REGIONAL"
	case store.ClassPII:
		return "PII"
	default:
		return "unclassified"
	}
}

// setOf returns nil, which stands for all, when there are none.
func setOf(ids []string) map[string]struct{} {
	if len(ids) == 0 {
		return nil
	}
	set := make(map[string]struct{}, len(ids))
	for _, id := range ids {
		set[id] = struct{}{}
	}
	return set
}

func (o operator) redrive(ctx context.Context, ids []string) (uint64, error) {
	var all uint64
	for _, q := range o.region.sync.queues {
		moved, err := queue.Redrive(ctx, q.Dead, q.Queue, setOf(ids), o.region.sync.freshID)
		all += uint64(moved) //nolint:gosec // never negative
		if err != nil {
			return all, fmt.Errorf("putting dead letters of %s back: %w", q.Name, err)
		}
	}
	return all, nil
}

func (o operator) drop(ctx context.Context, ids []string) (uint64, error) {
	var all uint64
	if len(ids) == 0 {
		return 0, faultViolation("ids", "repeated.min_items", "names no message")
	}
	for _, q := range o.region.sync.queues {
		dropped, err := queue.Drop(ctx, q.Dead, setOf(ids))
		all += uint64(dropped) //nolint:gosec // never negative
		if err != nil {
			return all, fmt.Errorf("dropping dead letters of %s: %w", q.Name, err)
		}
	}
	return all, nil
}

func (o operator) scan(ctx context.Context) (*operationsv1.RegionAudit, error) {
	out := &operationsv1.RegionAudit{Region: string(o.region.id)}
	var err error
	out.Items, err = o.region.sync.auditor.Scan(ctx, func(f audit.Finding) {
		out.FindingCount++
		if len(out.GetFindings()) < mostListed {
			out.Findings = append(out.Findings, &operationsv1.AuditFinding{
				Place: f.Place, Tenant: string(f.Tenant), DataClass: classLabel(f.Class), Key: printable(f.Key), Rule: f.Rule,
			})
		}
	})
	if err != nil {
		return nil, fmt.Errorf("auditing %s: %w", o.region.id, err)
	}
	return out, nil
}

// printable is a key for people: no key has personal data in it.
func printable(k store.Key) string {
	text := strconv.QuoteToASCII(k.Partition + " " + k.Sort)
	return text[1:min(len(text)-1, keyShown)]
}

func (o operator) report(ctx context.Context, tenant ident.TenantID) (*operationsv1.RegionHolding, error) {
	holdings, err := o.region.sync.auditor.Report(ctx, tenant)
	if err != nil {
		return nil, fmt.Errorf("reporting on a tenant in %s: %w", o.region.id, err)
	}
	out := &operationsv1.RegionHolding{Region: string(o.region.id)}
	for _, h := range holdings {
		out.Holdings = append(out.Holdings, &operationsv1.Holding{
			Place: h.Place, DataClass: classLabel(h.Class), Items: h.Items, Bytes: h.Bytes,
		})
	}
	if out.HasKey, err = o.region.keys.InUse(ctx, tenant); err != nil {
		return nil, fmt.Errorf("reading the key of a tenant in %s: %w", o.region.id, err)
	}
	out.Settled, out.Projections, err = o.settled(ctx, tenant, holdings)
	return out, err
}

// settled tells whether a tenant's projections here are as its policy wants them.
func (o operator) settled(ctx context.Context, id ident.TenantID, holdings []audit.Holding) (done bool, words string, err error) {
	r := o.region
	t, known := r.sync.Tenant(id)
	switch {
	case !known:
		return false, "the directory here does not have the tenant yet", nil
	case t.Home == r.index:
		return true, "at home", nil
	}
	if !replication.GrantOf(r.sync.topology, t, r.index).Has(replicationv1.Feed_FEED_PROJECTIONS) {
		left := uint64(0)
		for _, h := range holdings {
			if h.Place == ReplicaTable {
				left += h.Items
			}
		}
		if left > 0 {
			return false, fmt.Sprintf("none allowed, %d items to be removed", left), nil
		}
		return true, "none allowed", nil
	}
	marks, err := replication.ReadWatermarks(ctx, r.replica, id, replicationv1.Feed_FEED_PROJECTIONS, r.sync.topology.ID(t.Home))
	if err != nil {
		return false, "", fmt.Errorf("reading how far a tenant's projections are: %w", err)
	}
	complete := 0
	for _, lane := range marks {
		if lane.Complete && lane.Watermark.Epoch == t.Epoch {
			complete++
		}
	}
	if complete < len(marks) {
		return false, fmt.Sprintf("filling, %d of %d lanes complete", complete, len(marks)), nil
	}
	return true, "complete", nil
}

// secondsSince is how long ago a time was; 0 for the zero time and for times to come.
func secondsSince(now, then time.Time) float64 {
	if then.IsZero() {
		return 0
	}
	return max(now.Sub(then).Seconds(), 0)
}

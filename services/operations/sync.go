package operations

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	operationsv1 "github.com/domicile-api/domicile/gen/domicile/operations/v1"
	peerv1 "github.com/domicile-api/domicile/gen/domicile/peer/v1"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/peer"
)

// Regions asks regions for their part of an operator's request.
type Regions interface {
	// Operate returns a region's answer, or why the region gave none.
	Operate(ctx context.Context, region ident.RegionID, request *peerv1.OperateRequest) (*peerv1.OperateResponse, error)
}

// Faults disturbs the regions of a process.
type Faults interface {
	// Inject brings a fault about and returns all that is wrong then, in words.
	Inject(ctx context.Context, f *operationsv1.Fault) ([]string, error)
}

// regionsOf returns the region asked for, or all in the order of the topology.
func (s *service) regionsOf(region string) ([]ident.RegionID, error) {
	if region != "" {
		if _, ok := s.cfg.Topology.Index(ident.RegionID(region)); !ok {
			return nil, violation("region", "known_region", "is none of "+s.regionNames())
		}
		return []ident.RegionID{ident.RegionID(region)}, nil
	}
	return s.cfg.Topology.IDs(), nil
}

// regionNames are the ids of all regions, for people.
func (s *service) regionNames() string {
	names := make([]string, 0, s.cfg.Topology.Len())
	for _, id := range s.cfg.Topology.IDs() {
		names = append(names, string(id))
	}
	return strings.Join(names, ", ")
}

// reply is what a region answered, or why it did not.
type reply struct {
	region   ident.RegionID
	response *peerv1.OperateResponse
	// unreachable says why there is no response.
	unreachable string
}

// noAnswer is why nothing is known of a region that answered, but not what it was asked: another release, perhaps. Like an error
// it must never be taken for a region that has nothing to say.
const noAnswer = "NO_ANSWER"

// ask puts a request to regions at once. What a single region refuses is returned as the refusal if it alone was asked.
func (s *service) ask(ctx context.Context, region string, request *peerv1.OperateRequest) ([]reply, error) {
	regions, err := s.regionsOf(region)
	if err != nil {
		return nil, err
	}
	replies := make([]reply, len(regions))
	errs := make([]error, len(regions))
	var group sync.WaitGroup
	for i, id := range regions {
		group.Go(func() {
			replies[i] = reply{region: id}
			if replies[i].response, errs[i] = s.cfg.Regions.Operate(ctx, id, request); errs[i] != nil {
				replies[i].unreachable = fault.Name(reasonOf(errs[i])) // nothing of the other side's text
			}
		})
	}
	group.Wait()
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("asking the regions: %w", err)
	}
	if len(regions) == 1 && errs[0] != nil && reasonOf(errs[0]) != errorsv1.Reason_REASON_REGION_UNAVAILABLE {
		return nil, errs[0]
	}
	return replies, nil
}

// reasonOf is why a region gave no answer. It is INTERNAL for an error that has no reason: never empty, or the region would look as if it
// had answered.
func reasonOf(err error) errorsv1.Reason {
	switch reason := fault.ReasonOf(err); {
	case errors.Is(err, peer.ErrUnreachable):
		return errorsv1.Reason_REASON_REGION_UNAVAILABLE
	case reason == errorsv1.Reason_REASON_UNSPECIFIED:
		return errorsv1.Reason_REASON_INTERNAL
	default:
		return reason
	}
}

// collect puts together what the regions answered: parts has those of one, silent makes the one that says why a region has none.
func collect[P any](replies []reply, parts func(*peerv1.OperateResponse) []P, silent func(region, why string) P) []P {
	all := make([]P, 0, len(replies))
	for _, r := range replies {
		found := parts(r.response)
		switch {
		case r.unreachable != "":
			all = append(all, silent(string(r.region), r.unreachable))
		case len(found) == 0:
			all = append(all, silent(string(r.region), noAnswer))
		default:
			all = append(all, found...)
		}
	}
	return all
}

// knownTenant refuses a tenant that the directory does not have: nothing would be found of it, and that would look like all is well.
func (s *service) knownTenant(ctx context.Context, tenant string) error {
	_, known, err := s.cfg.Resolver.ResolveTenant(ctx, ident.TenantID(tenant))
	if err == nil && !known {
		err = fault.New(errorsv1.Reason_REASON_TENANT_UNKNOWN, "the directory has no such tenant")
	}
	return err
}

// GetSyncStatus asks each region for its own part.
func (s *service) GetSyncStatus(ctx context.Context, req *operationsv1.GetSyncStatusRequest) (*operationsv1.GetSyncStatusResponse, error) {
	replies, err := s.ask(ctx, req.GetRegion(), &peerv1.OperateRequest{Request: &peerv1.OperateRequest_GetSyncStatus{GetSyncStatus: req}})
	if err != nil {
		return nil, err
	}
	return &operationsv1.GetSyncStatusResponse{Regions: collect(replies,
		func(r *peerv1.OperateResponse) []*operationsv1.RegionSync { return r.GetGetSyncStatus().GetRegions() },
		func(region, why string) *operationsv1.RegionSync {
			return &operationsv1.RegionSync{Region: region, Unreachable: why}
		},
	)}, nil
}

// VerifySync has each region compare its copies with the homes.
func (s *service) VerifySync(ctx context.Context, req *operationsv1.VerifySyncRequest) (*operationsv1.VerifySyncResponse, error) {
	if req.GetTenant() != "" {
		if err := s.knownTenant(ctx, req.GetTenant()); err != nil {
			return nil, err
		}
	}
	replies, err := s.ask(ctx, req.GetRegion(), &peerv1.OperateRequest{Request: &peerv1.OperateRequest_VerifySync{VerifySync: req}})
	if err != nil {
		return nil, err
	}
	return &operationsv1.VerifySyncResponse{Regions: collect(replies,
		func(r *peerv1.OperateResponse) []*operationsv1.RegionVerification {
			return r.GetVerifySync().GetRegions()
		}, notVerified,
	)}, nil
}

// RepairSync has each region repair its copies.
func (s *service) RepairSync(ctx context.Context, req *operationsv1.RepairSyncRequest) (*operationsv1.RepairSyncResponse, error) {
	if req.GetTenant() != "" {
		if err := s.knownTenant(ctx, req.GetTenant()); err != nil {
			return nil, err
		}
	}
	replies, err := s.ask(ctx, req.GetRegion(), &peerv1.OperateRequest{Request: &peerv1.OperateRequest_RepairSync{RepairSync: req}})
	if err != nil {
		return nil, err
	}
	return &operationsv1.RepairSyncResponse{Regions: collect(replies,
		func(r *peerv1.OperateResponse) []*operationsv1.RegionVerification {
			return r.GetRepairSync().GetRegions()
		}, notVerified,
	)}, nil
}

func notVerified(region, why string) *operationsv1.RegionVerification {
	return &operationsv1.RegionVerification{Region: region, Unreachable: why}
}

// ListDeadLetters asks each region for its own.
func (s *service) ListDeadLetters(
	ctx context.Context, req *operationsv1.ListDeadLettersRequest,
) (*operationsv1.ListDeadLettersResponse, error) {
	replies, err := s.ask(ctx, req.GetRegion(), &peerv1.OperateRequest{Request: &peerv1.OperateRequest_ListDeadLetters{ListDeadLetters: req}})
	if err != nil {
		return nil, err
	}
	out := &operationsv1.ListDeadLettersResponse{}
	for _, r := range replies {
		if r.unreachable != "" || r.response.GetListDeadLetters() == nil {
			out.Unreachable = append(out.Unreachable, string(r.region))
			continue
		}
		out.Letters = append(out.Letters, r.response.GetListDeadLetters().GetLetters()...)
	}
	slices.SortStableFunc(out.GetLetters(), func(a, b *operationsv1.DeadLetter) int {
		return a.GetSendTime().AsTime().Compare(b.GetSendTime().AsTime())
	})
	return out, nil
}

// RedriveDeadLetters asks the region that they lie in.
func (s *service) RedriveDeadLetters(
	ctx context.Context, req *operationsv1.RedriveDeadLettersRequest,
) (*operationsv1.RedriveDeadLettersResponse, error) {
	r, err := s.askOne(ctx, req.GetRegion(), &peerv1.OperateRequest{Request: &peerv1.OperateRequest_RedriveDeadLetters{RedriveDeadLetters: req}})
	if err != nil {
		return nil, err
	}
	if r.GetRedriveDeadLetters() == nil {
		return nil, errNoAnswer()
	}
	return r.GetRedriveDeadLetters(), nil
}

// DropDeadLetters asks the region that they lie in.
func (s *service) DropDeadLetters(
	ctx context.Context, req *operationsv1.DropDeadLettersRequest,
) (*operationsv1.DropDeadLettersResponse, error) {
	r, err := s.askOne(ctx, req.GetRegion(), &peerv1.OperateRequest{Request: &peerv1.OperateRequest_DropDeadLetters{DropDeadLetters: req}})
	if err != nil {
		return nil, err
	}
	if r.GetDropDeadLetters() == nil {
		return nil, errNoAnswer()
	}
	return r.GetDropDeadLetters(), nil
}

// askOne puts a request to one region, which must be named: what changes something is not for whichever region comes first.
func (s *service) askOne(ctx context.Context, region string, request *peerv1.OperateRequest) (*peerv1.OperateResponse, error) {
	if region == "" {
		return nil, violation("region", "required", "is required")
	}
	regions, err := s.regionsOf(region)
	if err != nil {
		return nil, err
	}
	r, err := s.cfg.Regions.Operate(ctx, regions[0], request)
	if errors.Is(err, peer.ErrUnreachable) && ctx.Err() == nil {
		return nil, fault.Wrap(errorsv1.Reason_REASON_REGION_UNAVAILABLE, err, "the region does not answer; it may have done what it was asked")
	}
	return r, err
}

func errNoAnswer() error {
	return fault.New(errorsv1.Reason_REASON_INTERNAL, "the region answered something else than it was asked")
}

// ScanAudit has each region look at all that it holds.
func (s *service) ScanAudit(ctx context.Context, req *operationsv1.ScanAuditRequest) (*operationsv1.ScanAuditResponse, error) {
	replies, err := s.ask(ctx, req.GetRegion(), &peerv1.OperateRequest{Request: &peerv1.OperateRequest_ScanAudit{ScanAudit: req}})
	if err != nil {
		return nil, err
	}
	return &operationsv1.ScanAuditResponse{Regions: collect(replies,
		func(r *peerv1.OperateResponse) []*operationsv1.RegionAudit { return r.GetScanAudit().GetRegions() },
		func(region, why string) *operationsv1.RegionAudit {
			return &operationsv1.RegionAudit{Region: region, Unreachable: why}
		},
	)}, nil
}

// ReportAudit has each region say what it holds of a tenant.
func (s *service) ReportAudit(ctx context.Context, req *operationsv1.ReportAuditRequest) (*operationsv1.ReportAuditResponse, error) {
	if err := s.knownTenant(ctx, req.GetTenant()); err != nil {
		return nil, err
	}
	replies, err := s.ask(ctx, req.GetRegion(), &peerv1.OperateRequest{Request: &peerv1.OperateRequest_ReportAudit{ReportAudit: req}})
	if err != nil {
		return nil, err
	}
	return &operationsv1.ReportAuditResponse{Regions: collect(replies,
		func(r *peerv1.OperateResponse) []*operationsv1.RegionHolding { return r.GetReportAudit().GetRegions() },
		func(region, why string) *operationsv1.RegionHolding {
			return &operationsv1.RegionHolding{Region: region, Unreachable: why}
		},
	)}, nil
}

// InjectFault is for development: only a process that runs all regions has faults to inject.
func (s *service) InjectFault(ctx context.Context, req *operationsv1.InjectFaultRequest) (*operationsv1.InjectFaultResponse, error) {
	if s.cfg.Faults == nil {
		return nil, fault.New(errorsv1.Reason_REASON_UNSUPPORTED, "faults can be injected only where all regions run in one process")
	}
	faults, err := s.cfg.Faults.Inject(ctx, req.GetFault())
	if err != nil {
		return nil, err
	}
	return &operationsv1.InjectFaultResponse{Faults: faults}, nil
}

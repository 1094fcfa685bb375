package operations_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/domicile-api/domicile"
	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	operationsv1 "github.com/domicile-api/domicile/gen/domicile/operations/v1"
	"github.com/domicile-api/domicile/gen/domicile/operations/v1/operationsv1connect"
	peerv1 "github.com/domicile-api/domicile/gen/domicile/peer/v1"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/peer"
	"github.com/domicile-api/domicile/internal/routing"
	"github.com/domicile-api/domicile/internal/rpc"
	"github.com/domicile-api/domicile/internal/topology/topologyfile"
	"github.com/domicile-api/domicile/services/operations"
)

// everywhere is all regions, in the order of the topology.
var everywhere = []string{"eu-central-1", "eu-west-1", "us-east-1", "us-west-2", "ap-southeast-1", "sa-east-1"}

// regions answers for each region as the test says, and otherwise with one part of its own.
type regions struct {
	answer map[ident.RegionID]func(context.Context) (*peerv1.OperateResponse, error)

	mu    sync.Mutex
	asked map[ident.RegionID]*peerv1.OperateRequest
}

// Operate implements operations.Regions.
func (r *regions) Operate(ctx context.Context, region ident.RegionID, request *peerv1.OperateRequest) (*peerv1.OperateResponse, error) {
	r.mu.Lock()
	if r.asked == nil {
		r.asked = make(map[ident.RegionID]*peerv1.OperateRequest)
	}
	r.asked[region] = request
	r.mu.Unlock()
	if answer := r.answer[region]; answer != nil {
		return answer(ctx)
	}
	return partOf(string(region), request), nil
}

// partOf is what a region answers that is well.
func partOf(region string, request *peerv1.OperateRequest) *peerv1.OperateResponse {
	out := &peerv1.OperateResponse{}
	switch request.GetRequest().(type) {
	case *peerv1.OperateRequest_GetSyncStatus:
		out.Response = &peerv1.OperateResponse_GetSyncStatus{GetSyncStatus: &operationsv1.GetSyncStatusResponse{
			Regions: []*operationsv1.RegionSync{{Region: region}},
		}}
	case *peerv1.OperateRequest_VerifySync:
		out.Response = &peerv1.OperateResponse_VerifySync{VerifySync: &operationsv1.VerifySyncResponse{
			Regions: []*operationsv1.RegionVerification{{Region: region}},
		}}
	case *peerv1.OperateRequest_RepairSync:
		out.Response = &peerv1.OperateResponse_RepairSync{RepairSync: &operationsv1.RepairSyncResponse{
			Regions: []*operationsv1.RegionVerification{{Region: region}},
		}}
	case *peerv1.OperateRequest_ListDeadLetters:
		out.Response = &peerv1.OperateResponse_ListDeadLetters{ListDeadLetters: &operationsv1.ListDeadLettersResponse{}}
	case *peerv1.OperateRequest_RedriveDeadLetters:
		out.Response = &peerv1.OperateResponse_RedriveDeadLetters{RedriveDeadLetters: &operationsv1.RedriveDeadLettersResponse{Moved: 2}}
	case *peerv1.OperateRequest_DropDeadLetters:
		out.Response = &peerv1.OperateResponse_DropDeadLetters{DropDeadLetters: &operationsv1.DropDeadLettersResponse{Dropped: 3}}
	case *peerv1.OperateRequest_ScanAudit:
		out.Response = &peerv1.OperateResponse_ScanAudit{ScanAudit: &operationsv1.ScanAuditResponse{
			Regions: []*operationsv1.RegionAudit{{Region: region}},
		}}
	case *peerv1.OperateRequest_ReportAudit:
		out.Response = &peerv1.OperateResponse_ReportAudit{ReportAudit: &operationsv1.ReportAuditResponse{
			Regions: []*operationsv1.RegionHolding{{Region: region}},
		}}
	}
	return out
}

func fails(err error) func(context.Context) (*peerv1.OperateResponse, error) {
	return func(context.Context) (*peerv1.OperateResponse, error) { return nil, err }
}

// resolver knows one tenant.
type resolver struct{}

// ResolveTenant implements operations.Resolver.
func (resolver) ResolveTenant(_ context.Context, id ident.TenantID) (routing.Tenant, bool, error) {
	return routing.Tenant{}, id == "acme", nil
}

// serve returns a client of the service.
func serve(t *testing.T, cfg operations.Config) operationsv1connect.OperationsServiceClient {
	t.Helper()
	cfg.Topology, cfg.Resolver = topologyfile.Default(), resolver{}
	faults := connect.WithInterceptors(connect.UnaryInterceptorFunc(func(next connect.UnaryFunc) connect.UnaryFunc {
		return func(ctx context.Context, r connect.AnyRequest) (connect.AnyResponse, error) {
			answer, err := next(ctx, r)
			return answer, asConnect(t, err)
		}
	}))
	path, handler, err := operations.Service(cfg).Register(domicile.Runtime{HandlerOptions: []connect.HandlerOption{faults}})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle(path, handler)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return operationsv1connect.NewOperationsServiceClient(server.Client(), server.URL)
}

// asConnect sends a fault's reason, as the platform's own interceptor does.
func asConnect(t *testing.T, err error) error {
	t.Helper()
	if err == nil {
		return nil
	}
	f := rpc.ToFault(err)
	out := connect.NewError(connect.CodeUnknown, errors.New(f.Message))
	detail, err := connect.NewErrorDetail(&errdetails.ErrorInfo{Reason: fault.Name(f.Reason)})
	if err != nil {
		t.Error(err)
		return out
	}
	out.AddDetail(detail)
	return out
}

// reasonOf is the reason that an error came with; "" when there is no error.
func reasonOf(t *testing.T, err error) string {
	t.Helper()
	if err == nil {
		return ""
	}
	ce, ok := errors.AsType[*connect.Error](err)
	if !ok || len(ce.Details()) != 1 {
		t.Fatalf("not an error of the platform: %v", err)
	}
	v, err := ce.Details()[0].Value()
	if err != nil {
		t.Fatal(err)
	}
	info, ok := v.(*errdetails.ErrorInfo)
	if !ok {
		t.Fatalf("a detail of type %T", v)
	}
	return info.GetReason()
}

// note is what an answer says of one region.
type note struct{ Region, Unreachable string }

// fanOuts are the methods that ask every region, and what they say of each.
var fanOuts = map[string]func(context.Context, operationsv1connect.OperationsServiceClient, string) ([]note, error){
	"status": func(ctx context.Context, c operationsv1connect.OperationsServiceClient, region string) ([]note, error) {
		r, err := c.GetSyncStatus(ctx, &operationsv1.GetSyncStatusRequest{Region: region})
		return notes(r.GetRegions()), err
	},
	"verify": func(ctx context.Context, c operationsv1connect.OperationsServiceClient, region string) ([]note, error) {
		r, err := c.VerifySync(ctx, &operationsv1.VerifySyncRequest{Region: region})
		return notes(r.GetRegions()), err
	},
	"repair": func(ctx context.Context, c operationsv1connect.OperationsServiceClient, region string) ([]note, error) {
		r, err := c.RepairSync(ctx, &operationsv1.RepairSyncRequest{Region: region})
		return notes(r.GetRegions()), err
	},
	"scan": func(ctx context.Context, c operationsv1connect.OperationsServiceClient, region string) ([]note, error) {
		r, err := c.ScanAudit(ctx, &operationsv1.ScanAuditRequest{Region: region})
		return notes(r.GetRegions()), err
	},
	"report": func(ctx context.Context, c operationsv1connect.OperationsServiceClient, region string) ([]note, error) {
		r, err := c.ReportAudit(ctx, &operationsv1.ReportAuditRequest{Region: region, Tenant: "acme"})
		return notes(r.GetRegions()), err
	},
}

func notes[P interface {
	GetRegion() string
	GetUnreachable() string
}](parts []P) []note {
	all := make([]note, 0, len(parts))
	for _, p := range parts {
		all = append(all, note{p.GetRegion(), p.GetUnreachable()})
	}
	return all
}

// Whatever a region fails with, the answer has a word of it: silence would look as if all were well there.
func TestEveryRegionIsSpokenOf(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		saoPaulo func(context.Context) (*peerv1.OperateResponse, error)
		// all is what is said of it among all regions; alone the reason of the error when it alone is asked, or nothing: then it is all's.
		all, alone string
	}{
		"it is well":                     {nil, "", ""},
		"it does not answer":             {fails(fault.New(errorsv1.Reason_REASON_REGION_UNAVAILABLE, "secret text")), "REGION_UNAVAILABLE", ""},
		"the network does not reach it":  {fails(errors.Join(errors.New("dial"), peer.ErrUnreachable)), "REGION_UNAVAILABLE", ""},
		"it refuses":                     {fails(fault.New(errorsv1.Reason_REASON_PERMISSION_DENIED, "no")), "PERMISSION_DENIED", "PERMISSION_DENIED"},
		"it fails in a way without name": {fails(errors.New("disk on fire")), "INTERNAL", "INTERNAL"},
		"it answers nothing": {func(context.Context) (*peerv1.OperateResponse, error) {
			return &peerv1.OperateResponse{}, nil
		}, "NO_ANSWER", ""},
		"it answers something else": {func(context.Context) (*peerv1.OperateResponse, error) {
			return partOf("sa-east-1", &peerv1.OperateRequest{Request: &peerv1.OperateRequest_ListDeadLetters{}}), nil
		}, "NO_ANSWER", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rs := &regions{answer: map[ident.RegionID]func(context.Context) (*peerv1.OperateResponse, error){"sa-east-1": tt.saoPaulo}}
			client := serve(t, operations.Config{Regions: rs})
			want := make([]note, 0, len(everywhere))
			for _, region := range everywhere {
				want = append(want, note{Region: region})
			}
			want[5].Unreachable = tt.all
			for method, ask := range fanOuts {
				got, err := ask(t.Context(), client, "")
				if err != nil {
					t.Fatalf("%s: %v", method, err)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s (-want +got):\n%s", method, diff)
				}
				got, err = ask(t.Context(), client, "sa-east-1")
				if reason := reasonOf(t, err); reason != tt.alone {
					t.Errorf("%s alone: %q, want %q", method, reason, tt.alone)
				}
				if diff := cmp.Diff(want[5:], got); tt.alone == "" && diff != "" {
					t.Errorf("%s alone (-want +got):\n%s", method, diff)
				}
				if _, err := ask(t.Context(), client, "atlantis"); reasonOf(t, err) != "INVALID_ARGUMENT" {
					t.Errorf("%s of a region that there is not: %v", method, err)
				}
			}
		})
	}
}

// One region that takes its time does not keep the others from being asked.
func TestRegionsAreAskedAtOnce(t *testing.T) {
	t.Parallel()
	all := make(chan struct{})
	var waiting sync.WaitGroup
	waiting.Add(len(everywhere))
	rs := &regions{answer: map[ident.RegionID]func(context.Context) (*peerv1.OperateResponse, error){}}
	for _, region := range everywhere {
		rs.answer[ident.RegionID(region)] = func(context.Context) (*peerv1.OperateResponse, error) {
			waiting.Done()
			<-all
			return partOf(region, &peerv1.OperateRequest{Request: &peerv1.OperateRequest_GetSyncStatus{}}), nil
		}
	}
	go func() {
		waiting.Wait()
		close(all)
	}()
	got, err := serve(t, operations.Config{Regions: rs}).GetSyncStatus(t.Context(), &operationsv1.GetSyncStatusRequest{})
	if err != nil || len(got.GetRegions()) != len(everywhere) {
		t.Errorf("%v, %v", got, err)
	}
}

func TestDeadLetters(t *testing.T) {
	t.Parallel()
	letters := func(at ...int64) func(context.Context) (*peerv1.OperateResponse, error) {
		list := &operationsv1.ListDeadLettersResponse{}
		for _, s := range at {
			list.Letters = append(list.Letters, &operationsv1.DeadLetter{SendTime: timestamppb.New(time.Unix(s, 0))})
		}
		return func(context.Context) (*peerv1.OperateResponse, error) {
			return &peerv1.OperateResponse{Response: &peerv1.OperateResponse_ListDeadLetters{ListDeadLetters: list}}, nil
		}
	}
	rs := &regions{answer: map[ident.RegionID]func(context.Context) (*peerv1.OperateResponse, error){
		"eu-west-1": letters(30, 10), "us-east-1": letters(20), "us-west-2": fails(peer.ErrUnreachable),
		"sa-east-1": func(context.Context) (*peerv1.OperateResponse, error) { return &peerv1.OperateResponse{}, nil },
	}}
	client := serve(t, operations.Config{Regions: rs})
	got, err := client.ListDeadLetters(t.Context(), &operationsv1.ListDeadLettersRequest{})
	if err != nil {
		t.Fatal(err)
	}
	want := &operationsv1.ListDeadLettersResponse{Unreachable: []string{"us-west-2", "sa-east-1"}}
	for _, s := range []int64{10, 20, 30} {
		want.Letters = append(want.Letters, &operationsv1.DeadLetter{SendTime: timestamppb.New(time.Unix(s, 0))})
	}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What changes something goes to the one region that is named, and to no other.
func TestOneRegionIsChanged(t *testing.T) {
	t.Parallel()
	changes := map[string]func(operationsv1connect.OperationsServiceClient, string) (uint64, error){
		"redrive": func(c operationsv1connect.OperationsServiceClient, region string) (uint64, error) {
			r, err := c.RedriveDeadLetters(t.Context(), &operationsv1.RedriveDeadLettersRequest{Region: region, Ids: []string{"m1"}})
			return r.GetMoved(), err
		},
		"drop": func(c operationsv1connect.OperationsServiceClient, region string) (uint64, error) {
			r, err := c.DropDeadLetters(t.Context(), &operationsv1.DropDeadLettersRequest{Region: region, Ids: []string{"m1"}})
			return r.GetDropped(), err
		},
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rs := &regions{answer: map[ident.RegionID]func(context.Context) (*peerv1.OperateResponse, error){
				"us-west-2": fails(peer.ErrUnreachable),
				"eu-west-1": fails(fault.New(errorsv1.Reason_REASON_NOT_FOUND, "there is no such dead letter")),
				"us-east-1": func(context.Context) (*peerv1.OperateResponse, error) { return &peerv1.OperateResponse{}, nil },
			}}
			client := serve(t, operations.Config{Regions: rs})
			for region, want := range map[string]string{
				"": "INVALID_ARGUMENT", "atlantis": "INVALID_ARGUMENT", "us-west-2": "REGION_UNAVAILABLE", "eu-west-1": "NOT_FOUND",
				"us-east-1": "INTERNAL", "sa-east-1": "",
			} {
				n, err := change(client, region)
				if got := reasonOf(t, err); got != want || (want == "" && n == 0) {
					t.Errorf("%q: %q, %d, want %q", region, got, n, want)
				}
			}
			if _, asked := rs.asked["eu-central-1"]; asked || len(rs.asked) != 4 {
				t.Errorf("asked were %v", rs.asked)
			}
		})
	}
}

// A tenant that nobody knows has no differences and lies nowhere: that must not look like good news.
func TestTenantsThatNobodyKnows(t *testing.T) {
	t.Parallel()
	rs := &regions{}
	client := serve(t, operations.Config{Regions: rs})
	for _, tenant := range []string{"acme", "nobody"} {
		want := map[string]string{"nobody": "TENANT_UNKNOWN"}[tenant]
		_, err := client.VerifySync(t.Context(), &operationsv1.VerifySyncRequest{Tenant: tenant})
		if got := reasonOf(t, err); got != want {
			t.Errorf("verify %s: %q", tenant, got)
		}
		_, err = client.RepairSync(t.Context(), &operationsv1.RepairSyncRequest{Tenant: tenant})
		if got := reasonOf(t, err); got != want {
			t.Errorf("repair %s: %q", tenant, got)
		}
		_, err = client.ReportAudit(t.Context(), &operationsv1.ReportAuditRequest{Tenant: tenant})
		if got := reasonOf(t, err); got != want {
			t.Errorf("report %s: %q", tenant, got)
		}
	}
	if got := rs.asked["sa-east-1"].GetReportAudit().GetTenant(); got != "acme" {
		t.Errorf("the regions were asked about %q", got)
	}
}

// faults brings about what it is told.
type faults struct{ err error }

// Inject implements operations.Faults.
func (f faults) Inject(_ context.Context, injected *operationsv1.Fault) ([]string, error) {
	return []string{injected.GetPartition() + " is cut off"}, f.err
}

func TestInjectFault(t *testing.T) {
	t.Parallel()
	request := &operationsv1.InjectFaultRequest{Fault: &operationsv1.Fault{Kind: &operationsv1.Fault_Partition{Partition: "sa-east-1"}}}
	_, err := serve(t, operations.Config{}).InjectFault(t.Context(), request)
	if got := reasonOf(t, err); got != "UNSUPPORTED" {
		t.Errorf("where there are no faults: %q", got)
	}
	got, err := serve(t, operations.Config{Faults: faults{}}).InjectFault(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	want := &operationsv1.InjectFaultResponse{Faults: []string{"sa-east-1 is cut off"}}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	refused := fault.New(errorsv1.Reason_REASON_INVALID_ARGUMENT, "no such region")
	if _, err := serve(t, operations.Config{Faults: faults{refused}}).InjectFault(t.Context(), request); reasonOf(t, err) != "INVALID_ARGUMENT" {
		t.Errorf("a fault that is refused: %v", err)
	}
}

package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	operationsv1 "github.com/domicile-api/domicile/gen/domicile/operations/v1"
	"github.com/domicile-api/domicile/gen/domicile/operations/v1/operationsv1connect"
	"github.com/domicile-api/domicile/internal/cli"
)

const operatorKey = "do_key_secret"

// operator answers every call with what the test says, and keeps what it was asked.
type operator struct {
	operationsv1connect.UnimplementedOperationsServiceHandler

	answer proto.Message
	err    error
	asked  proto.Message
}

// reply is the operator's answer to a request, empty when the test has none.
func reply[R any, P interface {
	*R
	proto.Message
}](o *operator, request proto.Message,
) (P, error) {
	o.asked = request
	if o.err != nil {
		return nil, o.err
	}
	if answer, ok := o.answer.(P); ok {
		return answer, nil
	}
	return P(new(R)), nil
}

func (o *operator) GetSyncStatus(_ context.Context, r *operationsv1.GetSyncStatusRequest) (*operationsv1.GetSyncStatusResponse, error) {
	return reply[operationsv1.GetSyncStatusResponse](o, r)
}

func (o *operator) VerifySync(_ context.Context, r *operationsv1.VerifySyncRequest) (*operationsv1.VerifySyncResponse, error) {
	return reply[operationsv1.VerifySyncResponse](o, r)
}

func (o *operator) RepairSync(_ context.Context, r *operationsv1.RepairSyncRequest) (*operationsv1.RepairSyncResponse, error) {
	return reply[operationsv1.RepairSyncResponse](o, r)
}

func (o *operator) ListDeadLetters(_ context.Context, r *operationsv1.ListDeadLettersRequest) (*operationsv1.ListDeadLettersResponse, error) {
	return reply[operationsv1.ListDeadLettersResponse](o, r)
}

func (o *operator) RedriveDeadLetters(
	_ context.Context, r *operationsv1.RedriveDeadLettersRequest,
) (*operationsv1.RedriveDeadLettersResponse, error) {
	return reply[operationsv1.RedriveDeadLettersResponse](o, r)
}

func (o *operator) DropDeadLetters(_ context.Context, r *operationsv1.DropDeadLettersRequest) (*operationsv1.DropDeadLettersResponse, error) {
	return reply[operationsv1.DropDeadLettersResponse](o, r)
}

func (o *operator) ScanAudit(_ context.Context, r *operationsv1.ScanAuditRequest) (*operationsv1.ScanAuditResponse, error) {
	return reply[operationsv1.ScanAuditResponse](o, r)
}

func (o *operator) ReportAudit(_ context.Context, r *operationsv1.ReportAuditRequest) (*operationsv1.ReportAuditResponse, error) {
	return reply[operationsv1.ReportAuditResponse](o, r)
}

func (o *operator) InjectFault(_ context.Context, r *operationsv1.InjectFaultRequest) (*operationsv1.InjectFaultResponse, error) {
	return reply[operationsv1.InjectFaultResponse](o, r)
}

// refusal is an error as the platform sends it.
func refusal(t *testing.T, reason, text string) error {
	t.Helper()
	err := connect.NewError(connect.CodeInvalidArgument, errors.New(text))
	detail, e := connect.NewErrorDetail(&errdetails.ErrorInfo{Domain: "domicile.dev", Reason: reason})
	if e != nil {
		t.Fatal(e)
	}
	err.AddDetail(detail)
	return err
}

type run struct {
	code           int
	stdout, stderr string
}

// domicile runs the command line against the operator; against nobody if it is nil.
func domicile(t *testing.T, o *operator, args ...string) run {
	t.Helper()
	server := "http://127.0.0.1:1"
	if o != nil {
		path, handler := operationsv1connect.NewOperationsServiceHandler(o)
		mux := http.NewServeMux()
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "Bearer "+operatorKey {
				t.Errorf("%q is no operator's key", r.Header.Get("Authorization"))
			}
			handler.ServeHTTP(w, r)
		})
		s := httptest.NewServer(mux)
		defer s.Close()
		server = s.URL
	}
	env := map[string]string{"DOMICILE_SERVER": server, "DOMICILE_OPERATOR_KEY": operatorKey}
	var out, complaints bytes.Buffer
	code := cli.Main(cli.Config{
		Name: "domicile", Stdout: &out, Stderr: &complaints,
		Env: func(name string) (string, bool) { v, ok := env[name]; return v, ok },
	}, args)
	return run{code, out.String(), complaints.String()}
}

// cells are the words of the table's rows, so that its spaces do not matter.
func cells(text string) []string {
	var rows []string
	for line := range strings.Lines(text) {
		rows = append(rows, strings.Join(strings.Fields(line), " "))
	}
	return rows
}

func verification(regions ...*operationsv1.RegionVerification) *operationsv1.VerifySyncResponse {
	return &operationsv1.VerifySyncResponse{Regions: regions}
}

// The exit code says what a script must know, and the table what a person must.
func TestExitCodes(t *testing.T) {
	t.Parallel()
	equal := &operationsv1.RegionVerification{Region: "eu-west-1", Lanes: 8, Entities: 5}
	differs := &operationsv1.RegionVerification{Region: "sa-east-1", DifferenceCount: 2, Repaired: 1, Differences: []*operationsv1.Difference{
		{Kind: "missing", Tenant: "acme", Feed: "projections", Lane: 3, Source: "eu-central-1", Id: "usr_1"},
	}}
	repaired := &operationsv1.RegionVerification{Region: "sa-east-1", DifferenceCount: 2, Repaired: 2}
	silent := &operationsv1.RegionVerification{Region: "us-west-2", Unreachable: "REGION_UNAVAILABLE"}
	repairs := func(regions ...*operationsv1.RegionVerification) proto.Message {
		return &operationsv1.RepairSyncResponse{Regions: regions}
	}
	clean, dirty := &operationsv1.RegionAudit{Region: "eu-west-1", Items: 9}, &operationsv1.RegionAudit{
		Region: "sa-east-1", Items: 4, FindingCount: 1,
		Findings: []*operationsv1.AuditFinding{{Place: "replica", Tenant: "acme", DataClass: "PII", Key: "t/acme/3 e/usr_1", Rule: "personal data among projections"}},
	}
	scans := func(regions ...*operationsv1.RegionAudit) proto.Message {
		return &operationsv1.ScanAuditResponse{Regions: regions}
	}
	holding := &operationsv1.RegionHolding{Region: "eu-west-1", HasKey: true, Settled: true, Holdings: []*operationsv1.Holding{
		{Place: "regional", DataClass: "PII", Items: 2, Bytes: 300},
	}}
	reports := func(regions ...*operationsv1.RegionHolding) proto.Message {
		return &operationsv1.ReportAuditResponse{Regions: regions}
	}
	letter := &operationsv1.DeadLetter{
		Region: "sa-east-1", Queue: "events", Id: "m1", Source: "eu-central-1", Tenant: "acme", Feed: "projections", Lane: 3, Epoch: 1, Seq: 42,
		Entity: "domicile.profile.v1.User", EntityId: "usr_1", DataClass: "GLOBAL", Reason: "it does not decode", Receives: 5, Bytes: 77,
		SendTime: timestamppb.New(time.Unix(0, 0)),
	}
	letters := &operationsv1.ListDeadLettersResponse{Letters: []*operationsv1.DeadLetter{letter}}
	tests := map[string]struct {
		args   string
		answer proto.Message
		code   int
		stdout string
		stderr string
	}{
		"all regions agree":                  {"sync verify", verification(equal), cli.ExitOK, "eu-west-1 8 5 0 0 0 equal", ""},
		"one differs":                        {"sync verify", verification(equal, differs), cli.ExitRefused, "missing: acme projections lane 3 of eu-central-1: usr_1", "1 of 2 regions differ"},
		"one was repaired, and had differed": {"sync verify", verification(repaired), cli.ExitRefused, "differs", "1 of 1 regions differ"},
		"one could not be compared":          {"sync verify", verification(equal, silent), cli.ExitRefused, "not reached: REGION_UNAVAILABLE", "1 of 2 regions could not"},
		"none was compared":                  {"sync verify", verification(), cli.ExitRefused, "", "no region was compared"},
		"all is repaired":                    {"sync repair", repairs(equal, repaired), cli.ExitOK, "sa-east-1", ""},
		"not all is repaired":                {"sync repair", repairs(differs), cli.ExitRefused, "differs", "1 of 1"},
		"not all could be repaired":          {"sync repair", repairs(silent), cli.ExitRefused, "not reached", "could not be compared"},
		"verify takes no words":              {"sync verify sa-east-1", nil, cli.ExitUsage, "", "unknown command"},
		"sync alone explains itself":         {"sync", nil, cli.ExitOK, "status", ""},
		"a clean scan":                       {"audit scan", scans(clean), cli.ExitOK, "eu-west-1 9 0 clean", ""},
		"a scan that finds":                  {"audit scan", scans(clean, dirty), cli.ExitRefused, "PII of acme in replica: t/acme/3 e/usr_1: personal data among projections", "1 items"},
		"a scan with a silent region":        {"audit scan", scans(clean, &operationsv1.RegionAudit{Region: "us-west-2", Unreachable: "INTERNAL"}), cli.ExitRefused, "not reached: INTERNAL", "1 regions could not be scanned"},
		"a scan of nothing":                  {"audit scan", scans(), cli.ExitRefused, "", "no region was scanned"},
		"a report":                           {"audit report acme", reports(holding), cli.ExitOK, "eu-west-1 regional PII 2 300 true", ""},
		"a report with a silent region":      {"audit report acme", reports(holding, &operationsv1.RegionHolding{Region: "us-west-2", Unreachable: "INTERNAL"}), cli.ExitRefused, "us-west-2 not reached: INTERNAL", "1 regions"},
		"a report of nobody":                 {"audit report", nil, cli.ExitUsage, "", "accepts 1 arg"},
		"dead letters":                       {"dlq list", letters, cli.ExitOK, "sa-east-1 events m1 eu-central-1 acme projections/3/1.42 GLOBAL 5 1970-01-01T00:00:00Z it does not decode", ""},
		"no dead letters":                    {"dlq list", nil, cli.ExitOK, "REGION", ""},
		"dead letters of some": {
			"dlq list", &operationsv1.ListDeadLettersResponse{Unreachable: []string{"us-west-2"}}, cli.ExitRefused, "REGION", "1 regions could not be asked: [us-west-2]",
		},
		"one dead letter":             {"dlq show m1", letters, cli.ExitOK, "position epoch 1, number 42", ""},
		"one that there is not":       {"dlq show m2", nil, cli.ExitRefused, "", "no such dead letter"},
		"one that may be elsewhere":   {"dlq show m2", &operationsv1.ListDeadLettersResponse{Unreachable: []string{"us-west-2"}}, cli.ExitRefused, "", "not asked: [us-west-2]"},
		"two at once":                 {"dlq show m1 m2", nil, cli.ExitUsage, "", "accepts 1 arg"},
		"redrive":                     {"dlq redrive --region sa-east-1 m1", &operationsv1.RedriveDeadLettersResponse{Moved: 3}, cli.ExitOK, "3", ""},
		"redrive all":                 {"dlq redrive --region sa-east-1 --all", &operationsv1.RedriveDeadLettersResponse{Moved: 4}, cli.ExitOK, "4", ""},
		"redrive of nothing":          {"dlq redrive --region sa-east-1", nil, cli.ExitUsage, "", "ids or --all"},
		"redrive of some and all":     {"dlq redrive --region sa-east-1 --all m1", nil, cli.ExitUsage, "", "ids or --all"},
		"redrive of anywhere":         {"dlq redrive --all", nil, cli.ExitUsage, "", "--region"},
		"drop":                        {"dlq drop --region sa-east-1 m1 m2", &operationsv1.DropDeadLettersResponse{Dropped: 2}, cli.ExitOK, "2", ""},
		"drop of anywhere":            {"dlq drop m1", nil, cli.ExitUsage, "", "--region"},
		"drop of nothing":             {"dlq drop --region sa-east-1", nil, cli.ExitUsage, "", "at least 1"},
		"a fault":                     {"fault partition sa-east-1", &operationsv1.InjectFaultResponse{Faults: []string{"sa-east-1 is cut off"}}, cli.ExitOK, "sa-east-1 is cut off", ""},
		"no fault any more":           {"fault heal", nil, cli.ExitOK, "nothing is wrong", ""},
		"a fault of nothing":          {"fault crash", nil, cli.ExitUsage, "", "accepts 1 arg"},
		"a lag beyond all bounds":     {"fault disturb --lag 11m", nil, cli.ExitUsage, "", "0 to 10m"},
		"a lag into the past":         {"fault disturb --lag -1s", nil, cli.ExitUsage, "", "0 to 10m"},
		"a lag that is none":          {"fault disturb --lag soon", nil, cli.ExitUsage, "", "--help"},
		"a lag":                       {"fault disturb --lag 2s", &operationsv1.InjectFaultResponse{Faults: []string{"all is 2s late"}}, cli.ExitOK, "all is 2s late", ""},
		"an output that there is not": {"sync status -o xml", nil, cli.ExitUsage, "", "table or json"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := domicile(t, &operator{answer: tt.answer}, strings.Fields(tt.args)...)
			if got.code != tt.code || !strings.Contains(strings.Join(cells(got.stdout), "\n"), tt.stdout) || !strings.Contains(got.stderr, tt.stderr) ||
				(tt.stderr == "") != (got.stderr == "") {
				t.Errorf("exit %d instead of %d, or texts without %q, %q:\n%s\n%s", got.code, tt.code, tt.stdout, tt.stderr, got.stdout, got.stderr)
			}
		})
	}
}

// What the platform refuses is 1 with its reason, and a platform that is not there is 3, of every command.
func TestRefusedAndUnreachable(t *testing.T) {
	t.Parallel()
	for _, command := range []string{
		"sync status", "sync verify", "sync repair", "audit scan", "audit report acme", "dlq list", "dlq show m1", "dlq redrive --region r --all",
		"dlq drop --region r m1", "fault partition r", "fault crash r", "fault restart r", "fault heal", "fault disturb",
	} {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			got := domicile(t, &operator{err: refusal(t, "UNSUPPORTED", "it does not do that")}, strings.Fields(command)...)
			if got.code != cli.ExitRefused || got.stdout != "" || !strings.Contains(got.stderr, "UNSUPPORTED: it does not do that") {
				t.Errorf("refused: %+v", got)
			}
			got = domicile(t, nil, strings.Fields(command)...)
			if got.code != cli.ExitUnreachable || got.stdout != "" || !strings.Contains(got.stderr, "does not answer") {
				t.Errorf("unreachable: %+v", got)
			}
		})
	}
}

// Flags and words arrive as they were meant.
func TestRequests(t *testing.T) {
	t.Parallel()
	tests := map[string]proto.Message{
		"sync status --region r":            &operationsv1.GetSyncStatusRequest{Region: "r"},
		"sync verify --region r --tenant t": &operationsv1.VerifySyncRequest{Region: "r", Tenant: "t"},
		"sync repair --region r --tenant t": &operationsv1.RepairSyncRequest{Region: "r", Tenant: "t"},
		"audit scan --region r":             &operationsv1.ScanAuditRequest{Region: "r"},
		"audit report t":                    &operationsv1.ReportAuditRequest{Tenant: "t"},
		"dlq list --region r":               &operationsv1.ListDeadLettersRequest{Region: "r"},
		"dlq show --region r m1":            &operationsv1.ListDeadLettersRequest{Region: "r", Ids: []string{"m1"}},
		"dlq redrive --region r m1 m2":      &operationsv1.RedriveDeadLettersRequest{Region: "r", Ids: []string{"m1", "m2"}},
		"dlq redrive --region r --all":      &operationsv1.RedriveDeadLettersRequest{Region: "r"},
		"dlq drop --region r m1":            &operationsv1.DropDeadLettersRequest{Region: "r", Ids: []string{"m1"}},
		"fault partition r":                 injected(&operationsv1.Fault{Kind: &operationsv1.Fault_Partition{Partition: "r"}}),
		"fault crash r":                     injected(&operationsv1.Fault{Kind: &operationsv1.Fault_Crash{Crash: "r"}}),
		"fault restart r":                   injected(&operationsv1.Fault{Kind: &operationsv1.Fault_Restart{Restart: "r"}}),
		"fault heal":                        injected(&operationsv1.Fault{Kind: &operationsv1.Fault_Heal{Heal: &operationsv1.Heal{}}}),
		"fault disturb":                     injected(&operationsv1.Fault{Kind: &operationsv1.Fault_Disturbance{Disturbance: &operationsv1.Disturbance{}}}),
		"fault disturb --from a --to b --lag 1500ms --duplicate 20 --reorder 30": injected(&operationsv1.Fault{
			Kind: &operationsv1.Fault_Disturbance{Disturbance: &operationsv1.Disturbance{
				Source: "a", Destination: "b", LagMillis: 1500, DuplicatePercent: 20, ReorderPercent: 30,
			}},
		}),
	}
	for command, want := range tests {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			o := &operator{}
			_ = domicile(t, o, strings.Fields(command)...)
			if diff := cmp.Diff(want, o.asked, protocmp.Transform()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func injected(f *operationsv1.Fault) *operationsv1.InjectFaultRequest {
	return &operationsv1.InjectFaultRequest{Fault: f}
}

// The table of pairs has what either end says, also of a region that is cut off, and "?" for what nobody said.
func TestSyncStatusTable(t *testing.T) {
	t.Parallel()
	status := &operationsv1.GetSyncStatusResponse{Regions: []*operationsv1.RegionSync{
		{Region: "eu-central-1", Outbound: []*operationsv1.Outbound{
			{Destination: "eu-west-1", Events: 3, OldestSeconds: 1.5},
			{Destination: "sa-east-1", Events: 900, OldestSeconds: 60, LanesLost: 1, Failure: "REGION_UNAVAILABLE"},
		}},
		{
			Region: "eu-west-1", LanesBehind: 2,
			Inbound: []*operationsv1.Inbound{
				{Source: "eu-central-1", Events: 4, LagSeconds: 0.25, Violations: 5}, {Source: "sa-east-1", Events: 6},
			},
			Queues: []*operationsv1.QueueState{{Name: "events", DeadLetters: 1}, {Name: "sealed", DeadLetters: 6}},
		},
		{Region: "sa-east-1", Unreachable: "REGION_UNAVAILABLE"},
		{Region: "us-west-2", Unreachable: "INTERNAL"},
	}}
	got := domicile(t, &operator{answer: status}, "sync", "status")
	want := []string{
		"SOURCE DESTINATION NOT SENT IN QUEUE LAST LAG OLDEST LOST VIOLATIONS NOTE",
		"eu-central-1 eu-west-1 3 4 250ms 1.5s 0 5",
		"sa-east-1 eu-west-1 ? 6 0s ? ? 0",
		"(all) eu-west-1 7 dead letters, 2 lanes wait for a repair",
		"eu-central-1 sa-east-1 900 ? ? 1m0s 1 ? not reached: REGION_UNAVAILABLE",
		"(any) us-west-2 ? ? ? ? ? ? not reached: INTERNAL",
	}
	if diff := cmp.Diff(want, cells(got.stdout)); got.code != cli.ExitOK || diff != "" {
		t.Errorf("exit %d %s (-want +got):\n%s", got.code, got.stderr, diff)
	}
}

// JSON is the message itself, whatever the exit code is.
func TestJSON(t *testing.T) {
	t.Parallel()
	answer := verification(&operationsv1.RegionVerification{Region: "sa-east-1", DifferenceCount: 2})
	got := domicile(t, &operator{answer: answer}, "sync", "verify", "--output", "json")
	var read map[string]any
	if err := json.Unmarshal([]byte(got.stdout), &read); err != nil {
		t.Fatalf("%v: %s", err, got.stdout)
	}
	want := map[string]any{"regions": []any{map[string]any{"region": "sa-east-1", "differenceCount": "2"}}}
	if diff := cmp.Diff(want, read); got.code != cli.ExitRefused || diff != "" {
		t.Errorf("exit %d (-want +got):\n%s", got.code, diff)
	}
	if got := domicile(t, &operator{}, "fault", "heal", "-o", "json"); got.code != cli.ExitOK || strings.TrimSpace(got.stdout) != "{}" {
		t.Errorf("heal: %+v", got)
	}
}

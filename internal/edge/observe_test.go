package edge_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	"github.com/domicile-api/domicile/internal/edge"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/rpc"
	"github.com/domicile-api/domicile/internal/rpc/mount"
	"github.com/domicile-api/domicile/internal/rpc/rpctest"
)

// ledger keeps what an edge logs and counts.
type ledger struct {
	mu    sync.Mutex
	log   bytes.Buffer
	calls []edge.Observation
	done  chan struct{}
}

func (l *ledger) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.log.Write(p)
}

// Observe implements edge.Metrics.
func (l *ledger) Observe(o edge.Observation) {
	l.mu.Lock()
	l.calls = append(l.calls, o)
	l.mu.Unlock()
}

func (l *ledger) last(t testing.TB) (edge.Observation, map[string]any) {
	t.Helper()
	<-l.done
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := strings.Split(strings.TrimSpace(l.log.String()), "\n")
	var line map[string]any
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &line); err != nil {
		t.Fatalf("%q: %v", lines[len(lines)-1], err)
	}
	return l.calls[len(l.calls)-1], line
}

// doneHandler tells when a record was handled, which is after the answer.
type doneHandler struct {
	slog.Handler

	done chan struct{}
}

func (h doneHandler) Handle(ctx context.Context, r slog.Record) error {
	err := h.Handler.Handle(ctx, r)
	h.done <- struct{}{}
	return err
}

func observed(t testing.TB) (*platform, map[ident.RegionID]*ledger) {
	t.Helper()
	ledgers := make(map[ident.RegionID]*ledger)
	p := newPlatform(t, platformConfig{edge: func(pl *place, c *edge.Config) {
		l := &ledger{done: make(chan struct{}, 64)}
		ledgers[pl.id] = l
		c.Metrics, c.Logger = l, slog.New(doneHandler{slog.NewJSONHandler(l, nil), l.done})
	}})
	return p, ledgers
}

// A call leaves one line and one observation at the edge it came to. The caller's address is in the log of the home's jurisdiction
// alone, and nothing of the call's content anywhere.
func TestAccessLog(t *testing.T) {
	t.Parallel()
	p, ledgers := observed(t)
	for _, tt := range []struct {
		name             string
		through          ident.RegionID
		tenant           ident.TenantID
		path             string
		action, reason   string
		procedure        string
		status           int
		target           ident.RegionID
		address, tenanty bool
	}{
		{"at home", "eu-central-1", "acme-eu", "/v1/users/canary-id", "local", "", "/domicile.profile.v1.ProfileService/GetUser", 404, "eu-central-1", true, true},
		{"in the jurisdiction", "eu-west-1", "acme-eu", "/v1/users/canary-id", "forward", "", "/domicile.profile.v1.ProfileService/GetUser", 404, "eu-central-1", true, true},
		{"abroad", "us-east-1", "acme-eu", "/v1/users/canary-id", "forward", "", "/domicile.profile.v1.ProfileService/GetUser", 404, "eu-central-1", false, true},
		{"refused abroad", "us-east-1", "bank-eu", "/v1/users/canary-id", "redirect", "WRONG_REGION", "/domicile.profile.v1.ProfileService/GetUser", 421, "eu-central-1", false, true},
		{"of nobody", "us-east-1", "", "/v1/users/canary-id", "refuse", "CREDENTIAL_MISSING", "/domicile.profile.v1.ProfileService/GetUser", 401, "", false, false},
		{"to nowhere", "us-east-1", "acme-eu", "/v1/canary-path", "refuse", "VERSION_UNAVAILABLE", "", 404, "", false, false},
		{"of health", "us-east-1", "", "/grpc.health.v1.Health/Check", "infrastructure", "", "", 405, "", false, false},
	} {
		r := p.request(t, tt.through, tt.tenant, http.MethodGet, tt.path, "", nil)
		r.Header.Set("X-Forwarded-For", "203.0.113.9")
		r.Header.Set("User-Agent", "canary-agent")
		rpctest.Exchange(t, rpctest.H1(t), r)
		call, line := ledgers[tt.through].last(t)
		if call.Action != tt.action || call.Procedure != tt.procedure || call.Status != tt.status || call.Target != tt.target || call.Duration <= 0 {
			t.Errorf("%s: %+v", tt.name, call)
		}
		if reason := rpc.ReasonName(call.Reason); call.Reason != errorsv1.Reason_REASON_UNSPECIFIED && reason != tt.reason {
			t.Errorf("%s: %s", tt.name, reason)
		}
		if line["client"] == "127.0.0.1" != tt.address {
			t.Errorf("%s: address: %v", tt.name, line)
		}
		if (line["tenant"] == string(tt.tenant)) != tt.tenanty || line["action"] != tt.action || line["edge"] != string(tt.through) {
			t.Errorf("%s: %v", tt.name, line)
		}
	}
	for id, l := range ledgers {
		l.mu.Lock()
		log := l.log.String()
		l.mu.Unlock()
		for _, secret := range []string{"canary", "7391", "203.0.113.9", "dk_"} {
			if strings.Contains(log, secret) {
				t.Errorf("%s logged %s: %s", id, secret, log)
			}
		}
		if id != "eu-central-1" && id != "eu-west-1" && strings.Contains(log, "127.0.0.1") {
			t.Errorf("%s logged an address: %s", id, log)
		}
	}
}

// One trace covers the edge and the service in another region, and says nothing of the caller.
func TestOneTrace(t *testing.T) {
	t.Parallel()
	spans := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	t.Cleanup(func() { _ = provider.Shutdown(context.Background()) })
	p := newPlatform(t, platformConfig{
		edge: func(_ *place, c *edge.Config) { c.Tracer, c.Propagator = provider, propagation.TraceContext{} },
		rpc:  func(c *mount.Config) { c.Tracer, c.Propagator = provider, propagation.TraceContext{} },
	})
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	r := p.request(t, "us-east-1", "acme-eu", http.MethodGet, "/v1/users/canary-id", "", nil)
	r.Header.Set("Traceparent", "00-"+trace+"-00f067aa0ba902b7-01")
	got := rpctest.Exchange(t, rpctest.H1(t), r)
	if err := provider.ForceFlush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if parent := got.Header.Get("Traceparent"); !strings.HasPrefix(parent, "00-"+trace) || len(got.Header.Values("Traceparent")) != 1 {
		t.Errorf("Traceparent of the answer: %v", got.Header.Values("Traceparent"))
	}
	kinds := make(map[string]int)
	for _, span := range spans.Started() {
		kinds[span.Name()]++
		if span.SpanContext().TraceID().String() != trace {
			t.Errorf("%s is of another trace", span.Name())
		}
		for _, attr := range span.Attributes() {
			if v := attr.Value.String(); strings.Contains(v, "canary") || strings.Contains(v, "127.0.0.1") {
				t.Errorf("%s: %s=%s", span.Name(), attr.Key, v)
			}
		}
	}
	if kinds["edge"] != 2 || len(kinds) != 2 {
		t.Errorf("spans: %v", kinds)
	}
}

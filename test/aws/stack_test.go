//go:build aws

package aws_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/domicile-api/domicile/internal/app"
	"github.com/domicile-api/domicile/internal/app/developers"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/lambdahost"
	"github.com/domicile-api/domicile/internal/topology"
	"github.com/domicile-api/domicile/openapi"
)

// stack is a deployment as AWS runs it: the services of each region, and its functions with what feeds them.
type stack struct {
	*deployed

	t        testing.TB
	packed   string
	log      *output
	regions  map[string]*regionStack
	control  *app.Platform
	operator string
	keys     map[string]string
}

// regionStack is what runs of a region.
type regionStack struct {
	// edge is the URL of the HTTP API.
	edge          string
	relay, events *feed
	sealed        *feed
	sweep         *lambdahost.Function
	// aws stands between the function that applies events and AWS; applying is the function.
	aws      *proxy
	applying *witness
}

// startStack makes a deployment of three regions and starts all of it.
func startStack(t testing.TB) *stack {
	t.Helper()
	topo := parse(t, threeRegions(freeBase(t), true))
	s := &stack{deployed: deploy(t, spec{topology: topo}), t: t, log: &output{}, regions: make(map[string]*regionStack)}
	packed, err := topology.Marshal(topo)
	if err != nil {
		t.Fatal(err)
	}
	s.packed = filepath.Join(t.TempDir(), "topology.bin")
	if err := os.WriteFile(s.packed, packed, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	for _, p := range s.startServices(ctx) {
		if err := p.WaitReady(ctx); err != nil {
			t.Fatalf("not ready: %v\n%s", err, s.log.tail())
		}
	}
	for _, i := range topo.Regions() {
		s.startFunctions(i)
	}
	s.operator, s.keys = s.control.Demo().OperatorKey, keysOf(s.control)
	return s
}

// startServices starts the services of all regions, without what functions do. None gets ready before the control region.
func (s *stack) startServices(ctx context.Context) []*app.Platform {
	s.t.Helper()
	portal, err := developers.New(openapi.Files)
	if err != nil {
		s.t.Fatal(err)
	}
	started := make([]*app.Platform, 0, s.topology.Len())
	for _, i := range s.topology.Regions() {
		cfg := configOf(s.t, s.deployed, s.log)
		port := s.topology.Port(i) + servicesOffset
		cfg.Regions, cfg.Functions, cfg.Portal = []ident.RegionID{s.topology.ID(i)}, true, portal
		cfg.Port, cfg.OperationsPort = port, port+operationsOffset-servicesOffset
		p, err := app.Start(ctx, cfg)
		if err != nil {
			s.t.Fatalf("starting %s: %v", s.topology.ID(i), err)
		}
		s.t.Cleanup(func() {
			if err := p.Close(); err != nil {
				s.t.Errorf("stopping: %v", err)
			}
		})
		if i == s.topology.Control() {
			s.control = p
		}
		started = append(started, p)
	}
	return started
}

// startFunctions makes the region's functions and feeds them.
func (s *stack) startFunctions(i topology.Index) {
	s.t.Helper()
	id, c := string(s.topology.ID(i)), s.at(i)
	r := &regionStack{aws: newProxy(s.t)}
	s.regions[id] = r
	gateway, err := lambdahost.NewGateway(lambdahost.GatewayConfig{Function: s.function(i, "edge", os.Getenv("AWS_ENDPOINT_URL"), time.Minute)})
	if err != nil {
		s.t.Fatal(err)
	}
	front := httptest.NewServer(gateway)
	s.t.Cleanup(front.Close)
	r.edge = front.URL
	r.relay = s.feedStream(i, s.function(i, "relay", os.Getenv("AWS_ENDPOINT_URL"), time.Minute), false)
	r.applying = &witness{function: s.function(i, "apply-events", r.aws.url(), 3*time.Second)}
	r.events = s.feedQueue(c, s.names.Queue("events"), r.applying, id)
	if len(queuesOf(s.topology, i)) > 1 {
		r.sealed = s.feedQueue(c, s.names.Queue("sealed"), s.function(i, "apply-sealed", os.Getenv("AWS_ENDPOINT_URL"), time.Minute), id)
	}
	r.sweep = s.function(i, "sweep", os.Getenv("AWS_ENDPOINT_URL"), time.Minute)
}

// function makes a function that finds AWS at an endpoint.
func (s *stack) function(i topology.Index, name, endpoint string, timeout time.Duration) *lambdahost.Function {
	s.t.Helper()
	program, _, _ := strings.Cut(name, "-") // One binary applies events and sealed copies: the function's name says which.
	f, err := lambdahost.NewFunction(lambdahost.Config{
		Name: s.names.Deployment() + "-" + name, Binary: binary(s.t, program), Region: string(s.topology.ID(i)), MemoryMB: 512,
		Timeout: timeout, MaxConcurrency: 4, Logs: s.log, Env: map[string]string{
			"DOMICILE_DEPLOYMENT": s.names.Deployment(), "DOMICILE_TOPOLOGY": s.packed, "DOMICILE_LOG_LEVEL": "debug",
			"AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
		},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = f.Close() })
	return f
}

// feedStream feeds a function with the stream of the regional table.
func (s *stack) feedStream(i topology.Index, f lambdahost.Invoker, latest bool) *feed {
	s.t.Helper()
	name := s.names.Table("regional")
	table, err := s.at(i).dynamo.DescribeTable(s.t.Context(), &dynamodb.DescribeTableInput{TableName: &name})
	if err != nil {
		s.t.Fatal(err)
	}
	source, err := lambdahost.NewStreamSource(lambdahost.StreamConfig{
		Client: s.at(i).streams, Function: f, StreamARN: aws.ToString(table.Table.LatestStreamArn), Latest: latest,
		ReportBatchItemFailures: true, BisectOnError: true,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return startFeed(s.t, source.Run, f)
}

// feedQueue feeds a function with a queue.
func (s *stack) feedQueue(c cloud, name string, f lambdahost.Invoker, region string) *feed {
	s.t.Helper()
	url, err := queueURL(s.t.Context(), c.sqs, name)
	if err != nil {
		s.t.Fatal(err)
	}
	source, err := lambdahost.NewSQSSource(lambdahost.SQSConfig{
		Client: c.sqs, Function: f, QueueURL: url, QueueARN: fmt.Sprintf("arn:aws:sqs:%s:%s:%s", region, account, name),
		ReportBatchItemFailures: true,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return startFeed(s.t, source.Run, f)
}

// sweepNow calls the function sweep of a region as its schedule does.
func (s *stack) sweepNow(t testing.TB, region string) {
	t.Helper()
	if out, err := s.regions[region].sweep.Invoke(t.Context(), []byte(`{}`)); err != nil {
		t.Fatalf("sweeping %s: %v: %s\n%s", region, err, out, s.log.tail())
	}
}

// feed is an event source that can be stopped.
type feed struct {
	function lambdahost.Invoker
	run      func(context.Context) error
	cancel   context.CancelFunc
	done     chan struct{}
	// failed is told what ends the source by itself.
	failed func(error)
}

// startFeed starts a source until it is stopped, or the test ends.
func startFeed(t testing.TB, run func(context.Context) error, f lambdahost.Invoker) *feed {
	t.Helper()
	fd := &feed{function: f, run: run, failed: func(err error) { t.Errorf("a source ended: %v", err) }}
	fd.start()
	t.Cleanup(fd.stop)
	return fd
}

func (f *feed) start() {
	ctx, cancel := context.WithCancel(context.Background())
	f.cancel, f.done = cancel, make(chan struct{})
	done := f.done
	go func() {
		defer close(done)
		if err := f.run(ctx); err != nil && ctx.Err() == nil {
			f.failed(err)
		}
	}()
}

// stop ends the source, and returns when nothing is in its hands.
func (f *feed) stop() {
	if f.cancel == nil {
		return
	}
	f.cancel()
	<-f.done
	f.cancel = nil
}

// witness notes how a function's invocations ended.
type witness struct {
	function lambdahost.Invoker

	mu     sync.Mutex
	causes map[lambdahost.Cause]int
}

// Invoke implements lambdahost.Invoker.
func (w *witness) Invoke(ctx context.Context, event []byte) ([]byte, error) {
	answer, err := w.function.Invoke(ctx, event)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.causes == nil {
		w.causes = make(map[lambdahost.Cause]int)
	}
	if failed, ok := errors.AsType[*lambdahost.FunctionError](err); ok {
		w.causes[failed.Cause]++
	}
	return answer, err
}

// ended is how often an invocation ended so.
func (w *witness) ended(cause lambdahost.Cause) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.causes[cause]
}

// soonEnded tells whether more than so many invocations end so, while the host notices that a process is gone.
func (w *witness) soonEnded(cause lambdahost.Cause, before int) bool {
	over, tick := time.NewTimer(3*time.Second), time.NewTicker(50*time.Millisecond)
	defer over.Stop()
	defer tick.Stop()
	for w.ended(cause) <= before {
		select {
		case <-over.C:
			return false
		case <-tick.C:
		}
	}
	return true
}

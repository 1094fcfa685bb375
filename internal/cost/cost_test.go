package cost_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/domicile-api/domicile/internal/cost"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/topology"
	"github.com/domicile-api/domicile/internal/topology/topologyfile"
)

// month is a second's quantity in a month: 730 × 3600.
const month = 2_628_000

func parse(t *testing.T, regions string) *topology.Topology {
	t.Helper()
	parsed, err := topologyfile.Parse("topology.yaml", []byte("regions:\n"+regions))
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func alone(t *testing.T) *topology.Topology {
	t.Helper()
	return parse(t, "  - {id: eu-central-1, place: Frankfurt, jurisdiction: EU, roles: [home, control], port: 8081}\n")
}

// couple is two homes of two jurisdictions.
func couple(t *testing.T) *topology.Topology {
	t.Helper()
	return parse(t, `  - {id: eu-central-1, place: Frankfurt, jurisdiction: EU, roles: [home, control], port: 8081}
  - {id: us-east-1, place: Virginia, jurisdiction: US, roles: [home], port: 8082}
round_trip_times:
  - {between: [eu-central-1, us-east-1], milliseconds: 100}
`)
}

// pair is a home and its standby, and a witness.
func pair(t *testing.T) *topology.Topology {
	t.Helper()
	return parse(t, `  - {id: eu-central-1, place: Frankfurt, jurisdiction: EU, roles: [home, control], standby: eu-west-1, witness: us-east-1, port: 8081}
  - {id: eu-west-1, place: Dublin, jurisdiction: EU, roles: [standby], port: 8082}
  - {id: us-east-1, place: Virginia, jurisdiction: US, roles: [home], port: 8083}
`)
}

func estimate(t *testing.T, in cost.Input) *cost.Report {
	t.Helper()
	r, err := cost.Estimate(in)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// quantity adds up the lines of a kind: in a region, or ident.NoRegion for all; those that grow with calls.
func quantity(r *cost.Report, region ident.RegionID, what string) float64 {
	sum := 0.0
	for _, l := range r.Lines {
		if l.What == what && !l.Fixed && (region == ident.NoRegion || l.Region == region) {
			sum += l.Quantity
		}
	}
	return sum
}

func wantNear(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 1e-9*math.Max(1, math.Abs(want)) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// TestWritesAlone: one region, 100 updates a second of entities of 1 KB without unique values.
//
//	entity   57 + 14 + 49 + 1024           = 1144 bytes: 2 units
//	record   57 + 14 + 51 + 1024 + 110 + 9 = 1265 bytes: 2 units
//	outbox and counter                                  1 unit each
//	commit   (2 + 2 + 1 + 1) × 2           = 12 units, and 2 to prune the outbox record
//	100/s × 2,628,000 s × 14               = 3,679.2 million units, at 0.7625 = US$ 2,805.39
//
// Reads: the record that is not there, the entity, and three to prune: 5 × 262.8 million = 1,314 million. Keys: 2 tasks of services and 6
// relays (100/s × 60 ms). Each of the 2 sees a tenant 100 / (2 × 10) = 5 times a second, which is 1 / (1 + 5 × 300) of these:
// 100 / 1501 a second. Each of the 6: 100 / 60 times: 100 / 501 a second. Together 0.0666222518 + 0.1996007984 = 0.2662230502,
// each one read unit and one call.
func TestWritesAlone(t *testing.T) {
	t.Parallel()
	in := cost.Default(100, 10)
	in.Topology = alone(t)
	in.Writes, in.Creates, in.Deletes, in.Lookups = 1, 0, 0, 0
	r := estimate(t, in)
	wantNear(t, "write units", quantity(r, "eu-central-1", "write request units"), 3679.2)
	const keyLoads = 100.0/1501 + 100.0/501
	wantNear(t, "read units", quantity(r, "eu-central-1", "read request units"), 1314+(keyLoads+100*0.9*0.02)*month/1e6)
	wantNear(t, "KMS", quantity(r, "eu-central-1", "requests")-0.9*100*month/1e6, keyLoads*month/1e4)
	for _, l := range r.Lines {
		if l.What == "write request units" {
			wantNear(t, "cost", l.Cost, 2805.39)
		}
		if l.Service == "SQS" {
			t.Errorf("a region alone has no queues: %+v", l)
		}
	}
}

// TestReadsAlone: 100 reads a second, a tenth of them lists of 20 of 10 KB.
//
//	entity   57 + 14 + 49 + 10240 + 38 = 10398 bytes: 3 read units
//	list     each lane is read for 2 + 1 + 4 and one more = 8 items, 83184 bytes: 21 units, and its counter: 8 × 22 = 176
//	90 × 3 + 10 × 176 = 2,030 a second
//
// HTTP API: 90 a second (a tenth comes as streams) = 236.52 million. A response of 2 KB: 100 × 2 / 1024² GB a second to the internet.
func TestReadsAlone(t *testing.T) {
	t.Parallel()
	in := cost.Default(100, 1)
	in.Topology = alone(t)
	in.Writes, in.EntityKB = 0, 10
	r := estimate(t, in)
	const keyLoads = 100.0 / (1 + 50*300) // 2 tasks, one tenant: 50 a second each
	wantNear(t, "read units", quantity(r, "eu-central-1", "read request units"), (2030+keyLoads+1.8)*month/1e6)
	wantNear(t, "write units", quantity(r, "eu-central-1", "write request units"), 0)
	wantNear(t, "HTTP API", quantity(r, "eu-central-1", "HTTP API requests"), 236.52)
	wantNear(t, "internet", quantity(r, "eu-central-1", "data to the internet (first 10 TB)"), 200.0*month/1048576)
}

// TestHTTPTier: 1,000 calls a second that are no streams are 2,628 million a month: 300 at the first price, 2,328 at the second.
func TestHTTPTier(t *testing.T) {
	t.Parallel()
	in := cost.Default(1000, 10)
	in.Topology, in.Streams = alone(t), 0
	r := estimate(t, in)
	wantNear(t, "first tier", quantity(r, "eu-central-1", "HTTP API requests"), 300)
	wantNear(t, "second tier", quantity(r, "eu-central-1", "HTTP API requests beyond 300 million a month"), 2328)
	in.ResponseKB = 600 // two steps of 512 KB
	wantNear(t, "two steps", quantity(estimate(t, in), "eu-central-1", "HTTP API requests beyond 300 million a month"), 4956)
}

// TestForwarded: two homes, 200 calls a second, none of them writes, 15 % away; nobody's projections leave the jurisdiction, so all of
// those are forwarded: 15 a second each way.
//
//	between regions, each way: 15 × 0.5 KB out and 15 × 2 KB back = 37.5 KB a second, and a heartbeat of 2 KB a second, which is fixed
//	a function waits 100 ms for 90 % of 15 a second, and works 40 ms for 90 % of 100: (1.35 + 3.6) s × 0.5 GB
func TestForwarded(t *testing.T) {
	t.Parallel()
	in := cost.Default(200, 10)
	in.Topology, in.Writes, in.Everywhere = couple(t), 0, 0
	r := estimate(t, in)
	for _, id := range []ident.RegionID{"eu-central-1", "us-east-1"} {
		wantNear(t, "between regions", quantity(r, id, "data to other regions"), 37.5*month/1048576)
		wantNear(t, "functions", quantity(r, id, "compute (arm64)"), 4.95*0.5*month)
	}
	// Where projections may go everywhere, reads that any region may answer are: half of them.
	in.Everywhere, in.Jurisdiction = 1, 0
	r = estimate(t, in)
	wantNear(t, "between regions", quantity(r, "us-east-1", "data to other regions"), 37.5/2*month/1048576)
}

// TestStandby: a home with a standby, 10 creations a second at home, all tenants with a standby and with no projections.
//
//	Of 10 calls 5 are at the home in Frankfurt (the other home has no standby).
//	sealed copy: entity 57 + 14 + 49 + 1024 + 38 = 1182: 2 units; record 1265: 2; one look-up entry; watermark; the check of the tombstone: 1
//	             (2 + 2 + 1 + 1 + 1) × 2 = 14 units in Dublin
//	             watermark, entity, tombstone, record: 4 read units there
//	sent: cursor, counter, outbox, entity, record: 5 read units, the cursor's move 1 write unit, in Frankfurt
//	created: (2 + 2 + 1 + 1 + 1) × 2 = 14 write units, 2 to prune
//	bytes: 2 × (1024 + 260) = 2568 for each, to Dublin
//	queue: one request to send, to receive and to delete each
func TestStandby(t *testing.T) {
	t.Parallel()
	in := cost.Default(10, 10)
	in.Topology, in.Away, in.Writes, in.Creates, in.Deletes = pair(t), 0, 1, 1, 0
	in.Everywhere, in.Jurisdiction = 0, 0
	r := estimate(t, in)
	wantNear(t, "Dublin, write units", quantity(r, "eu-west-1", "write request units"), 5*14*month/1e6)
	wantNear(t, "Dublin, read units", quantity(r, "eu-west-1", "read request units"), 5*4*month/1e6)
	wantNear(t, "Dublin, queue", quantity(r, "eu-west-1", "FIFO requests of 64 KB"), 15*month/1e6)
	wantNear(t, "Frankfurt, write units", quantity(r, "eu-central-1", "write request units"), 5*(14+2+1)*month/1e6)
	wantNear(t, "Frankfurt, bytes", quantity(r, "eu-central-1", "data to other regions"), 5*2568.0*month/(1<<30))
	wantNear(t, "Virginia, write units", quantity(r, "us-east-1", "write request units"), 5*(14+2)*month/1e6)
	wantNear(t, "Virginia, queue", quantity(r, "us-east-1", "FIFO requests of 64 KB"), 0)
}

// TestTasks: 1,000 calls a second at one home: 900 by functions, 100 through the edge's tasks, all at the services'. A task takes
// 400 × 0.6 = 240: one edge task is enough (two there are), and ceil(1000 / 240) = 5 for the services, 3 beyond the least. A services
// task has 1 vCPU, an edge half a one.
func TestTasks(t *testing.T) {
	t.Parallel()
	in := cost.Default(1000, 10)
	in.Topology = alone(t)
	r := estimate(t, in)
	wantNear(t, "more vCPU hours", quantity(r, "eu-central-1", "vCPU (arm64)"), 3*1*730)
	fixed := 0.0
	for _, l := range r.Lines {
		if l.What == "vCPU (arm64)" && l.Fixed {
			fixed += l.Quantity
		}
	}
	wantNear(t, "least vCPU hours", fixed, (2*0.5+2*1)*730)
}

// TestFixed: two regions without a call. Heartbeats: one a second to each, sent, received and deleted = 7.884 million; 5 pollers every 20 s =
// 0.657 million.
func TestFixed(t *testing.T) {
	t.Parallel()
	in := cost.Default(0, 0)
	in.Topology = couple(t)
	r := estimate(t, in)
	queues, balancers := 0.0, 0.0
	for _, l := range r.Lines {
		if !l.Fixed && l.Cost != 0 {
			t.Errorf("is paid for calls, and there are none: %+v", l)
		}
		if l.Region == "us-east-1" && l.Service == "SQS" {
			queues += l.Quantity
		}
		if l.Region == "us-east-1" && l.What == "application load balancers" {
			balancers += l.Cost
		}
	}
	wantNear(t, "queues", queues, 8.541)
	wantNear(t, "load balancers", balancers, 730*0.0225)
	if r.Total != r.Fixed || r.PerMillion != 0 {
		t.Errorf("total %v, fixed %v, a million calls %v", r.Total, r.Fixed, r.PerMillion)
	}
}

// inputs draws any input that is valid, over one of the topologies.
func inputs(prices *cost.Prices, topologies ...*topology.Topology) *rapid.Generator[cost.Input] {
	return rapid.Custom(func(t *rapid.T) cost.Input {
		share := func(name string) float64 { return rapid.Float64Range(0, 1).Draw(t, name) }
		in := cost.Default(rapid.Float64Range(0, 1e5).Draw(t, "rps"), rapid.Float64Range(1, 1e6).Draw(t, "tenants"))
		in.Prices = prices
		in.Topology = rapid.SampledFrom(topologies).Draw(t, "topology")
		in.Writes, in.Lists, in.Away, in.Nearest, in.Tokens, in.Streams = share("writes"), share("lists"), share("away"), share("nearest"), share("tokens"), share("streams")
		in.Creates = share("creates")
		in.Deletes = (1 - in.Creates) * share("deletes")
		in.Everywhere = share("everywhere")
		in.Jurisdiction = (1 - in.Everywhere) * share("jurisdiction")
		in.Standby = share("standby")
		in.EntityKB = rapid.Float64Range(0.1, 160).Draw(t, "entity")
		in.ProjectionKB = in.EntityKB * share("projection")
		in.Entities = rapid.Float64Range(0, 1e5).Draw(t, "entities")
		in.Lookups = float64(rapid.IntRange(0, 4).Draw(t, "lookups"))
		in.CommitBatch = rapid.Float64Range(1, 33).Draw(t, "commit batch")
		in.RelayBatch = rapid.Float64Range(1, 100).Draw(t, "relay batch")
		return in
	})
}

// TestMore: more calls, tenants or bytes never cost less; better batches never cost more; and what is fixed does not depend on calls.
func TestMore(t *testing.T) {
	t.Parallel()
	all := []*topology.Topology{topologyfile.Default(), alone(t), couple(t), pair(t)}
	prices, err := cost.ListPrices()
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(rt *rapid.T) {
		in := inputs(prices, all...).Draw(rt, "input")
		grow := func(v float64) float64 { return v * rapid.Float64Range(1, 3).Draw(rt, "factor") }
		before, err := cost.Estimate(in)
		if err != nil {
			rt.Fatal(err)
		}
		for name, change := range map[string]func(*cost.Input){
			"calls":            func(i *cost.Input) { i.RPS = grow(i.RPS) },
			"tenants":          func(i *cost.Input) { i.Tenants = grow(i.Tenants) },
			"entity":           func(i *cost.Input) { i.EntityKB = math.Min(grow(i.EntityKB), 160) },
			"answer":           func(i *cost.Input) { i.ResponseKB = grow(i.ResponseKB) },
			"logs":             func(i *cost.Input) { i.LogKB = grow(i.LogKB) },
			"look-ups":         func(i *cost.Input) { i.Lookups++ },
			"heartbeats":       func(i *cost.Input) { i.Heartbeat /= 2 },
			"tokens":           func(i *cost.Input) { i.Tokens = math.Min(grow(i.Tokens), 1) },
			"standbys":         func(i *cost.Input) { i.Standby = math.Min(grow(i.Standby), 1) },
			"smaller batches":  func(i *cost.Input) { i.CommitBatch = 1 },
			"forgetful caches": func(i *cost.Input) { i.KeyAge /= 2 },
		} {
			more := in
			change(&more)
			after, err := cost.Estimate(more)
			if err != nil {
				rt.Fatalf("%s: %v", name, err)
			}
			if after.Total < before.Total*(1-1e-12) {
				rt.Errorf("more %s: US$ %v after US$ %v", name, after.Total, before.Total)
			}
			if name == "calls" && math.Abs(after.Fixed-before.Fixed) > 1e-9*before.Fixed {
				rt.Errorf("the fixed part is US$ %v after US$ %v", after.Fixed, before.Fixed)
			}
		}
	})
}

func TestLinesAddUp(t *testing.T) {
	t.Parallel()
	r := estimate(t, cost.Default(1000, 100))
	services, regions, dearest := 0.0, 0.0, 0.0
	for _, s := range r.Services() {
		services += r.Sum(s, ident.NoRegion)
	}
	for _, id := range r.Regions() {
		regions += r.Sum("", id)
	}
	for _, l := range r.Dearest(1000) {
		dearest += l.Cost
	}
	for _, sum := range []float64{services, regions, dearest} {
		wantNear(t, "sum", sum, r.Total)
	}
	wantNear(t, "a million calls", r.PerMillion*1000*month/1e6, r.Total-r.Fixed)
}

func TestInputErrors(t *testing.T) {
	t.Parallel()
	for field, spoil := range map[string]func(*cost.Input){
		"rps":           func(i *cost.Input) { i.RPS = -1 },
		"tenants":       func(i *cost.Input) { i.Tenants = math.NaN() },
		"writes":        func(i *cost.Input) { i.Writes = 1.01 },
		"deletes":       func(i *cost.Input) { i.Creates, i.Deletes = 0.6, 0.5 },
		"jurisdiction":  func(i *cost.Input) { i.Everywhere, i.Jurisdiction = 0.6, 0.5 },
		"entity_kb":     func(i *cost.Input) { i.EntityKB = 161 },
		"projection_kb": func(i *cost.Input) { i.ProjectionKB = 2 },
		"page_size":     func(i *cost.Input) { i.PageSize = 0 },
		"heartbeat_ns":  func(i *cost.Input) { i.Heartbeat = 0 },
		"key_age_ns":    func(i *cost.Input) { i.KeyAge = time.Millisecond },
		"task_use":      func(i *cost.Input) { i.TaskUse = 0 },
		"log_kb":        func(i *cost.Input) { i.LogKB = math.Inf(1) },
	} {
		in := cost.Default(10, 10)
		spoil(&in)
		_, err := cost.Estimate(in)
		if got, ok := errors.AsType[*cost.InputError](err); !ok || got.Field != field || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: %v", field, err)
		}
	}
	in := cost.Default(1, 0)
	if _, err := cost.Estimate(in); err == nil {
		t.Error("calls of nobody have a price")
	}
}

func TestUnknownRegion(t *testing.T) {
	t.Parallel()
	in := cost.Default(1, 1)
	in.Topology = parse(t, "  - {id: moon-1, place: Moon, jurisdiction: MN, roles: [home, control], port: 8081}\n")
	_, err := cost.Estimate(in)
	if got, ok := errors.AsType[*cost.RegionError](err); !ok || got.Region != "moon-1" {
		t.Errorf("%v", err)
	}
}

func TestWriteJSON(t *testing.T) {
	t.Parallel()
	r := estimate(t, cost.Default(10, 10))
	var out bytes.Buffer
	if err := r.WriteJSON(&out); err != nil {
		t.Fatal(err)
	}
	var back struct {
		Total       float64          `json:"total"`
		Lines       []cost.Line      `json:"lines"`
		Assumptions cost.Assumptions `json:"assumptions"`
	}
	if err := json.Unmarshal(out.Bytes(), &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(r.Lines, back.Lines); diff != "" || back.Total != r.Total || back.Assumptions != r.Input.Assumptions {
		t.Errorf("total %v, want %v; %s", back.Total, r.Total, diff)
	}
}

func TestWriteText(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := estimate(t, cost.Default(1000, 1000)).WriteText(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"1,000 calls a second, 1,000 tenants, 6 regions: US$ ", "sa-east-1", "DynamoDB", "What costs most:", "write request units"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
	if err := estimate(t, cost.Default(1, 1)).WriteText(brokenWriter{}); err == nil {
		t.Error("a writer that fails is not told")
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("full") }

package cost

import (
	"fmt"
	"math"
	"time"

	"github.com/domicile-api/domicile/internal/topology"
)

// Input is what is estimated.
type Input struct {
	Assumptions

	// Topology has the regions, jurisdictions and standbys; nil: the built-in six. Homes have equal shares of tenants and calls.
	Topology *topology.Topology
	// Prices are what AWS asks; nil: ListPrices.
	Prices *Prices
}

// Assumptions are what a deployment is like. Default has an answer to everything but RPS and Tenants.
type Assumptions struct {
	// RPS is how many calls come in a second, all regions together, on average over the month.
	RPS float64 `json:"rps"`
	// Tenants is how many there are; all are taken to be active, and as large as each other.
	Tenants float64 `json:"tenants"`

	// Writes is the share of calls that change something; of these Creates and Deletes are the shares that create and delete, the others
	// update. Each has an idempotency key.
	Writes  float64 `json:"writes"`
	Creates float64 `json:"creates"`
	Deletes float64 `json:"deletes"`
	// Lists is the share of the other calls that list PageSize entities.
	Lists    float64 `json:"lists"`
	PageSize float64 `json:"page_size"`
	// Away is the share of calls that come in at another region than the tenant's home. Nearest is the share of reads that any region may
	// answer from its replica, and Tokens the share of those that carry a consistency token.
	Away    float64 `json:"away"`
	Nearest float64 `json:"nearest"`
	Tokens  float64 `json:"tokens"`
	// Streams is the share of calls that come in by gRPC or as streams, through Fargate and not through Lambda.
	Streams float64 `json:"streams"`

	// EntityKB is an entity at rest, and ProjectionKB what of it is GLOBAL; RequestKB and ResponseKB are an average call. In KB of 1,024 bytes.
	EntityKB     float64 `json:"entity_kb"`
	ProjectionKB float64 `json:"projection_kb"`
	RequestKB    float64 `json:"request_kb"`
	ResponseKB   float64 `json:"response_kb"`
	// Lookups is how many unique values an entity has. Entities is how many entities a tenant has.
	Lookups  float64 `json:"lookups"`
	Entities float64 `json:"entities"`

	// Everywhere and Jurisdiction are the shares of tenants whose projections may go everywhere, and in their jurisdiction alone.
	// Standby is the share of tenants that have a standby, where the topology has one for their home.
	Everywhere   float64 `json:"everywhere"`
	Jurisdiction float64 `json:"jurisdiction"`
	Standby      float64 `json:"standby"`

	// CommitBatch is how many writes share a transaction, RelayBatch how many records of a lane are sent between two moves of a cursor,
	// ApplyBatch how many events of a lane share a transaction, ReceiveBatch how many messages a reception brings. All are 1 when calls are
	// few and spread over many lanes.
	CommitBatch  float64 `json:"commit_batch"`
	RelayBatch   float64 `json:"relay_batch"`
	ApplyBatch   float64 `json:"apply_batch"`
	ReceiveBatch float64 `json:"receive_batch"`
	// Heartbeat is the time between two heartbeats of a region to another, Poll between two looks of a process at another writer's log.
	Heartbeat time.Duration `json:"heartbeat_ns"`
	Poll      time.Duration `json:"poll_ns"`
	// KeyAge is how long a process keeps a tenant's key in memory.
	KeyAge time.Duration `json:"key_age_ns"`

	// TaskRPS is how many calls a task answers in a second, and TaskUse the share of that at which another is started. MinTasks is how many
	// there are at least, of services and of edges each. ServicesCPU and EdgeCPU are their vCPUs, ServicesGB and EdgeGB their memory.
	TaskRPS     float64 `json:"task_rps"`
	TaskUse     float64 `json:"task_use"`
	MinTasks    float64 `json:"min_tasks"`
	ServicesCPU float64 `json:"services_cpu"`
	ServicesGB  float64 `json:"services_gb"`
	EdgeCPU     float64 `json:"edge_cpu"`
	EdgeGB      float64 `json:"edge_gb"`
	// FunctionGB is the memory of a function. EdgeMillis, RelayMillis and ApplyMillis are how long an invocation takes, the round trip of
	// a forwarded call apart, which is the topology's.
	FunctionGB  float64 `json:"function_gb"`
	EdgeMillis  float64 `json:"edge_millis"`
	RelayMillis float64 `json:"relay_millis"`
	ApplyMillis float64 `json:"apply_millis"`

	// NATs and Endpoints are how many NAT gateways, and interface endpoints in each of its two zones, a region has.
	NATs      float64 `json:"nats"`
	Endpoints float64 `json:"endpoints"`
	// LogKB is what a call writes to logs in all, LogDays how long that is kept.
	LogKB   float64 `json:"log_kb"`
	LogDays float64 `json:"log_days"`
	// Alarms and Metrics are how many alarms, and own metrics (Container Insights among them), a region has.
	Alarms  float64 `json:"alarms"`
	Metrics float64 `json:"metrics"`
	// WAFRules is how many rules a web ACL before each region's load balancer has; 0: there is none.
	WAFRules float64 `json:"waf_rules"`
}

// Default returns what is assumed of a deployment with so many calls a second and tenants.
func Default(rps, tenants float64) Input {
	return Input{Assumptions: Assumptions{
		RPS: rps, Tenants: tenants,
		Writes: 0.2, Creates: 0.3, Deletes: 0.05, Lists: 0.1, PageSize: 20,
		Away: 0.15, Nearest: 0.5, Tokens: 0.5, Streams: 0.1,
		EntityKB: 1, ProjectionKB: 0.25, RequestKB: 0.5, ResponseKB: 2, Lookups: 1, Entities: 1000,
		Everywhere: 0.2, Jurisdiction: 0.6, Standby: 1,
		CommitBatch: 1, RelayBatch: 1, ApplyBatch: 1, ReceiveBatch: 1,
		Heartbeat: time.Second, Poll: time.Second, KeyAge: 5 * time.Minute,
		TaskRPS: 400, TaskUse: 0.6, MinTasks: 2, ServicesCPU: 1, ServicesGB: 2, EdgeCPU: 0.5, EdgeGB: 1,
		FunctionGB: 0.5, EdgeMillis: 40, RelayMillis: 60, ApplyMillis: 40,
		NATs: 2, Endpoints: 7, LogKB: 0.5, LogDays: 30, Alarms: 20, Metrics: 25, WAFRules: 0,
	}}
}

// InputError says which field of an Input cannot be, by its JSON name.
type InputError struct {
	Field string
	Text  string
}

// Error implements error.
func (e *InputError) Error() string { return "cost: " + e.Field + " " + e.Text }

// bound is what a field may be.
type bound struct {
	name     string
	value    float64
	min, max float64
}

// maxEntityKB is that of package entity.
const maxEntityKB = 160

// Validate returns an *InputError for the first field that cannot be.
func (in *Assumptions) Validate() error {
	const lots = 1e9
	for _, b := range []bound{
		{"rps", in.RPS, 0, lots}, {"tenants", in.Tenants, 0, lots},
		{"writes", in.Writes, 0, 1}, {"creates", in.Creates, 0, 1}, {"deletes", in.Deletes, 0, 1}, {"lists", in.Lists, 0, 1},
		{"page_size", in.PageSize, 1, 1000}, {"away", in.Away, 0, 1}, {"nearest", in.Nearest, 0, 1}, {"tokens", in.Tokens, 0, 1},
		{"streams", in.Streams, 0, 1},
		{"entity_kb", in.EntityKB, 0, maxEntityKB}, {"projection_kb", in.ProjectionKB, 0, maxEntityKB},
		{"request_kb", in.RequestKB, 0, 10 << 10}, {"response_kb", in.ResponseKB, 0, 10 << 10},
		{"lookups", in.Lookups, 0, 90}, {"entities", in.Entities, 0, lots},
		{"everywhere", in.Everywhere, 0, 1}, {"jurisdiction", in.Jurisdiction, 0, 1}, {"standby", in.Standby, 0, 1},
		{"commit_batch", in.CommitBatch, 1, 33}, {"relay_batch", in.RelayBatch, 1, 100}, {"apply_batch", in.ApplyBatch, 1, 10},
		{"receive_batch", in.ReceiveBatch, 1, 10},
		{"heartbeat_ns", float64(in.Heartbeat), float64(10 * time.Millisecond), float64(time.Hour)},
		{"poll_ns", float64(in.Poll), float64(10 * time.Millisecond), float64(time.Hour)},
		{"key_age_ns", float64(in.KeyAge), float64(time.Second), float64(24 * time.Hour)},
		{"task_rps", in.TaskRPS, 1, lots}, {"task_use", in.TaskUse, 0.05, 1}, {"min_tasks", in.MinTasks, 1, 1000},
		{"services_cpu", in.ServicesCPU, 0.25, 16}, {"services_gb", in.ServicesGB, 0.5, 120}, {"edge_cpu", in.EdgeCPU, 0.25, 16},
		{"edge_gb", in.EdgeGB, 0.5, 120},
		{"function_gb", in.FunctionGB, 0.125, 10.24}, {"edge_millis", in.EdgeMillis, 1, 30_000},
		{"relay_millis", in.RelayMillis, 1, 900_000}, {"apply_millis", in.ApplyMillis, 1, 900_000},
		{"nats", in.NATs, 0, 100}, {"endpoints", in.Endpoints, 0, 100}, {"log_kb", in.LogKB, 0, 1024}, {"log_days", in.LogDays, 0, 3653},
		{"alarms", in.Alarms, 0, 5000}, {"metrics", in.Metrics, 0, 1e6}, {"waf_rules", in.WAFRules, 0, 100},
	} {
		if math.IsNaN(b.value) || b.value < b.min || b.value > b.max {
			return &InputError{b.name, fmt.Sprintf("is %g; it must be %g to %g", b.value, b.min, b.max)}
		}
	}
	switch {
	case in.Creates+in.Deletes > 1:
		return &InputError{"deletes", "and creates are more than all writes"}
	case in.Everywhere+in.Jurisdiction > 1:
		return &InputError{"jurisdiction", "and everywhere are more than all tenants"}
	case in.ProjectionKB > in.EntityKB:
		return &InputError{"projection_kb", "is more than the whole entity"}
	case in.RPS > 0 && in.Tenants == 0:
		return &InputError{"tenants", "is 0, and somebody makes calls"}
	}
	return nil
}

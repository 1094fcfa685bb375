// Package cost estimates what a deployment on AWS costs a month: the operations of the platform counted out into requests (as the code
// makes them), multiplied by list prices. It asks AWS nothing.
//
// It promises an estimate whose every line can be followed: a quantity, a unit, a price with its source, and whether it grows with the
// calls. It counts no free tier, tax, support plan, savings plan or reservation, and prices of the first tier but for the HTTP API. What
// it does not count is in docs/cost.md. More calls never cost less.
package cost

import (
	"math"
	"time"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/topology/topologyfile"
)

const (
	// hours and seconds are those of a month, as AWS's calculator has them.
	hours   = 730
	seconds = hours * 3600
	// maxCached is how many tenants' keys a process keeps (package seal).
	maxCached = 10_000
	// httpTier is how many requests of an HTTP API cost the first price.
	httpTier = 300e6
	// queueUnit is what a request to a queue is metered in.
	queueUnit = 64 << 10
)

// Fixed assumptions about the platform's own work.
const (
	// balancers stand before edge and services; secrets, parameters and keys are those of a region. A load balancer has a public address in
	// each of the zones.
	balancers, secrets, parameters, keys, zones = 1, 2, 1, 2, 2
	// sweepSeconds is how long the sweep takes, each minute; sweepReads what it reads of each tenant that is at home.
	sweepSeconds, sweepReads = 3, 1
	// directoryWrites is how many items of the directory change for a tenant in a month, directoryKB its items there, and misses the
	// share of calls for which a function has to look in the directory.
	directoryWrites, directoryKB, misses = 40, 2, 0.02
	// restCalls is how many KMS calls a month DynamoDB, the sealed queue, S3 and the logs make for encryption at rest, in a region.
	restCalls = 300_000
	// pollers is how many receivers Lambda has at a queue at least, each of which asks every 20 s when there is nothing.
	pollers = 5
	// newConnections is the share of calls that open a connection, and lookedUp the share that ask a name server.
	newConnections, lookedUp = 0.05, 0.02
	// heartbeatBytes is a heartbeat; logCompression what is left of a log when it is kept; invocationLogKB what Lambda writes of itself.
	heartbeatBytes, logCompression, invocationLogKB = 2 << 10, 0.15, 0.3
)

// Estimate returns what a deployment costs a month. It fails with an *InputError, a *RegionError or ErrPrices.
func Estimate(in Input) (*Report, error) {
	if in.Topology == nil {
		in.Topology = topologyfile.Default()
	}
	if in.Prices == nil {
		prices, err := ListPrices()
		if err != nil {
			return nil, err
		}
		in.Prices = prices
	}
	if err := in.Validate(); err != nil {
		return nil, err
	}
	m := &model{in: &in, operations: OperationsOf(&in), traffic: trafficOf(&in)}
	for i := range m.traffic {
		b := &bill{prices: in.Prices, region: in.Topology.ID(m.traffic[i].region)}
		m.region(b, &m.traffic[i])
		if b.err != nil {
			return nil, b.err
		}
		m.lines = append(m.lines, b.lines...)
	}
	return newReport(&in, m.operations, m.lines), nil
}

// model is an estimate in the making.
type model struct {
	in         *Input
	operations Operations
	traffic    []traffic
	lines      []Line
}

// bill collects the lines of a region.
type bill struct {
	prices *Prices
	region ident.RegionID
	lines  []Line
	err    error
}

// fixed adds what is paid also without calls, grows what comes with them. The quantity is a month's, in what the price's size counts.
func (b *bill) fixed(price string, quantity float64) { b.add(price, quantity, true) }

func (b *bill) grows(price string, quantity float64) { b.add(price, quantity, false) }

func (b *bill) add(id string, quantity float64, fixed bool) {
	price, amount, err := b.prices.Of(id, b.region)
	if err != nil && b.err == nil {
		b.err = err
	}
	if err != nil || quantity == 0 {
		return
	}
	n := quantity / price.Size
	b.lines = append(b.lines, Line{
		Region: b.region, Service: price.Service, What: price.What, Quantity: n, Unit: price.Unit, Price: amount, Cost: n * amount, Fixed: fixed,
	})
}

// region adds all that a region costs.
func (m *model) region(b *bill, r *traffic) {
	m.tables(b, r)
	m.tableStorage(b, r)
	m.directory(b, r)
	m.queues(b, r)
	m.keys(b, r)
	m.functions(b, r)
	m.tasks(b, r)
	m.network(b, r)
	m.logs(b, r)
	m.others(b, r)
}

// tables are the requests to the regional, replica and keys tables.
func (m *model) tables(b *bill, r *traffic) {
	in, o := m.in, &m.operations
	var a Operation
	a = a.plus(o.write(in).times(r.writes)).plus(o.read(in).times(r.reads)).plus(o.readAway(in).times(r.local))
	a = a.plus(o.RelayProjection.times(r.sentProjections)).plus(o.RelayCopy.times(r.sentCopies)).plus(o.Prune.times(r.writes))
	a = a.plus(o.ApplyProjection.times(r.gotProjections)).plus(o.ApplyCopy.times(r.gotCopies))
	a = a.plus(o.LoadKey.times(m.keyLoads(r)))
	b.grows(priceWrite, a.Writes*seconds)
	b.grows(priceRead, a.Reads*seconds)
	b.fixed(priceRead, r.tenants*sweepReads*hours*60)
}

// tableStorage is what the tables hold: entities and their unique values, sealed copies, projections, and a day's idempotency records.
func (m *model) tableStorage(b *bill, r *traffic) {
	in, s := m.in, sizesOf(m.in)
	each := func(item float64) float64 { return (item + listOverhead) / gigabyte }
	whole := each(s.entity) + in.Lookups*each(s.lookup)
	regional := (r.tenants + r.copies) * in.Entities * whole
	day := (r.writes + r.gotCopies) * 86400 * each(s.record)
	b.fixed(priceTableStorage, regional+r.replicas*in.Entities*each(s.projection)+r.keyTenants*each(keyRecord))
	b.grows(priceTableStorage, day)
	b.fixed(priceRecovery, regional+r.keyTenants*each(keyRecord))
	b.grows(priceRecovery, day)
}

// directory is the global table: each region pays for its replica. Processes look at every writer's log; functions read what they do not know.
func (m *model) directory(b *bill, r *traffic) {
	in := m.in
	writers := float64(in.Topology.Len())
	looks := writers * (seconds / in.Poll.Seconds())
	least, more := m.taskCount(r)
	b.fixed(priceRead, least*looks)
	b.grows(priceRead, more*looks)
	b.grows(priceRead, r.entered*(1-in.Streams)*misses*seconds)
	b.fixed(priceReplicated, in.Tenants*directoryWrites)
	b.fixed(priceTableStorage, in.Tenants*directoryKB/(1<<20))
	b.fixed(priceRecovery, in.Tenants*directoryKB/(1<<20))
	b.fixed(pricePut, hours*60)
	b.fixed(priceObject, in.Tenants*directoryKB/(1<<20))
}

// queues are sends, which the destination's queue is charged for like receptions and deletions. A lane sends for itself, so events of
// different lanes do not share a request.
func (m *model) queues(b *bill, r *traffic) {
	in, o := m.in, &m.operations
	projection := units(o.RelayProjection.Bytes, queueUnit)
	sealed := units(o.RelayCopy.Bytes, queueUnit)
	events := r.gotProjections*(1/in.RelayBatch+1/in.ReceiveBatch)*projection + r.gotProjections/in.ReceiveBatch
	copies := r.gotCopies*(1/in.RelayBatch+1/in.ReceiveBatch)*sealed + r.gotCopies/in.ReceiveBatch
	b.grows(priceQueue, (events+copies)*seconds)
	beats := float64(in.Topology.Len()-1) / in.Heartbeat.Seconds()
	b.fixed(priceQueue, beats*3*seconds) // sent, received, deleted
	b.fixed(priceQueue, m.queueCount(r)*pollers*seconds/20)
}

// queueCount is how many queues a region has: events, and sealed where its jurisdiction has another region. Alone it has none to listen to.
func (m *model) queueCount(r *traffic) float64 {
	t := m.in.Topology
	if t.Len() == 1 {
		return 0
	}
	for _, i := range t.Regions() {
		if i != r.region && t.SameJurisdiction(i, r.region) {
			return 2
		}
	}
	return 1
}

// keys are the tenants' keys that processes do not have in memory, and encryption at rest.
func (m *model) keys(b *bill, r *traffic) {
	b.fixed(priceKey, keys)
	b.fixed(priceKeyRequest, restCalls)
	b.grows(priceKeyRequest, m.keyLoads(r)*seconds)
}

// keyLoads is how many keys are loaded a second: each process that uses a tenant's key at a rate λ loads it λ / (1 + λ × age) times, for
// those that it can keep, and every time for the others. Relays use keys for projections of scope JURISDICTION.
func (m *model) keyLoads(r *traffic) float64 {
	in := m.in
	least, more := in.tasks(r.served)
	services := least + more
	return loads(r.keyed, services, r.keyTenants, in.KeyAge) + loads(r.writes, m.relays(r), r.tenants, in.KeyAge)
}

func loads(rate, processes, tenants float64, age time.Duration) float64 {
	if rate == 0 || tenants == 0 {
		return 0
	}
	kept := math.Min(1, maxCached/tenants)
	each := rate / (processes * tenants)
	return rate * (kept/(1+each*age.Seconds()) + 1 - kept)
}

// relays is how many instances of the relay run at a time.
func (m *model) relays(r *traffic) float64 {
	return math.Max(1, math.Ceil(r.writes*m.in.RelayMillis/1000/m.in.RelayBatch))
}

// functions are the edge, which waits for what it forwards, the relay, apply, and the sweep.
func (m *model) functions(b *bill, r *traffic) {
	in := m.in
	edge := r.entered * (1 - in.Streams)
	relay, applied := r.writes/in.RelayBatch, (r.gotProjections+r.gotCopies)/in.ReceiveBatch
	if in.Topology.Len() == 1 {
		relay = 0
	}
	busy := edge*in.EdgeMillis/1000 + r.waited*(1-in.Streams) + relay*in.RelayMillis/1000 + applied*in.ApplyMillis/1000
	b.grows(priceInvocation, (edge+relay+applied)*seconds)
	b.grows(priceCompute, busy*in.FunctionGB*seconds)
	beats := float64(in.Topology.Len()-1) / in.Heartbeat.Seconds()
	b.fixed(priceInvocation, beats*seconds+hours*60)
	b.fixed(priceCompute, (beats*in.ApplyMillis/1000*seconds+hours*60*sweepSeconds)*in.FunctionGB)
	month := edge * seconds * units(math.Max(in.RequestKB, in.ResponseKB), 512)
	b.grows(priceHTTP, math.Min(month, httpTier))
	b.grows(priceHTTPMore, math.Max(month-httpTier, 0))
}

// taskCount is how many tasks edge and services have together: the least they have, and what the calls add.
func (m *model) taskCount(r *traffic) (least, more float64) {
	edge, moreEdge := m.in.tasks(r.entered * m.in.Streams)
	services, moreServices := m.in.tasks(r.served)
	return edge + services, moreEdge + moreServices
}

// tasks is how many tasks so many calls a second take: the least there are, and what autoscaling adds.
func (in *Input) tasks(calls float64) (least, more float64) {
	return in.MinTasks, math.Max(0, math.Ceil(calls/(in.TaskRPS*in.TaskUse))-in.MinTasks)
}

// tasks are Fargate and the load balancers before it.
func (m *model) tasks(b *bill, r *traffic) {
	in := m.in
	edge, moreEdge := in.tasks(r.entered * in.Streams)
	services, moreServices := in.tasks(r.served)
	b.fixed(priceCPU, (edge*in.EdgeCPU+services*in.ServicesCPU)*hours)
	b.fixed(priceMemory, (edge*in.EdgeGB+services*in.ServicesGB)*hours)
	b.grows(priceCPU, (moreEdge*in.EdgeCPU+moreServices*in.ServicesCPU)*hours)
	b.grows(priceMemory, (moreEdge*in.EdgeGB+moreServices*in.ServicesGB)*hours)
	b.fixed(priceBalancer, balancers*hours)
	// A capacity unit is 25 new connections a second or 1 GB an hour, whichever is more.
	calls := r.entered*in.Streams + r.served
	data := calls * (in.RequestKB + in.ResponseKB) * 3600 / (1 << 20)
	b.grows(priceCapacity, math.Max(data, calls*newConnections/25)*hours)
	if in.WAFRules > 0 {
		b.fixed(priceACL, 1)
		b.fixed(priceRule, in.WAFRules)
		b.grows(priceInspected, r.entered*in.Streams*seconds)
	}
}

// network is what leaves the region: answers to callers, forwarded calls and their answers, events; and what tasks send through NAT.
func (m *model) network(b *bill, r *traffic) {
	in, o := m.in, &m.operations
	const kilobytes = 1 << 20 // in a GB
	b.fixed(priceNAT, in.NATs*hours)
	b.fixed(priceEndpoint, in.Endpoints*zones*hours)
	b.fixed(priceAddress, (in.NATs+balancers*zones)*hours)
	b.grows(priceInternet, r.entered*in.ResponseKB*seconds/kilobytes)
	// What was answered here for calls that came in elsewhere goes back; what came in here and was forwarded goes out.
	answers := math.Max(0, r.served-(r.entered-r.forwarded))
	events := r.sentProjections*o.RelayProjection.Bytes + r.sentCopies*o.RelayCopy.Bytes
	b.grows(priceBetweenRegions, (r.forwarded*in.RequestKB+answers*in.ResponseKB)*seconds/kilobytes+events*seconds/gigabyte)
	b.fixed(priceBetweenRegions, float64(in.Topology.Len()-1)/in.Heartbeat.Seconds()*heartbeatBytes*seconds/gigabyte)
	b.grows(priceNATData, r.forwarded*in.Streams*(in.RequestKB+in.ResponseKB)*seconds/kilobytes)
}

// logged is how many GB of logs calls write in a month.
func (m *model) logged(r *traffic) float64 {
	return (r.entered + r.served) / 2 * m.in.LogKB * seconds / (1 << 20)
}

func (m *model) logs(b *bill, r *traffic) {
	in := m.in
	grows := m.logged(r) + (r.entered*(1-in.Streams)+r.writes+(r.gotProjections+r.gotCopies)/in.ReceiveBatch)*invocationLogKB*seconds/(1<<20)
	fixed := (float64(in.Topology.Len()-1)/in.Heartbeat.Seconds()*seconds + hours*60) * invocationLogKB / (1 << 20)
	kept := in.LogDays / 30 * logCompression
	b.grows(priceLogs, grows)
	b.grows(priceLogStorage, grows*kept)
	b.fixed(priceLogs, fixed)
	b.fixed(priceLogStorage, fixed*kept)
	b.fixed(priceAlarm, in.Alarms)
	b.fixed(priceMetric, in.Metrics)
}

func (m *model) others(b *bill, r *traffic) {
	b.fixed(priceSecret, secrets)
	b.fixed(priceParameter, parameters)
	b.fixed(priceCheck, 1)
	b.grows(priceQuery, r.entered*lookedUp*seconds)
}

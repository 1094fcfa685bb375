package replication_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/queue"
	"github.com/domicile-api/domicile/internal/replication"
	"github.com/domicile-api/domicile/internal/topology"
	"github.com/domicile-api/domicile/internal/topology/topologyfile"
)

// measured is a benchmark's time, and that of the processors for it.
type measured struct {
	b    *testing.B
	used time.Duration
}

func measure(b *testing.B) *measured {
	b.Helper()
	b.ReportAllocs()
	used := processorTime(b)
	b.ResetTimer()
	return &measured{b, used}
}

// end reports how many events a second it was, and how long a processor works for one.
func (m *measured) end(events int) {
	m.b.Helper()
	m.b.StopTimer()
	m.b.ReportMetric(float64(events)/m.b.Elapsed().Seconds(), "events/s")
	m.b.ReportMetric(float64((processorTime(m.b)-m.used).Nanoseconds())/1000/float64(events), "cpu-µs/event")
}

// BenchmarkPair is how fast a region catches up with another that has written b.N entities of 16 tenants: relay, queue and apply on two
// stores on one disk.
func BenchmarkPair(b *testing.B) {
	r := newRig(b, regionsOf(b, 2))
	home, there := r.nodes[0], r.nodes[1]
	r.fill(home.writers(home.settle(16), ident.Lanes), b.N)
	there.watched.expect(int64(b.N))
	m := measure(b)
	r.run()
	<-there.watched.reached
	m.end(b.N)
}

// BenchmarkAllPairs is the same for all thirty pairs of the default topology: every region is home to 4 tenants, and is told of all
// others'.
func BenchmarkAllPairs(b *testing.B) { benchRegions(b, topologyfile.Default()) }

// BenchmarkRegions is how that grows with the number of regions. An event is one write at one destination.
func BenchmarkRegions(b *testing.B) {
	for _, n := range []int{2, 3, 4, 6, 8, 12} {
		b.Run(fmt.Sprintf("regions=%d", n), func(b *testing.B) { benchRegions(b, regionsOf(b, n)) })
	}
}

func benchRegions(b *testing.B, top *topology.Topology) {
	b.Helper()
	r := newRig(b, top)
	others := top.Len() - 1
	writes := (b.N + others - 1) / others
	expected := make(map[*node]int64)
	for i, n := range r.nodes {
		mine := writes / len(r.nodes)
		if i < writes%len(r.nodes) {
			mine++
		}
		r.fill(n.writers(n.settle(4), ident.Lanes), mine)
		for _, other := range r.nodes {
			if other != n {
				expected[other] += int64(mine)
			}
		}
	}
	for _, n := range r.nodes {
		n.watched.expect(expected[n])
	}
	m := measure(b)
	r.run()
	for _, n := range r.nodes {
		<-n.watched.reached
	}
	m.end(writes * others)
}

// BenchmarkTenants is how the same pair does when its writes are of so many tenants, all of which are new to the destination: each
// stream begins once.
func BenchmarkTenants(b *testing.B) {
	for _, tenants := range []int{10, 100, 1000, 10_000, 100_000} {
		b.Run(fmt.Sprintf("tenants=%d", tenants), func(b *testing.B) {
			r := newRig(b, regionsOf(b, 2))
			home, there := r.nodes[0], r.nodes[1]
			writes := max(b.N, tenants)
			r.fill(home.writers(home.settle(tenants), 1), writes)
			there.watched.expect(int64(writes))
			m := measure(b)
			r.run()
			<-there.watched.reached
			m.end(writes)
		})
	}
}

// BenchmarkKnownTenants is BenchmarkTenants for tenants that the destination knows: only what was written is sent.
func BenchmarkKnownTenants(b *testing.B) {
	for _, tenants := range []int{10, 100, 1000, 10_000} {
		b.Run(fmt.Sprintf("tenants=%d", tenants), func(b *testing.B) {
			r := newRig(b, regionsOf(b, 2))
			home, there := r.nodes[0], r.nodes[1]
			writers := home.writers(home.settle(tenants), 1)
			r.fill(writers, tenants)
			there.watched.expect(int64(tenants))
			r.run()
			<-there.watched.reached
			there.watched.expect(int64(b.N))
			m := measure(b)
			r.fill(writers, b.N)
			<-there.watched.reached
			m.end(b.N)
		})
	}
}

// captured is a Sender that keeps what it is given, if it is to.
type captured struct {
	keep   bool
	mu     sync.Mutex
	groups map[string][]queue.Message
}

// Send implements replication.Sender.
func (c *captured) Send(_ context.Context, _ ident.RegionID, _ string, messages []queue.Outgoing) ([]error, error) {
	if c.keep {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, m := range messages {
			c.groups[m.Group] = append(c.groups[m.Group], queue.Message{ID: m.Deduplication, Group: m.Group, Body: m.Body})
		}
	}
	return make([]error, len(messages)), nil
}

// relayed relays b.N events of 16 tenants without a queue; measured unless they are kept.
func relayed(b *testing.B, r *rig, keep bool) *captured {
	b.Helper()
	home, there := r.nodes[0], r.nodes[1]
	r.fill(home.writers(home.settle(16), ident.Lanes), b.N)
	to := &captured{keep: keep, groups: make(map[string][]queue.Message)}
	relay, err := replication.NewRelay(replication.RelayConfig{
		Region: home.id, Topology: r.top, Table: home.table, Maker: &replication.Maker{Table: home.table, Sealer: home.keys, Catalog: r.catalog},
		Sender: to, Tenants: r, Clock: time.Now, Jitter: func() float64 { return 0 }, Rand: rand.Reader,
	})
	if err != nil {
		b.Fatal(err)
	}
	m := measure(b)
	if _, err := relay.Scan(b.Context()); err != nil {
		b.Fatal(err)
	}
	for some := true; some; {
		if some, err = relay.Step(b.Context(), there.id); err != nil {
			b.Fatal(err)
		}
	}
	if !keep {
		m.end(b.N)
	}
	return to
}

// BenchmarkRelayEvent is what the relay does for an event: all but the sending.
func BenchmarkRelayEvent(b *testing.B) { relayed(b, newRig(b, regionsOf(b, 2)), false) }

// BenchmarkApplyEvent is what apply does for an event, in batches of 10 of a stream: all but the queue.
func BenchmarkApplyEvent(b *testing.B) {
	r := newRig(b, regionsOf(b, 2))
	messages := relayed(b, r, true)
	m := measure(b)
	for _, group := range messages.groups {
		for batch := range slices.Chunk(group, queue.MaxBatch) {
			for _, v := range r.nodes[1].applier.Apply(b.Context(), batch) {
				if v.Outcome != replication.Done {
					b.Fatal(v.Err)
				}
			}
		}
	}
	m.end(b.N)
}

// BenchmarkLag is the time from the acknowledgement of a write to its visibility in the other region, at a steady rate of 5,000 writes
// a second of 16 tenants: half of the bound of a pair. The writes are made by the same process on the same disk.
func BenchmarkLag(b *testing.B) {
	const rate = 5000
	r := newRig(b, regionsOf(b, 2))
	home, there := r.nodes[0], r.nodes[1]
	writers := home.writers(home.settle(16), ident.Lanes)
	r.fill(writers, len(writers))
	there.watched.expect(int64(len(writers)))
	r.run()
	<-there.watched.reached
	lags := newLags(writers)
	there.watched.tell = lags.visible
	there.watched.expect(int64(b.N))
	m := measure(b)
	r.pace(writers, b.N, rate, lags.committed)
	<-there.watched.reached
	m.end(b.N)
	all := lags.all()
	b.ReportMetric(float64(all[len(all)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds())/1000, "p99-ms")
}

// pace commits count writes at a rate, each in a commit of its own as a caller that waits for its answer makes it, over writers in turn.
func (r *rig) pace(writers []*writer, count, rate int, committed func(l lane, seq ident.Seq, at time.Time)) {
	const tick = 2 * time.Millisecond
	due := make(chan struct{}, rate)
	var group sync.WaitGroup
	locks := make([]sync.Mutex, len(writers))
	var next int
	var mu sync.Mutex
	for range 256 {
		group.Go(func() {
			for range due {
				mu.Lock()
				i := next % len(writers)
				next++
				mu.Unlock()
				locks[i].Lock()
				w := writers[i]
				if err := w.write(context.Background(), 1); err != nil {
					r.tb.Error(err)
				}
				committed(w.lane, w.seq, time.Now())
				locks[i].Unlock()
			}
		})
	}
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	begin := time.Now()
	for sent := 0; sent < count; {
		<-ticker.C
		for until := int(time.Since(begin).Seconds() * float64(rate)); sent < min(until, count); sent++ {
			due <- struct{}{}
		}
	}
	close(due)
	group.Wait()
}

// lags are the times between what was acknowledged and what could be read.
type lags struct {
	mu    sync.Mutex
	lanes map[lane]*laneLags
}

type laneLags struct {
	mu             sync.Mutex
	commits, shown map[ident.Seq]time.Time
}

func newLags(writers []*writer) *lags {
	l := &lags{lanes: make(map[lane]*laneLags)}
	for _, w := range writers {
		l.lanes[w.lane] = &laneLags{commits: make(map[ident.Seq]time.Time), shown: make(map[ident.Seq]time.Time)}
	}
	return l
}

func (l *lags) of(key lane) *laneLags {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lanes[key]
}

func (l *lags) committed(key lane, seq ident.Seq, at time.Time) {
	one := l.of(key)
	one.mu.Lock()
	defer one.mu.Unlock()
	one.commits[seq] = at
}

func (l *lags) visible(key lane, from, to ident.Seq, at time.Time) {
	one := l.of(key)
	one.mu.Lock()
	defer one.mu.Unlock()
	for seq := from; seq <= to; seq++ {
		one.shown[seq] = at
	}
}

// all returns the lags in order. One that was visible before its writer heard of the commit has none.
func (l *lags) all() []time.Duration {
	var all []time.Duration
	for _, one := range l.lanes {
		for seq, at := range one.commits {
			all = append(all, max(one.shown[seq].Sub(at), 0))
		}
	}
	slices.Sort(all)
	return all
}

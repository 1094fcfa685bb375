package replication_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/topology"
)

// BenchmarkPair is how fast a region catches up with another that has written b.N entities of 16 tenants: relay, queue and apply on two
// stores on one disk.
func BenchmarkPair(b *testing.B) {
	r := newRig(b, regionsOf(b, 2))
	home, there := r.nodes[0], r.nodes[1]
	r.fill(home.writers(home.settle(16), ident.Lanes), b.N)
	there.watched.expect(int64(b.N))
	b.ReportAllocs()
	b.ResetTimer()
	r.run()
	<-there.watched.reached
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkAllPairs is the same for all thirty pairs of the default topology: every region is home to 4 tenants, and is told of all
// others'.
func BenchmarkAllPairs(b *testing.B) { benchRegions(b, topology.Default()) }

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
	b.ReportAllocs()
	b.ResetTimer()
	r.run()
	for _, n := range r.nodes {
		<-n.watched.reached
	}
	b.StopTimer()
	b.ReportMetric(float64(writes*others)/b.Elapsed().Seconds(), "events/s")
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
			b.ResetTimer()
			r.run()
			<-there.watched.reached
			b.StopTimer()
			b.ReportMetric(float64(writes)/b.Elapsed().Seconds(), "events/s")
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
			b.ResetTimer()
			r.fill(writers, b.N)
			<-there.watched.reached
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
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
	b.ResetTimer()
	r.pace(writers, b.N, rate, lags.committed)
	<-there.watched.reached
	b.StopTimer()
	all := lags.all()
	b.ReportMetric(float64(all[len(all)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds())/1000, "p99-ms")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
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


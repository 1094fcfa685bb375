package main

import "fmt"

// rows writes what the calls gave.
func (all cells) rows(o options, s *stack, t *table) {
	for _, kind := range kinds() {
		k := comparison{all: all, kind: kind, loaded: o.conns, table: t}
		t.section(fmt.Sprintf("%s %s", kind[0], kind[1]))
		k.service()
		for _, w := range s.ways[1:] {
			if w.name != wayEdge {
				k.throughput(w.name)
			}
		}
		k.throughput(wayDirect)
		for _, w := range s.ways[1:] {
			if w.name != wayEdge {
				k.latency(w.name)
			}
		}
	}
}

// comparison is about one kind of call.
type comparison struct {
	all    cells
	kind   [2]string
	loaded int
	table  *table
}

func (c comparison) samples(way string, conns int) []sample {
	return c.all[cellID{c.kind[0], c.kind[1], way, conns}]
}

func (c comparison) series(way string, conns int, figure func(sample) float64) series {
	samples := c.samples(way, conns)
	out := make(series, 0, len(samples))
	for _, s := range samples {
		out = append(out, figure(s))
	}
	return out
}

func p50(s sample) float64 { return s.quantile(0.50) }
func p99(s sample) float64 { return s.quantile(0.99) }

// service is the home region's edge and service in one process, called without anything between.
func (c comparison) service() {
	name := c.kind[0] + " " + c.kind[1]
	allocs, cpu := c.cost(wayDirect, func(s sample) usage { return s.service })
	c.table.add(row{
		name: name + ", direct, req/s", figure: c.series(wayDirect, c.loaded, sample.perSecond).spread("req/s"),
		beside: "CPU of the service " + number(cpu, "µs"), allocs: number(allocs, "service"),
	})
	c.table.add(row{
		name:   name + ", direct, 1 connection",
		figure: "p50 " + c.series(wayDirect, 1, p50).spread("µs"), beside: "p99 " + c.series(wayDirect, 1, p99).spread("µs"),
	})
	c.table.add(row{
		name:   fmt.Sprintf("%s, direct, %d connections", name, c.loaded),
		figure: "p50 " + c.series(wayDirect, c.loaded, p50).spread("µs"), beside: "p99 " + c.series(wayDirect, c.loaded, p99).spread("µs"),
	})
}

// throughput sets the edge beside another way.
func (c comparison) throughput(peer string) {
	edge, other := c.series(wayEdge, c.loaded, sample.perSecond), c.series(peer, c.loaded, sample.perSecond)
	r := row{
		name: fmt.Sprintf("%s %s, edge, req/s", c.kind[0], c.kind[1]), figure: edge.spread("req/s"),
		beside: peer + " " + other.spread("req/s"), ratio: edge.over(other).times(),
	}
	if peer != wayDirect {
		between := func(s sample) usage { return s.between }
		edgeAllocs, edgeCPU := c.cost(wayEdge, between)
		otherAllocs, otherCPU := c.cost(peer, between)
		r.allocs = number(edgeAllocs, "edge")
		c.table.add(r)
		r = row{
			name: fmt.Sprintf("%s %s, edge, CPU a call", c.kind[0], c.kind[1]), figure: number(edgeCPU, "µs"),
			beside: peer + " " + number(otherCPU, "µs"), ratio: fmt.Sprintf("%.2f", edgeCPU/otherCPU), allocs: number(otherAllocs, peer),
		}
	}
	c.table.add(r)
}

// latency sets the edge beside another way: alone on the machine, under load, and as what it adds to a direct call.
func (c comparison) latency(peer string) {
	compare := func(what string, edge, other series) {
		c.table.add(row{
			name: fmt.Sprintf("%s %s, edge, %s", c.kind[0], c.kind[1], what), figure: edge.spread("µs"),
			beside: peer + " " + other.spread("µs"), ratio: edge.over(other).times(),
		})
	}
	compare("1 connection, p50", c.series(wayEdge, 1, p50), c.series(peer, 1, p50))
	compare("1 connection, p99", c.series(wayEdge, 1, p99), c.series(peer, 1, p99))
	compare(fmt.Sprintf("%d connections, p50", c.loaded), c.series(wayEdge, c.loaded, p50), c.series(peer, c.loaded, p50))
	compare(fmt.Sprintf("%d connections, p99", c.loaded), c.series(wayEdge, c.loaded, p99), c.series(peer, c.loaded, p99))
	// Differences of noisy figures: their medians are worth a ratio, round by round they are not.
	direct := c.series(wayDirect, 1, p50)
	edge, other := c.series(wayEdge, 1, p50).minus(direct), c.series(peer, 1, p50).minus(direct)
	c.table.add(row{
		name: fmt.Sprintf("%s %s, edge, 1 connection, p50 added to direct", c.kind[0], c.kind[1]), figure: edge.spread("µs"),
		beside: peer + " " + other.spread("µs"), ratio: fmt.Sprintf("%.2f", edge.median()/other.median()),
	})
}

// cost is what a process used a call under load, over all rounds: a process's CPU time is told in steps of 10 ms.
func (c comparison) cost(way string, of func(sample) usage) (allocs, cpuMicroseconds float64) {
	var total usage
	calls := 0
	for _, s := range c.samples(way, c.loaded) {
		u := of(s)
		total.cpuSeconds += u.cpuSeconds
		total.mallocs += u.mallocs
		calls += s.calls
	}
	if calls == 0 {
		return 0, 0
	}
	return total.mallocs / float64(calls), total.cpuSeconds * 1e6 / float64(calls)
}

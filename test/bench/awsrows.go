package main

import (
	"fmt"
	"strconv"
)

// Bounds of DESIGN.md on the edge: megabytes of its binary, and milliseconds from its execution until it asks for work.
const (
	maxEdgeMegabytes = 12
	maxReady         = 25
)

// rows adds what calls asked of AWS, and how functions started.
func (f *awsFigures) rows(s *awsStack, t *table) error {
	t.section("On AWS: what a forwarded call asks for")
	for _, r := range []struct {
		name string
		all  [][]awsCall
		want float64
	}{
		{"create through the edge function, warm", f.warmCreate, 2},
		{"get through the edge function, warm", f.warmGet, 1},
		{"first create after a cold start, the edge function", f.firsts["edge"], 0},
		{"first create after a start, the services", f.firsts[servicesCaller], 0},
		{"relay of a lane's creates, after a cold start", f.firsts["relay"], 0},
		{"sweep, after a cold start", f.firsts["sweep"], 0},
	} {
		text, sum := typical(r.all)
		out := row{name: r.name, figure: strconv.FormatFloat(sum, 'f', -1, 64) + " calls", beside: text}
		if r.want > 0 {
			out.ratio = met(sum == r.want)
		}
		t.add(out)
	}
	t.add(row{name: "create through the edge function, warm, latency", figure: f.createLatency.spread("ms"), beside: "the cloud answers at once"})
	t.add(row{name: "get through the edge function, warm, latency", figure: f.getLatency.spread("ms"), beside: "the cloud answers at once"})
	t.section("On AWS: functions")
	for _, name := range functionNames() {
		deployed, err := s.megabytes(name, otherArch)
		if err != nil {
			return err
		}
		here, err := s.megabytes(name, "")
		if err != nil {
			return err
		}
		text, _ := typical(f.starts[name])
		size := row{name: name + ", binary, arm64", figure: number(deployed, "MB"), beside: "for this machine " + number(here, "MB")}
		ready := row{name: name + ", execution to first request for work", figure: f.ready[name].spread("ms"), beside: "asks " + text}
		if text == "" {
			ready.beside = "asks for nothing"
		}
		if name == "edge" {
			size.beside, size.ratio = fmt.Sprintf("≤ %d MB; %s", maxEdgeMegabytes, size.beside), met(deployed <= maxEdgeMegabytes)
			ready.beside, ready.ratio = fmt.Sprintf("≤ %d ms; %s", maxReady, ready.beside), met(f.ready[name].median() <= maxReady)
		}
		t.add(size)
		t.add(ready)
		t.add(row{name: name + ", execution to first answer", figure: f.answered[name].spread("ms")})
	}
	return nil
}

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// goBench is a Go benchmark whose figure the table has.
type goBench struct {
	// name in the table; pkg and bench name the benchmark, a sub-benchmark by its whole name.
	name, pkg, bench string
	// unit of the figure, as the benchmark reports it.
	unit string
	// bound is from DESIGN.md, in the same unit; 0: there is none. With a peer it is a ratio to that. atLeast says that more is better.
	bound   float64
	atLeast bool
	// peer is another benchmark of the package.
	peer string
	// once says that it is no time and is measured one time only.
	once bool
}

const (
	nanoseconds = "ns/op"
	commits     = "commits/s"
	events      = "events/s"
	processor   = "cpu-µs/event"

	routingPkg     = "internal/routing"
	directoryPkg   = "internal/directory"
	replicationPkg = "internal/replication"
	crdtPkg        = "internal/crdt"
)

// goBenches are in the order of the table.
var goBenches = []goBench{ //nolint:gochecknoglobals // An immutable table.
	{name: "routing decision, record at hand", pkg: routingPkg, bench: "BenchmarkDecide", unit: nanoseconds, bound: 200},
	{name: "routing decision, 1 M tenants, few call most", pkg: routingPkg, bench: "BenchmarkDecideOverMillion/zipf", unit: nanoseconds, bound: 200},
	{name: "routing decision, 1 M tenants, all call alike", pkg: routingPkg, bench: "BenchmarkDecideOverMillion/uniform", unit: nanoseconds, bound: 200},
	{name: "routing part of the directory", pkg: directoryPkg, bench: "BenchmarkBytesPerTenant/ids", unit: "bytes/tenant", bound: 64, once: true},
	{name: "the same with a host each", pkg: directoryPkg, bench: "BenchmarkBytesPerTenant/ids-and-hosts", unit: "bytes/tenant", once: true},
	{name: "projection of a 20-field entity", pkg: "internal/residency", bench: "BenchmarkProject20Fields", unit: nanoseconds, bound: 1500},
	{name: "route header, signed before", pkg: "internal/routeheader", bench: "BenchmarkSign/remembered", unit: nanoseconds},
	{name: "route header, verified before", pkg: "internal/routeheader", bench: "BenchmarkVerify/remembered", unit: nanoseconds},
	{name: "entity create, store in memory, 1 writer", pkg: "entity", bench: "BenchmarkCreate/memory/writers=1/idempotent=true", unit: nanoseconds},
	{name: "entity get, store in memory", pkg: "entity", bench: "BenchmarkGet", unit: nanoseconds},
	{
		name: "regional commit, 1 writer", pkg: "internal/store/pebblestore", bench: "BenchmarkCommit/writers=1/domicile", unit: commits,
		bound: 0.6, atLeast: true, peer: "BenchmarkCommit/writers=1/raw",
	},
	{
		name: "regional commit, 64 writers", pkg: "internal/store/pebblestore", bench: "BenchmarkCommit/writers=64/domicile", unit: commits,
		bound: 0.6, atLeast: true, peer: "BenchmarkCommit/writers=64/raw",
	},
	{name: "sync of one pair of regions", pkg: replicationPkg, bench: "BenchmarkPair", unit: events, bound: 10_000, atLeast: true},
	{name: "the same, processor time", pkg: replicationPkg, bench: "BenchmarkPair", unit: processor},
	{name: "sync of all thirty pairs of six regions", pkg: replicationPkg, bench: "BenchmarkAllPairs", unit: events},
	{name: "the same, processor time", pkg: replicationPkg, bench: "BenchmarkAllPairs", unit: processor},
	{name: "lag at 5,000 writes/s, commit to visible, p50", pkg: replicationPkg, bench: "BenchmarkLag", unit: "p50-ms"},
	{name: "lag at 5,000 writes/s, commit to visible, p99", pkg: replicationPkg, bench: "BenchmarkLag", unit: "p99-ms", bound: 50},
	{name: "relay, an event", pkg: replicationPkg, bench: "BenchmarkRelayEvent", unit: nanoseconds},
	{name: "apply, an event", pkg: replicationPkg, bench: "BenchmarkApplyEvent", unit: nanoseconds},
	{name: "one difference in 1 M entities, from the home", pkg: "internal/repair", bench: "BenchmarkOneInAMillion", unit: "bytes", once: true},
	{name: "check of a consistency token", pkg: "internal/consistency", bench: "BenchmarkTokenCheck", unit: nanoseconds},
	{name: "merge of settings, 10 entries", pkg: crdtPkg, bench: "BenchmarkMerge/entries=10", unit: nanoseconds},
	{name: "merge of settings, 1,000 entries", pkg: crdtPkg, bench: "BenchmarkMerge/entries=1000", unit: nanoseconds},
}

// results are the figures of benchmarks, by package, benchmark and unit.
type results map[[3]string]series

// goBenchmarks runs the benchmarks in rounds and adds the rows.
func goBenchmarks(ctx context.Context, o options, dir string, t *table, stderr io.Writer) error {
	packages, err := build(ctx, dir, stderr)
	if err != nil {
		return err
	}
	found := results{}
	for round := range o.goRounds {
		for _, pkg := range packages {
			if round > 0 && once(pkg) {
				continue
			}
			_, _ = fmt.Fprintf(stderr, "benchmarks of %s, round %d of %d\n", pkg, round+1, o.goRounds)
			if err := found.run(ctx, o, pkg, filepath.Join(dir, binary(pkg))); err != nil {
				return err
			}
		}
	}
	t.section("Go benchmarks")
	for _, b := range goBenches {
		t.add(found.row(b))
	}
	return nil
}

func binary(pkg string) string { return strings.ReplaceAll(pkg, "/", "-") + ".test" }

// build compiles the test binaries once.
func build(ctx context.Context, dir string, stderr io.Writer) ([]string, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("making a folder: %w", err)
	}
	var packages []string
	for _, b := range goBenches {
		if len(packages) > 0 && packages[len(packages)-1] == b.pkg {
			continue
		}
		packages = append(packages, b.pkg)
		_, _ = fmt.Fprintln(stderr, "building", b.pkg)
		cmd := exec.CommandContext(ctx, "go", "test", "-c", "-o", filepath.Join(dir, binary(b.pkg)), //nolint:gosec // The table above.
			"github.com/domicile-api/domicile/"+b.pkg)
		cmd.Stderr = stderr
		if err := cmd.Run(); err != nil {
			return nil, fmt.Errorf("building the benchmarks of %s: %w", b.pkg, err)
		}
	}
	return packages, nil
}

// patterns match the benchmarks of a package that the table needs, level by level as -bench wants it: one pattern a depth, since a
// pattern of two levels passes over benchmarks that have one.
func patterns(pkg string) []string {
	depths := map[int][][]string{}
	for _, b := range goBenches {
		if b.pkg != pkg {
			continue
		}
		for _, name := range []string{b.bench, b.peer} {
			parts := strings.Split(name, "/")
			levels := depths[len(parts)]
			if levels == nil {
				levels = make([][]string, len(parts))
			}
			for i, part := range parts {
				if part != "" && !slices.Contains(levels[i], part) {
					levels[i] = append(levels[i], part)
				}
			}
			if name != "" {
				depths[len(parts)] = levels
			}
		}
	}
	out := make([]string, 0, len(depths))
	for _, depth := range slices.Sorted(maps.Keys(depths)) {
		var levels []string
		for _, names := range depths[depth] {
			levels = append(levels, "^("+strings.Join(names, "|")+")$")
		}
		out = append(out, strings.Join(levels, "/"))
	}
	return out
}

// once tells whether the figures of a package are no times.
func once(pkg string) bool {
	return slices.ContainsFunc(goBenches, func(b goBench) bool { return b.pkg == pkg && b.once })
}

func (r results) run(ctx context.Context, o options, pkg, path string) error {
	benchtime := o.benchtime.String()
	if once(pkg) {
		benchtime = "1x"
	}
	for _, pattern := range patterns(pkg) {
		cmd := exec.CommandContext(ctx, path, "-test.run", "^$", "-test.bench", pattern, "-test.benchmem", //nolint:gosec // Built above.
			"-test.benchtime", benchtime)
		var out, complaints bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &complaints
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("the benchmarks of %s: %w: %s%s", pkg, err, out.String(), complaints.String())
		}
		n := 0
		lines := bufio.NewScanner(&out)
		for lines.Scan() {
			n += r.read(pkg, lines.Text())
		}
		if n == 0 {
			return errors.Join(fmt.Errorf("%s of %s gave no figure", pattern, pkg), lines.Err())
		}
	}
	return nil
}

// read takes a line of the format of Go benchmarks: name, iterations, and pairs of figure and unit.
func (r results) read(pkg, line string) int {
	fields := strings.Fields(line)
	if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
		return 0
	}
	name := fields[0]
	if at := strings.LastIndexByte(name, '-'); at > 0 {
		if _, err := strconv.Atoi(name[at+1:]); err == nil {
			name = name[:at] // The number of processors.
		}
	}
	n := 0
	for i := 2; i+1 < len(fields); i += 2 {
		if v, err := strconv.ParseFloat(fields[i], 64); err == nil {
			key := [3]string{pkg, name, fields[i+1]}
			r[key] = append(r[key], v)
			n++
		}
	}
	return n
}

// shown is a unit as the table has it: what it is of stands in the row's name.
func shown(unit string) string {
	unit = strings.TrimSuffix(unit, "/op")
	for _, of := range []string{"cpu-", "p50-", "p99-"} {
		unit = strings.TrimPrefix(unit, of)
	}
	return unit
}

func (r results) row(b goBench) row {
	got := r[[3]string{b.pkg, b.bench, b.unit}]
	unit := shown(b.unit)
	out := row{name: b.name, figure: got.spread(unit)}
	if allocs := r[[3]string{b.pkg, b.bench, "allocs/op"}]; len(allocs) > 0 && !b.once && b.unit != processor {
		out.allocs = strconv.FormatFloat(allocs.median(), 'f', 0, 64)
	}
	switch {
	case b.peer != "":
		other := r[[3]string{b.pkg, b.peer, b.unit}]
		out.beside = fmt.Sprintf("≥ %.2f of raw Pebble %s", b.bound, other.spread(unit))
		out.ratio = got.over(other).times()
	case b.bound > 0 && b.atLeast:
		out.beside = "≥ " + number(b.bound, unit)
		out.ratio = fmt.Sprintf("%.2f", got.median()/b.bound)
	case b.bound > 0:
		out.beside = "≤ " + number(b.bound, unit)
		out.ratio = fmt.Sprintf("%.2f", got.median()/b.bound)
	}
	return out
}

package pebblestore_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store"
	"github.com/domicile-api/domicile/internal/store/pebblestore"
	"github.com/domicile-api/domicile/internal/store/pebblestore/crashfs"
)

// TestCrash runs a random workload and, before each operation of the file system that changes anything, looks at what a crash
// at that moment could leave: with nothing, half or nearly all of what was not synced. In each such state, opened again,
//
//   - each commit that was acknowledged is there whole,
//   - each other commit is there whole or not at all,
//   - what was read before the crash is still so.
//
// A second round begins in a state that a crash left, so that recovery is crashed as well.
func TestCrash(t *testing.T) {
	t.Parallel()
	for seed := range uint64(1) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			w := &crashRun{t: t, seed: seed, model: newCrashModel()}
			disk := vfs.NewCrashableMem()
			for round := range 2 {
				w.round(disk, round)
				disk = disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rand.New(rand.NewPCG(seed, 99))})
			}
			t.Logf("%d points, %d states checked: %v; %d reads that were not held back", w.points, w.states, w.byOp, w.probes)
			if w.points < 100 || w.byOp["sync"] == 0 || w.byOp["rename"]+w.byOp["create"] == 0 || w.probes == 0 {
				t.Error("the workload does not exercise the file system")
			}
		})
	}
}

const (
	crashWorkers  = 3
	crashCommits  = 10
	crashCounters = 2
	crashParts    = 3
)

// crashRun is a run of the workload.
type crashRun struct {
	t     *testing.T
	seed  uint64
	model *crashModel
	live  atomic.Pointer[pebblestore.DB]

	points, states, probes int
	byOp                   map[string]int
}

// round opens the store on disk, runs the workload and closes, checking at each point.
func (r *crashRun) round(disk *vfs.MemFS, round int) {
	r.t.Helper()
	if r.byOp == nil {
		r.byOp = map[string]int{}
	}
	fs, setHook := crashfs.New(disk)
	setHook(func(op string) { r.point(disk, op) })
	db, err := pebblestore.Open(crashConfig(fs))
	if err != nil {
		r.t.Fatal(err)
	}
	r.live.Store(db)
	var wg sync.WaitGroup
	for w := range crashWorkers {
		rng := rand.New(rand.NewPCG(r.seed, uint64(10*round+w)))
		wg.Go(func() { r.work(db.Table("regional"), fmt.Sprintf("r%dw%d", round, w), rng) })
	}
	wg.Wait()
	r.live.Store(nil)
	if err := db.Close(); err != nil {
		r.t.Error(err)
	}
}

func crashConfig(fs vfs.FS) pebblestore.Config {
	return pebblestore.Config{Dir: "/data/region", FS: fs, MemTableBytes: 64 << 10, MemoryBytes: 1 << 20, SweepInterval: -1}
}

// point is a moment at which the machine may crash.
func (r *crashRun) point(disk *vfs.MemFS, op string) {
	r.points++
	r.byOp[op]++
	if db := r.live.Load(); db != nil && op == "sync" {
		r.probe(db.Table("regional")) // The window between a group's application and its sync.
	}
	snapshot := r.model.snapshot()
	for _, percent := range []int{0, 50, 95} {
		if percent == 0 && op != "sync" {
			continue // Without what is not synced, the last state before each sync has the most to answer for.
		}
		clone := disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rand.New(rand.NewPCG(r.seed, uint64(r.points)))})
		r.states++
		if problems := snapshot.verify(clone); len(problems) > 0 {
			r.t.Errorf("crash at point %d (%s), %d %% of the unsynced data kept:\n\t%s", r.points, op, percent,
				strings.Join(problems, "\n\t"))
		}
	}
}

// probe reads each counter and notes what is answered without a wait: that must survive.
func (r *crashRun) probe(table store.Store) {
	for c := range crashCounters {
		it, err := table.Get(&impatient{Context: r.t.Context()}, counterKey(c))
		if err == nil {
			r.probes++
			r.model.observe(c, int(it.Version.Seq))
		}
		page, err := table.Query(&impatient{Context: r.t.Context()}, store.Query{Partition: fmt.Sprintf("marks%d", c)})
		if err == nil {
			r.probes++
			r.model.observe(c, len(page.Items))
		}
	}
}

// impatient is a context that ends as soon as somebody would wait for its end.
type impatient struct {
	context.Context

	ended atomic.Bool
}

func (c *impatient) Done() <-chan struct{} {
	c.ended.Store(true)
	ch := make(chan struct{})
	close(ch)
	return ch
}

func (c *impatient) Err() error {
	if c.ended.Load() {
		return context.Canceled
	}
	return nil
}

// work makes commits: each puts items in several partitions, adds one to a counter and marks the number as its own, and some
// delete what an earlier one put.
func (r *crashRun) work(table store.Store, name string, rng *rand.Rand) {
	var mine []string
	for n := range crashCommits {
		for try := 0; ; try++ {
			a := &attempt{id: fmt.Sprintf("%s-%d-%d", name, n, try), counter: rng.IntN(crashCounters)}
			if len(mine) > 0 && rng.IntN(3) == 0 {
				a.deletes = mine[0]
			}
			err := r.attempt(table, a, rng)
			if errors.As(err, new(*store.ConditionError)) {
				continue
			}
			if err != nil {
				r.t.Error(err)
				return
			}
			r.model.acknowledge(a.id)
			if a.deletes != "" {
				mine = mine[1:]
			}
			mine = append(mine, a.id)
			break
		}
	}
}

func (r *crashRun) attempt(table store.Store, a *attempt, rng *rand.Rand) error {
	before, err := table.Get(r.t.Context(), counterKey(a.counter))
	cond := store.VersionIs(before.Version)
	if errors.Is(err, store.ErrNotFound) {
		cond, err = store.Absent(), nil
	}
	if err != nil {
		return err
	}
	r.model.observe(a.counter, int(before.Version.Seq))
	a.number = int(before.Version.Seq) + 1
	r.model.begin(a)
	version := ident.Version{Epoch: 1, Seq: ident.Seq(a.number)}
	value := make([]byte, 500+rng.IntN(2000))
	for i := range value {
		value[i] = byte(rng.Uint32())
	}
	put := func(k store.Key, value []byte, cond store.Condition) store.Op {
		return store.Op{Kind: store.Put, If: cond, Item: store.Item{Key: k, Version: version, Tag: store.Tag{Class: store.ClassPII}, Value: value}}
	}
	ops := []store.Op{
		put(counterKey(a.counter), nil, cond),
		put(markKey(a.counter, a.number), []byte(a.id), store.Always()),
		put(store.Key{Partition: "done", Sort: a.id}, nil, store.Absent()),
	}
	for p := range crashParts {
		ops = append(ops, put(partKey(a.id, p), value, store.Absent()))
		if a.deletes != "" {
			ops = append(ops, store.Op{Kind: store.Delete, Item: store.Item{Key: partKey(a.deletes, p)}})
		}
	}
	return table.Commit(r.t.Context(), store.Commit{Ops: ops})
}

func counterKey(c int) store.Key { return store.Key{Partition: "counters", Sort: strconv.Itoa(c)} }

func markKey(c, n int) store.Key {
	return store.Key{Partition: fmt.Sprintf("marks%d", c), Sort: fmt.Sprintf("%04d", n)}
}

func partKey(id string, p int) store.Key {
	return store.Key{Partition: fmt.Sprintf("part%d", p), Sort: id}
}

// attempt is a commit that was begun.
type attempt struct {
	id, deletes     string
	counter, number int
}

// crashModel is what is known of the store from outside.
type crashModel struct {
	mu           sync.Mutex
	attempts     map[string]*attempt
	acknowledged map[string]bool
	observed     [crashCounters]int
}

func newCrashModel() *crashModel {
	return &crashModel{attempts: map[string]*attempt{}, acknowledged: map[string]bool{}}
}

func (m *crashModel) begin(a *attempt) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.attempts[a.id] = a
}

func (m *crashModel) acknowledge(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.acknowledged[id] = true
}

func (m *crashModel) observe(counter, n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.observed[counter] = max(m.observed[counter], n)
}

func (m *crashModel) snapshot() *crashModel {
	m.mu.Lock()
	defer m.mu.Unlock()
	return &crashModel{attempts: maps.Clone(m.attempts), acknowledged: maps.Clone(m.acknowledged), observed: m.observed}
}

// verify opens what a crash left and returns what is wrong with it.
func (m *crashModel) verify(disk vfs.FS) []string {
	db, err := pebblestore.Open(crashConfig(disk))
	if err != nil {
		return []string{fmt.Sprintf("open: %v", err)}
	}
	problems := m.compare(db.Table("regional"))
	if err := db.Close(); err != nil {
		problems = append(problems, fmt.Sprintf("close: %v", err))
	}
	return problems
}

// compare checks the contents of a recovered store against the model.
func (m *crashModel) compare(table store.Store) (problems []string) {
	fail := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	have := map[store.Key]store.Item{}
	for _, p := range []string{"counters", "marks0", "marks1", "done", "part0", "part1", "part2"} {
		page, err := table.Query(context.Background(), store.Query{Partition: p})
		if err != nil {
			fail("query: %v", err)
		}
		for _, it := range page.Items {
			have[it.Key] = it
		}
	}
	done := func(id string) bool { _, ok := have[store.Key{Partition: "done", Sort: id}]; return ok }
	deleted := map[string]bool{}
	total := 0
	for id, a := range m.attempts {
		if done(id) {
			deleted[a.deletes] = true
			total++
		}
	}
	for id, a := range m.attempts {
		if m.acknowledged[id] && !done(id) {
			fail("commit %s was acknowledged and is lost", id)
		}
		parts := 0
		for p := range crashParts {
			if _, ok := have[partKey(id, p)]; ok {
				parts++
			}
		}
		want := 0
		if done(id) && !deleted[id] {
			want = crashParts
		}
		if parts != want {
			fail("commit %s has %d of its %d parts", id, parts, want)
		}
		if mark := have[markKey(a.counter, a.number)]; done(id) != (string(mark.Value) == id) {
			fail("commit %s is done: %v, but number %d is of %q", id, done(id), a.number, mark.Value)
		}
	}
	for c := range crashCounters {
		n := int(have[counterKey(c)].Version.Seq)
		if n < m.observed[c] {
			fail("counter %d was read as %d and is %d", c, m.observed[c], n)
		}
		total -= n
	}
	if total != 0 {
		fail("the counters miss the number of commits by %d", total)
	}
	return problems
}

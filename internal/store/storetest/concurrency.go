package storetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store"
)

func concurrencyTests() []test {
	return []test{
		{name: "250 contended increments, none lost", run: func(f *fixture) {
			const workers, each = 10, 25
			f.put(item("p", "counter", "0", 0))
			f.each(workers, func(int) error {
				for range each {
					if err := f.increment(store.Key{Partition: "p", Sort: "counter"}); err != nil {
						return err
					}
				}
				return nil
			})
			f.has(item("p", "counter", strconv.Itoa(workers*each), workers*each))
		}},
		{name: "one of many creators wins", run: func(f *fixture) {
			for round := range 20 {
				var mu sync.Mutex
				var winners []int
				f.each(8, func(w int) error {
					it := item("p", strconv.Itoa(round), strconv.Itoa(w), w+1)
					err := f.Commit(f.Context(), store.Commit{Ops: []store.Op{put(it, store.Absent())}})
					if errors.As(err, new(*store.ConditionError)) {
						return nil
					}
					mu.Lock()
					winners = append(winners, w)
					mu.Unlock()
					return err
				})
				if len(winners) != 1 {
					f.Fatalf("round %d has the winners %v", round, winners)
				}
				f.has(item("p", strconv.Itoa(round), strconv.Itoa(winners[0]), winners[0]+1))
			}
		}},
		{name: "write skew is refused", multi: true, run: func(f *fixture) {
			// Two transactions each check the item that the other one writes: serially, at most one of them can succeed.
			for round := range 50 {
				a, b := item("p", fmt.Sprintf("a%d", round), "v", 1), item("q", fmt.Sprintf("b%d", round), "v", 1)
				var mu sync.Mutex
				done := 0
				f.each(2, func(w int) error {
					mine, other := a, b
					if w == 1 {
						mine, other = b, a
					}
					err := f.Commit(f.Context(), store.Commit{Ops: []store.Op{put(mine, store.Absent()), check(other.Key, store.Absent())}})
					if errors.As(err, new(*store.ConditionError)) {
						return nil
					}
					mu.Lock()
					done++
					mu.Unlock()
					return err
				})
				if done != 1 {
					f.Fatalf("round %d: %d transactions succeeded; want 1", round, done)
				}
			}
		}},
		{name: "strictly serializable", run: strictlySerializable},
	}
}

// each runs fn in n goroutines and fails the test with the first error.
func (f *fixture) each(n int, fn func(worker int) error) {
	f.Helper()
	errs := make(chan error, n)
	for w := range n {
		go func() { errs <- fn(w) }()
	}
	for range n {
		if err := <-errs; err != nil {
			f.Error(err)
		}
	}
	if f.Failed() {
		f.FailNow()
	}
}

// increment adds one to a counter, again and again until nobody interferes.
func (f *fixture) increment(k store.Key) error {
	for {
		it, err := f.Get(f.Context(), k)
		if err != nil {
			return err
		}
		n, err := strconv.Atoi(string(it.Value))
		if err != nil {
			return fmt.Errorf("the counter: %w", err)
		}
		next := item(k.Partition, k.Sort, strconv.Itoa(n+1), n+1)
		err = f.Commit(f.Context(), store.Commit{Ops: []store.Op{put(next, store.VersionIs(it.Version))}})
		if !errors.As(err, new(*store.ConditionError)) {
			return err
		}
	}
}

// keys is how many items the history below is about. Few, so that commits collide.
const keys = 4

// storeState is the version of each item; the zero version: absent.
type storeState [keys]ident.Version

// storeInput is one call: a get of an item, or else a commit.
type storeInput struct {
	get int
	ops []modelOp
}

type modelOp struct {
	key  int
	kind store.OpKind
	cond store.Condition
	to   ident.Version
}

// storeOutput is what was answered: the version that a get showed, or the commit's refusal.
type storeOutput struct {
	version ident.Version
	refused *store.ConditionError
}

// storeModel is the port, serially.
func storeModel() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return storeState{} },
		Step: func(state, input, output any) (bool, any) {
			s, in, out := state.(storeState), input.(storeInput), output.(storeOutput) //nolint:forcetypeassert // Porcupine hands back what it got.
			if in.ops == nil {
				return s[in.get] == out.version, s
			}
			for i, op := range in.ops {
				v := s[op.key]
				holds := op.cond.Holds(v != ident.Version{}, v)
				if out.refused != nil && (out.refused.Failed[i] == holds || !holds && out.refused.Stored[i] != v) {
					return false, s
				}
				if out.refused == nil && !holds {
					return false, s
				}
			}
			if out.refused != nil {
				return true, s
			}
			for _, op := range in.ops {
				switch op.kind {
				case store.Put:
					s[op.key] = op.to
				case store.Delete:
					s[op.key] = ident.Version{}
				case store.Check:
				}
			}
			return true, s
		},
		Equal: func(a, b any) bool { return a == b },
		DescribeOperation: func(input, output any) string {
			return fmt.Sprintf("%+v -> %+v", input, output)
		},
	}
}

// strictlySerializable runs random commits and gets on few items concurrently and checks with porcupine that the history is
// one of some serial order that respects real time.
func strictlySerializable(f *fixture) {
	const workers, each = 5, 60
	var mu sync.Mutex
	var history []porcupine.Operation
	start := time.Now()
	f.each(workers, func(w int) error {
		rng := rand.New(rand.NewPCG(uint64(w), 11)) //nolint:gosec // A seed that replays.
		for n := range each {
			fresh := ident.Version{Epoch: ident.Epoch(w + 1), Seq: ident.Seq(n + 1)} //nolint:gosec // Never negative.
			in := randomInput(rng, fresh, f.options.SingleOp)
			called := time.Since(start)
			out, err := f.call(in)
			if err != nil {
				return err
			}
			op := porcupine.Operation{ClientId: w, Input: in, Call: int64(called), Output: out, Return: int64(time.Since(start))}
			mu.Lock()
			history = append(history, op)
			mu.Unlock()
		}
		return nil
	})
	if !porcupine.CheckOperations(storeModel(), history) {
		f.Errorf("%d operations have no serial order", len(history))
	}
}

func randomInput(rng *rand.Rand, fresh ident.Version, single bool) storeInput {
	if rng.IntN(3) == 0 {
		return storeInput{get: rng.IntN(keys)}
	}
	n := 1 + rng.IntN(keys)
	if single {
		n = 1
	}
	in := storeInput{}
	kinds := []store.OpKind{store.Put, store.Delete, store.Check}
	for _, k := range rng.Perm(keys)[:n] {
		op := modelOp{key: k, kind: kinds[rng.IntN(len(kinds))], to: fresh}
		guess := ident.Version{Epoch: ident.Epoch(1 + rng.Uint64N(5)), Seq: fresh.Seq}
		op.cond = []store.Condition{store.OlderThan(guess), store.Absent(), store.VersionIs(guess), store.Always()}[rng.IntN(4)]
		if op.kind == store.Check && op.cond == store.Always() {
			op.cond = store.Absent()
		}
		in.ops = append(in.ops, op)
	}
	return in
}

// call makes the call on the store.
func (f *fixture) call(in storeInput) (storeOutput, error) {
	key := func(k int) store.Key { return store.Key{Partition: fmt.Sprintf("p%d", k%2), Sort: strconv.Itoa(k)} }
	if in.ops == nil {
		it, err := f.Get(f.Context(), key(in.get))
		if errors.Is(err, store.ErrNotFound) {
			err = nil
		}
		return storeOutput{version: it.Version}, err
	}
	var c store.Commit
	for _, op := range in.ops {
		c.Ops = append(c.Ops, store.Op{Kind: op.kind, If: op.cond, Item: store.Item{Key: key(op.key), Version: op.to, Tag: tag()}})
	}
	err := f.Commit(f.Context(), c)
	var refused *store.ConditionError
	if errors.As(err, &refused) {
		err = nil
	}
	return storeOutput{refused: refused}, err
}

package directory

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"sync"
	"time"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	"github.com/domicile-api/domicile/internal/fault"
)

// lookups shields the table from names that are not known here: one look-up at a time for a name, a bounded number at once for
// all, a bounded number that wait, and none for a name that was found unknown a moment ago. V is what a look-up finds.
type lookups[V any] struct {
	seed    maphash.Seed
	clock   func() time.Time
	timeout time.Duration
	waiting int
	// running holds a token for each look-up at the table.
	running chan struct{}

	mu      sync.Mutex
	unknown *unknownNames
	flights map[uint64]*flight[V]
}

// flight is a look-up that any number of callers wait for.
type flight[V any] struct {
	done  chan struct{}
	value V
	found bool
	err   error
}

// find looks a name up in the table. kind keeps names of different kinds apart. fetch goes on though its first caller leaves, for
// the sake of the others.
func (l *lookups[V]) find(
	ctx context.Context, kind byte, name string, fetch func(context.Context) (V, bool, error),
) (value V, found bool, err error) {
	var h maphash.Hash
	h.SetSeed(l.seed)
	_ = h.WriteByte(kind)      // It never fails.
	_, _ = h.WriteString(name) // It never fails.
	f, err := l.join(ctx, h.Sum64(), fetch)
	if f == nil {
		return value, false, err
	}
	select {
	case <-f.done:
		return f.value, f.found, f.err
	case <-ctx.Done():
		return value, false, fmt.Errorf("looking up in the directory: %w", ctx.Err())
	}
}

// join returns the flight of a name, a new one if there is none; nil without an error if the name is unknown.
func (l *lookups[V]) join(ctx context.Context, name uint64, fetch func(context.Context) (V, bool, error)) (*flight[V], error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.unknown.has(name, l.clock()) {
		return nil, nil //nolint:nilnil // Nothing to wait for is an answer.
	}
	if f, ok := l.flights[name]; ok {
		return f, nil
	}
	if len(l.flights) >= l.waiting+cap(l.running) {
		refusal := fault.New(errorsv1.Reason_REASON_OVERLOADED, "too many unknown names are being looked up")
		refusal.RetryAfter = time.Second
		return nil, refusal
	}
	f := &flight[V]{done: make(chan struct{})}
	l.flights[name] = f
	go l.fly(context.WithoutCancel(ctx), name, f, fetch)
	return f, nil
}

func (l *lookups[V]) fly(ctx context.Context, name uint64, f *flight[V], fetch func(context.Context) (V, bool, error)) {
	l.running <- struct{}{}
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	value, found, err := fetch(ctx)
	cancel()
	<-l.running
	if err != nil {
		err = unavailable(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	f.value, f.found, f.err = value, found, err
	delete(l.flights, name)
	if err == nil && !found {
		l.unknown.add(name, l.clock())
	}
	close(f.done)
}

// lookupLimits bound lookups. Zero numbers stand for the defaults of a ResolverConfig.
type lookupLimits struct {
	timeout, unknownFor            time.Duration
	lookups, waiting, unknownNames int
}

func newLookups[V any](clock func() time.Time, limits lookupLimits) *lookups[V] {
	return &lookups[V]{
		seed: maphash.MakeSeed(), clock: clock,
		timeout: orDefault(limits.timeout, DefaultLookupTimeout),
		waiting: orDefault(limits.waiting, DefaultMaxWaiting),
		running: make(chan struct{}, orDefault(limits.lookups, DefaultMaxLookups)),
		unknown: newUnknownNames(orDefault(limits.unknownFor, DefaultUnknownFor), orDefault(limits.unknownNames, DefaultMaxUnknown)),
		flights: make(map[uint64]*flight[V]),
	}
}

// errNoTable is the cause when there is no table to look into.
var errNoTable = errors.New("no table is attached")

// unavailable says that a name that is not known here cannot be looked up now.
func unavailable(cause error) error {
	refusal := fault.Wrap(errorsv1.Reason_REASON_REGION_UNAVAILABLE, cause,
		"the name is not known here, and the directory cannot be asked now")
	refusal.RetryAfter = time.Second
	return refusal
}

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

// lookups shields the table from names that the index does not have: one look-up at a time for a name, a bounded number at
// once for all, a bounded number that wait, and none for a name that was found unknown a moment ago.
type lookups struct {
	seed    maphash.Seed
	clock   func() time.Time
	timeout time.Duration
	waiting int
	// running holds a token for each look-up at the table.
	running chan struct{}

	mu      sync.Mutex
	unknown *unknownNames
	flights map[uint64]*flight
}

// flight is a look-up that any number of callers wait for.
type flight struct {
	done  chan struct{}
	found bool
	err   error
}

// find tells whether a name is in the table. kind keeps names of different kinds apart. fetch puts what it finds where the
// caller looks for it afterwards; it goes on though its first caller leaves, for the sake of the others.
func (l *lookups) find(ctx context.Context, kind byte, name string, fetch func(context.Context) (bool, error)) (bool, error) {
	var h maphash.Hash
	h.SetSeed(l.seed)
	_ = h.WriteByte(kind)      // It never fails.
	_, _ = h.WriteString(name) // It never fails.
	f, err := l.join(ctx, h.Sum64(), fetch)
	if f == nil {
		return false, err
	}
	select {
	case <-f.done:
		return f.found, f.err
	case <-ctx.Done():
		return false, fmt.Errorf("looking up in the directory: %w", ctx.Err())
	}
}

// join returns the flight of a name, a new one if there is none; nil without an error if the name is unknown.
func (l *lookups) join(ctx context.Context, name uint64, fetch func(context.Context) (bool, error)) (*flight, error) {
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
	f := &flight{done: make(chan struct{})}
	l.flights[name] = f
	go l.fly(context.WithoutCancel(ctx), name, f, fetch)
	return f, nil
}

func (l *lookups) fly(ctx context.Context, name uint64, f *flight, fetch func(context.Context) (bool, error)) {
	l.running <- struct{}{}
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	found, err := fetch(ctx)
	cancel()
	<-l.running
	if err != nil {
		err = unavailable(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	f.found, f.err = found, err
	delete(l.flights, name)
	if err == nil && !found {
		l.unknown.add(name, l.clock())
	}
	close(f.done)
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

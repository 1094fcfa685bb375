package app

import (
	"context"
	"fmt"
	"net/http"
	"sync"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	"github.com/domicile-api/domicile/internal/edge"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/rpc"
	"github.com/domicile-api/domicile/internal/topology"
)

// node is a region's place in the process. What runs in it may be killed and started again.
type node struct {
	id    ident.RegionID
	index topology.Index
	// open starts the region on what is on its disk.
	open func(ctx context.Context) (*region, error)

	// changing is held while the region starts or stops.
	changing sync.Mutex
	// stopped says that the process ends: nothing is started any more, which nobody would stop. It is guarded by changing.
	stopped bool
	mu      sync.RWMutex
	running *region
}

// region returns what runs, or nil.
func (n *node) region() *region {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.running
}

func (n *node) set(r *region) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.running = r
}

// prepare opens the region, so that others reach it; what goes on in it begins with region.run.
func (n *node) prepare(ctx context.Context) error {
	r, err := n.open(ctx)
	if err != nil {
		return err
	}
	n.set(r)
	r.peers.join()
	return nil
}

// restart runs the region again, if it does not run.
func (n *node) restart(ctx context.Context) error {
	n.changing.Lock()
	defer n.changing.Unlock()
	if n.stopped || n.region() != nil {
		return nil
	}
	if err := n.prepare(ctx); err != nil {
		return err
	}
	n.region().run()
	return nil
}

// crash kills the region: calls are cut off where they are, and nothing is finished.
func (n *node) crash() error {
	n.changing.Lock()
	defer n.changing.Unlock()
	r := n.region()
	if r == nil {
		return nil
	}
	n.set(nil)
	if err := r.kill(); err != nil {
		return fmt.Errorf("killing region %s: %w", n.id, err)
	}
	return nil
}

// stop ends the region: calls that run may end, accepted writes get their outcome.
func (n *node) stop() error {
	n.changing.Lock()
	defer n.changing.Unlock()
	n.stopped = true
	r := n.region()
	if r == nil {
		return nil
	}
	n.set(nil)
	return r.close()
}

// ServeHTTP is the region's edge, for callers within the process.
func (n *node) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if running := n.region(); running != nil {
		running.edge.ServeHTTP(w, r)
		return
	}
	f := fault.New(errorsv1.Reason_REASON_REGION_UNAVAILABLE, "the region does not run")
	f.RetryAfter = edge.DefaultRetryAfter
	rpc.WriteError(w, r, f)
}

// Package replication brings what a tenant's home wrote to the regions that may hold it: the relay sends it, apply takes it in.
//
// It promises, for every region that a tenant's record grants something to (GrantOf) and whatever queues and processes do
// (lose time, deliver twice or out of order, crash between any two steps):
//
//   - Each position of a lane's outbox is told to the region at least once, as the state of its entity then or later. A region that
//     cannot be reached delays nobody else, and is told later, or is marked lost and told that it must be repaired.
//   - A region never holds an entity at an older state than it once had, and never one again that was deleted.
//   - A watermark is never ahead of the data: a region whose watermark of a lane is at s has, of every entity of the lane, the
//     home's state at s or a later one.
//   - Nothing is taken in that the class tables, the tenant's policy or the law of the region forbid, even if it was sent.
//
// Relay and Applier are made of steps that take no time of their own and start no goroutines; their Run methods drive the
// steps in production, or processes that live as short as one call: Relay.Handle, Relay.Sweep, and Applier.Apply of Shared tables. (There, Watch
// starts a goroutine while somebody waits.) DESIGN.md has the failure modes and what was rejected.
package replication

import (
	"context"
	"errors"

	replicationv1 "github.com/domicile-api/domicile/gen/domicile/replication/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/queue"
	"github.com/domicile-api/domicile/internal/residency"
	"github.com/domicile-api/domicile/internal/routing"
	"github.com/domicile-api/domicile/internal/topology"
)

// The queues of a region.
const (
	// QueueEvents takes what is GLOBAL, from everybody.
	QueueEvents = "events"
	// QueueSealed takes what has sealed parts, from regions of the same jurisdiction.
	QueueSealed = "sealed"
	// DeadSuffix is what the name of a queue's dead-letter queue ends with.
	DeadSuffix = ".dead"
)

// Sender puts messages into the queues of other regions.
type Sender interface {
	// Send behaves as queue.Queue.Send of the named queue of a region.
	Send(ctx context.Context, to ident.RegionID, queue string, messages []queue.Outgoing) (failed []error, err error)
}

// Tenants is what the relay reads in the directory.
type Tenants interface {
	// Tenant returns a tenant's record; false when the directory does not have it.
	Tenant(id ident.TenantID) (routing.Tenant, bool)
	// AtHome calls fn with every tenant whose home is the region, until fn fails, whose error it then returns.
	AtHome(ctx context.Context, region topology.Index, fn func(ident.TenantID) error) error
}

// Directory is what apply reads in the directory.
type Directory interface {
	// Tenant returns a tenant's record; false when the directory here does not have it.
	Tenant(id ident.TenantID) (routing.Tenant, bool)
	// Classes returns a release's class table by its fingerprint; false when the directory here does not have it.
	Classes(fingerprint []byte) (*residency.Classes, bool)
}

// feeds are the feeds of a home.
func feeds() [2]replicationv1.Feed {
	return [...]replicationv1.Feed{replicationv1.Feed_FEED_PROJECTIONS, replicationv1.Feed_FEED_STANDBY}
}

// errNoTenant says that a record is missing in the directory, or names another home.
var errNoTenant = errors.New("replication: the tenant is not at home here")

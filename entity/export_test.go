package entity

import (
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/keyspace"
)

// What the tests outside of the package need of its inside: the stored layout, and what waits.
var (
	CounterKey = keyspace.Counter
	EntityKey  = keyspace.Entity
	OutboxKey  = keyspace.Outbox
	LookupKey  = keyspace.Lookup
	LaneOf     = keyspace.LaneOf
	EtagOf     = etagOf
	Partitions = keyspace.Partitions
)

// Waiting is how many mutations of a lane have no outcome yet.
func (e *Engine) Waiting(tenant ident.TenantID, lane ident.Lane) int {
	e.lanes.mu.Lock()
	defer e.lanes.mu.Unlock()
	if s := e.lanes.live[laneID{tenant: tenant, lane: lane}]; s != nil {
		return s.waiting
	}
	return 0
}

// Lanes is how many lanes have a sequencer, and how many more are remembered.
func (e *Engine) Lanes() (live, idle int) {
	e.lanes.mu.Lock()
	defer e.lanes.mu.Unlock()
	return len(e.lanes.live), len(e.lanes.idle)
}

// Closed tells whether mutations are refused by now.
func (e *Engine) Closed() bool {
	e.lanes.mu.Lock()
	defer e.lanes.mu.Unlock()
	return e.lanes.closed
}

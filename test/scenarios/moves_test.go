package scenarios

import (
	"context"
	"fmt"

	policyv1 "github.com/domicile-api/domicile/gen/domicile/policy/v1"
	replicationv1 "github.com/domicile-api/domicile/gen/domicile/replication/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/keyspace"
	"github.com/domicile-api/domicile/internal/replication"
	"github.com/domicile-api/domicile/internal/routing"
	"github.com/domicile-api/domicile/internal/store"
)

// ring tells the relay what the change feed has to tell: some of it.
func (r *region) ring() {
	if !r.up {
		return
	}
	for len(r.bell) > 0 && r.w.draw(8) > 0 {
		r.relay.Ring(r.bell[:1])
		r.bell = r.bell[1:]
	}
}

func (r *region) scan() {
	if r.up {
		_, _ = r.relay.Scan(context.Background())
	}
}

// send has a relay send a page to some destination that it has something for.
func (w *world) send() {
	r := w.regions[w.records[tenants()[w.draw(2)]].Home]
	if !r.up {
		return
	}
	for _, i := range w.rng.Perm(len(w.regions)) {
		to := w.regions[i]
		if to == r {
			continue
		}
		if some, err := r.relay.Step(context.Background(), to.id); some {
			w.notef("%s sends a page to %s%s", r.id, to.id, cond(err == nil, "", fmt.Sprintf(": %v", err)))
			return
		}
	}
}

func (r *region) queueName() string {
	return []string{replication.QueueEvents, replication.QueueSealed}[r.w.draw(2)]
}

// take receives and applies a batch where there is one.
func (w *world) take() {
	for _, i := range w.rng.Perm(len(w.regions)) {
		r, name := w.regions[i], w.regions[i].queueName()
		if !r.up {
			continue
		}
		if depth, err := r.queues[name].main.Depth(context.Background()); err != nil || depth.Waiting == 0 {
			continue
		}
		err := r.receive(context.Background(), name)
		w.notef("%s applies a batch of %s%s", r.id, name, cond(err == nil, "", fmt.Sprintf(": %v", err)))
		w.check(r)
		return
	}
}

func (r *region) beat() {
	to := r.w.regions[r.w.draw(len(r.w.regions))]
	if r.up && to != r {
		_ = r.relay.Heartbeat(context.Background(), to.id)
	}
}

// prune prunes all lanes that can be: which of them is first is not the world's to say.
func (r *region) prune() {
	for r.up && !r.fuse.blown {
		if some, err := r.relay.Prune(context.Background()); !some || err != nil {
			return
		}
	}
}

func (r *region) unpark() {
	if !r.up {
		return
	}
	if left, err := r.applier.RetryParked(context.Background()); left > 0 || err != nil {
		r.w.notef("%s has %d parked events%s", r.id, left, cond(err == nil, "", fmt.Sprintf(": %v", err)))
	}
	r.w.check(r)
}

// mend repairs what is owed of one home's lanes.
func (r *region) mend() {
	at := r.w.regions[r.w.draw(len(r.w.regions))]
	if !r.up || at == r {
		return
	}
	r.mendFrom(at)
	r.w.check(r)
}

func (r *region) mendFrom(at *region) {
	owed := 0
	for _, o := range r.owed() {
		if o.Stream.GetOrigin() == string(at.id) {
			owed++
		}
	}
	if owed == 0 {
		return
	}
	r.w.allRecords = false
	err := r.mender.Step(context.Background(), at.id)
	r.w.notef("%s repairs %d lanes of %s%s", r.id, owed, at.id, cond(err == nil, "", fmt.Sprintf(": %v", err)))
}

// verify verifies one lane, as it is done now and then, and repairs it if it differs.
func (r *region) verify() {
	if !r.up {
		return
	}
	streams := r.streams()
	if len(streams) > 0 {
		r.verifyOne(streams[r.w.draw(len(streams))])
	}
	r.w.check(r)
}

func (r *region) streams() (all []*replicationv1.Stream) {
	err := r.reconciler.Streams(context.Background(), "", func(s *replicationv1.Stream) error {
		all = append(all, s)
		return nil
	})
	if err != nil {
		panic(err)
	}
	return all
}

func (r *region) verifyOne(s *replicationv1.Stream) {
	if s.GetFeed() == replicationv1.Feed_FEED_STANDBY {
		r.w.allRecords = false
	}
	if err := r.mender.Verify(context.Background(), s); err != nil {
		r.w.notef("%s verifies lane %d of %s of %s: %v", r.id, s.GetLane(), s.GetFeed(), s.GetTenant(), err)
	}
}

// clean removes the copies that a tenant's policy allows here no more, as the region's scrubber does.
func (r *region) clean() {
	if !r.up || len(r.scrub) == 0 {
		return
	}
	tenant := r.scrub[0]
	t, known := r.known.Tenant(tenant)
	if !known {
		r.scrub = r.scrub[1:]
		return
	}
	var err error
	if t.Home == r.index || routing.ScopeAt(theTopology(), &t, r.index) == policyv1.Scope_SCOPE_UNSPECIFIED {
		err = r.deleteRows(replicaTable, tenant)
	}
	if err == nil && t.Home != r.index && t.Standby != r.index {
		err = r.deleteRows(regionalTable, tenant)
	}
	if err == nil {
		r.scrub = r.scrub[1:]
	}
	r.w.check(r)
}

func (r *region) deleteRows(name string, tenant ident.TenantID) error {
	table := &guarded{memory: r.tables[name], r: r, fuse: r.fuse, name: name}
	for _, partition := range keyspace.Partitions(tenant) {
		for {
			page, err := table.Query(context.Background(), store.Query{Partition: partition, Limit: store.MaxOps})
			if err != nil {
				return err
			}
			if len(page.Items) == 0 {
				break
			}
			r.w.notef("%s removes %d rows of %s from %s", r.id, len(page.Items), tenant, name)
			ops := make([]store.Op, len(page.Items))
			for i := range page.Items {
				ops[i] = store.Op{Kind: store.Delete, Item: store.Item{Key: page.Items[i].Key}}
			}
			if err := table.Commit(context.Background(), store.Commit{Ops: ops}); err != nil {
				return err
			}
		}
	}
	return nil
}

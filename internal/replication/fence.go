package replication

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"time"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/keyspace"
	"github.com/domicile-api/domicile/internal/store"
)

// fenceLife is for how long a fence stands: longer than any process goes on with an old directory.
const fenceLife = 7 * 24 * time.Hour

// fenceTime bounds the putting and reading of fences, whose callers have no time of their own.
const fenceTime = time.Minute

// ErrOutdated says that a tenant's copies were removed here by a newer record of the tenant than this process has. It is to be tried
// again.
var ErrOutdated = errors.New("replication: the tenant's record here is older than the removal of its copies")

// begin begins a transaction on a stream. One that finds no watermark, in tables that are shared, may come after a removal of the tenant's
// copies: it is made only if the record here is as new as that, and fails when there is a removal meanwhile. One that finds a watermark
// fails when a removal has deleted that meanwhile.
//
// again says that an attempt before found something changed.
func (a *Applier) begin(ctx context.Context, id streamID, again bool) (*txn, error) {
	origin, _ := a.cfg.Topology.Index(id.origin)
	table := a.table(id.feed)
	if table == nil {
		return nil, errNoTable
	}
	if !a.cfg.Shared {
		return newTxn(ctx, table, id, a.cfg.Topology.Jurisdiction(origin))
	}
	g := guard{on: true, next: a.noteVersion()}
	if again { // Else there is none, as a rule, and if there is, the commit says so.
		if err := g.read(ctx, table, id); err != nil {
			return nil, err
		}
	}
	t, err := newTxn(ctx, table, id, a.cfg.Topology.Jurisdiction(origin))
	if err != nil {
		return nil, err
	}
	t.guard = g
	if t.mark.exists {
		return t, nil
	}
	fence, err := t.get(ctx, keyspace.Fence(id.tenant))
	if err != nil {
		return nil, err
	}
	if fence != nil && a.cfg.Revision != nil && a.revision(id.tenant) < uint64(fence.Version.Epoch) {
		return nil, ErrOutdated
	}
	return t, nil
}

// fence keeps every process that shares the tables from writing copies of a tenant by an older record than the one here, and makes fail what
// is under way.
func (a *Applier) fence(tenant ident.TenantID) error {
	ctx, cancel := context.WithTimeout(context.Background(), fenceTime)
	defer cancel()
	for _, table := range a.tables() {
		if err := a.putFence(ctx, table, tenant); err != nil {
			return err
		}
		for lane := range ident.Lane(ident.Lanes) {
			if err := deleteMarks(ctx, table, tenant, lane); err != nil {
				return err
			}
		}
	}
	return nil
}

// putFence makes the fence of a tenant another one.
func (a *Applier) putFence(ctx context.Context, table store.Store, tenant ident.TenantID) error {
	key := keyspace.Fence(tenant)
	for range attempts {
		next, condition := ident.Version{Epoch: ident.Epoch(a.revision(tenant)), Seq: 1}, store.Absent()
		switch old, err := table.Get(ctx, key); {
		case err == nil:
			next = ident.Version{Epoch: max(next.Epoch, old.Version.Epoch), Seq: old.Version.Seq + 1}
			condition = store.VersionIs(old.Version)
		case !errors.Is(err, store.ErrNotFound):
			return fmt.Errorf("reading the fence of a tenant: %w", err)
		}
		// It is the region's own, and stays when nothing of the tenant may: it has no tenant's tag.
		err := table.Commit(ctx, store.Commit{Ops: []store.Op{{Kind: store.Put, If: condition, Item: store.Item{
			Key: key, Version: next, Expires: a.cfg.Clock().Add(fenceLife),
			Tag: store.Tag{Class: store.ClassGlobal, Jurisdiction: a.cfg.Topology.Jurisdiction(a.self)},
		}}}})
		if _, changed := errors.AsType[*store.ConditionError](err); changed {
			continue
		}
		if err != nil {
			return fmt.Errorf("putting the fence of a tenant: %w", err)
		}
		return nil
	}
	return errors.New("replication: the fence of a tenant does not stand still")
}

// deleteMarks deletes the watermarks of a lane.
func deleteMarks(ctx context.Context, table store.Store, tenant ident.TenantID, lane ident.Lane) error {
	from, to := keyspace.Watermarks()
	for more := true; more; {
		page, err := table.Query(ctx, store.Query{Partition: keyspace.Lane(tenant, lane), From: from, To: to, Limit: store.MaxOps})
		if err != nil {
			return fmt.Errorf("reading watermarks: %w", err)
		}
		ops := make([]store.Op, 0, len(page.Items))
		for _, item := range page.Items {
			ops = append(ops, store.Op{Kind: store.Delete, Item: store.Item{Key: item.Key}})
		}
		if len(ops) > 0 {
			if err := table.Commit(ctx, store.Commit{Ops: ops}); err != nil {
				return fmt.Errorf("deleting watermarks: %w", err)
			}
		}
		more = page.More
	}
	return nil
}

// fences says in one number which fences a tenant has had, here and in the tables; 0 when that could not be read.
func (a *Applier) fences(ctx context.Context, tenant ident.TenantID, changes uint64) uint64 {
	var versions [2]ident.Version
	for i, table := range a.tables() {
		item, err := table.Get(ctx, keyspace.Fence(tenant))
		switch {
		case err == nil:
			versions[i] = item.Version
		case !errors.Is(err, store.ErrNotFound):
			return 0
		}
	}
	return max(1, maphash.Comparable(a.seed, struct {
		changes  uint64
		versions [2]ident.Version
	}{changes, versions}))
}

// tables are the tables that this process has.
func (a *Applier) tables() []store.Store {
	all := make([]store.Store, 0, 2)
	for _, table := range []store.Store{a.cfg.Replica, a.cfg.Regional} {
		if table != nil {
			all = append(all, table)
		}
	}
	return all
}

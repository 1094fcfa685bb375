package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	directoryv1 "github.com/domicile-api/domicile/gen/domicile/directory/v1"
	tenancyv1 "github.com/domicile-api/domicile/gen/domicile/tenancy/v1"
	"github.com/domicile-api/domicile/internal/directory"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store"
)

// eraser destroys a region's part of purged tenants: first the keys, so that nothing can be sealed or opened any more, then the
// rows, copies and messages, then what the store's files still hold of both; then it says so in the directory. It is told by the follower, and finds
// what a crash left by reading the directory when it starts.
type eraser struct {
	region ident.RegionID
	reader *directory.Reader
	writer *directory.Writer
	keys   interface {
		Purge(ctx context.Context, tenant ident.TenantID) error
	}
	rows interface {
		Purge(ctx context.Context, tenant ident.TenantID) error
	}
	// scrub removes deleted rows from the store's files; nil: the store has none of its own.
	scrub  func(ctx context.Context) error
	clock  func() time.Time
	logger *slog.Logger

	mu      sync.Mutex
	waiting map[ident.TenantID]struct{}
	bell    chan struct{}
}

// eraseRetry is how long a failed erasure rests.
const eraseRetry = 5 * time.Second

func newEraser(region ident.RegionID, clock func() time.Time, logger *slog.Logger) *eraser {
	return &eraser{region: region, clock: clock, logger: logger, waiting: map[ident.TenantID]struct{}{}, bell: make(chan struct{}, 1)}
}

// Apply takes records from the follower; it is a directory.Sink.
func (e *eraser) Apply(records []*directoryv1.Record) {
	for _, r := range records {
		if t := r.GetTenant(); purged(t) {
			e.add(ident.TenantID(t.GetId()))
		}
	}
}

// purged tells whether a tenant is to be erased. Every region does it: what policies allowed before may have left something anywhere.
func purged(t *tenancyv1.Tenant) bool {
	return t.GetState() == tenancyv1.TenantState_TENANT_STATE_PURGED
}

func (e *eraser) add(tenant ident.TenantID) {
	e.mu.Lock()
	e.waiting[tenant] = struct{}{}
	e.mu.Unlock()
	select {
	case e.bell <- struct{}{}:
	default: // It rings already.
	}
}

// run erases until ctx ends.
func (e *eraser) run(ctx context.Context) error {
	if err := e.findLeft(ctx); err != nil && ctx.Err() == nil {
		return fmt.Errorf("reading purged tenants: %w", err)
	}
	retry := time.NewTicker(eraseRetry)
	defer retry.Stop()
	for {
		e.eraseWaiting(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-e.bell:
		case <-retry.C:
		}
	}
}

// findLeft adds all purged tenants that this region has not said to have erased.
func (e *eraser) findLeft(ctx context.Context) error {
	q := directory.TenantQuery{ShowDeleted: true, Limit: store.MaxPage}
	for {
		page, err := e.reader.ListTenants(ctx, q)
		if err != nil {
			return err
		}
		for _, r := range page.Records {
			if purged(r.GetTenant()) {
				e.add(ident.TenantID(r.GetTenant().GetId()))
			}
			q.After = ident.TenantID(r.GetTenant().GetId())
		}
		if !page.More {
			return nil
		}
	}
}

func (e *eraser) eraseWaiting(ctx context.Context) {
	e.mu.Lock()
	all := make([]ident.TenantID, 0, len(e.waiting))
	for t := range e.waiting {
		all = append(all, t)
	}
	e.mu.Unlock()
	for _, tenant := range all {
		if err := e.erase(ctx, tenant); err != nil {
			if ctx.Err() == nil {
				e.logger.ErrorContext(ctx, "a purged tenant is not erased yet; it is tried again", slog.String("tenant", string(tenant)), slog.Any("error", err))
			}
			continue
		}
		e.mu.Lock()
		delete(e.waiting, tenant)
		e.mu.Unlock()
	}
}

// erase is idempotent.
func (e *eraser) erase(ctx context.Context, tenant ident.TenantID) error {
	done, err := e.reader.Erasures(ctx, tenant)
	if err != nil {
		return err
	}
	if _, already := done[e.region]; already {
		return nil
	}
	if err := errors.Join(e.keys.Purge(ctx, tenant), e.rows.Purge(ctx, tenant)); err != nil {
		return err
	}
	if e.scrub != nil {
		if err := e.scrub(ctx); err != nil {
			return fmt.Errorf("removing tenant %s from the store's files: %w", tenant, err)
		}
	}
	_, err = e.writer.Write(ctx, func(ctx context.Context, v directory.View) (*directoryv1.Record, error) {
		if there, err := v.Erasure(ctx, tenant); err != nil || there != nil {
			return nil, err
		}
		return &directoryv1.Record{Subject: &directoryv1.Record_Erasure{Erasure: &directoryv1.Erasure{
			Tenant: string(tenant), Region: string(e.region), EraseTime: timestamppb.New(e.clock()),
		}}}, nil
	})
	if err != nil {
		return fmt.Errorf("saying that tenant %s is erased: %w", tenant, err)
	}
	return nil
}

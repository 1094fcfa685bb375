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
	scrub func(ctx context.Context) error
	// backups is how long backups of the keys exist: before they have ended, nothing that was sealed is erased.
	backups time.Duration
	clock   func() time.Time
	logger  *slog.Logger

	mu sync.Mutex
	// waiting are the tenants to be erased, and when each may be looked at: those whose rows are gone wait for the backups to end.
	waiting map[ident.TenantID]time.Time
	bell    chan struct{}
}

// eraseRetry is how long a failed erasure rests.
const eraseRetry = 5 * time.Second

func newEraser(region ident.RegionID, clock func() time.Time, logger *slog.Logger) *eraser {
	return &eraser{region: region, clock: clock, logger: logger, waiting: map[ident.TenantID]time.Time{}, bell: make(chan struct{}, 1)}
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
	e.waiting[tenant] = time.Time{}
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
	now := e.clock()
	all := make([]ident.TenantID, 0, len(e.waiting))
	for t, from := range e.waiting {
		if !now.Before(from) {
			all = append(all, t)
		}
	}
	e.mu.Unlock()
	for _, tenant := range all {
		later, err := e.erase(ctx, tenant)
		if err != nil {
			if ctx.Err() == nil {
				e.logger.ErrorContext(ctx, "a purged tenant is not erased yet; it is tried again", slog.String("tenant", string(tenant)), slog.Any("error", err))
			}
			continue
		}
		e.mu.Lock()
		if later.IsZero() {
			delete(e.waiting, tenant)
		} else {
			e.waiting[tenant] = later
		}
		e.mu.Unlock()
	}
}

// erase is idempotent. It returns when it is to be called again, because backups have yet to end; the zero time: the tenant is erased.
func (e *eraser) erase(ctx context.Context, tenant ident.TenantID) (later time.Time, err error) {
	done, err := e.reader.Erasures(ctx, tenant)
	if err != nil {
		return time.Time{}, err
	}
	if _, already := done[e.region]; already {
		return time.Time{}, nil
	}
	if err := errors.Join(e.keys.Purge(ctx, tenant), e.rows.Purge(ctx, tenant)); err != nil {
		return time.Time{}, err
	}
	if e.scrub != nil {
		if err := e.scrub(ctx); err != nil {
			return time.Time{}, fmt.Errorf("removing tenant %s from the store's files: %w", tenant, err)
		}
	}
	if ended, err := e.backupsEnd(ctx, tenant); err != nil || e.clock().Before(ended) {
		return ended, err
	}
	return time.Time{}, e.say(ctx, tenant)
}

// backupsEnd is when no backup has the tenant's keys any more. The purge was the last change of its record.
func (e *eraser) backupsEnd(ctx context.Context, tenant ident.TenantID) (time.Time, error) {
	if e.backups == 0 {
		return time.Time{}, nil
	}
	t, err := e.reader.GetTenant(ctx, tenant)
	if err != nil {
		return time.Time{}, fmt.Errorf("reading when tenant %s was purged: %w", tenant, err)
	}
	return t.GetUpdateTime().AsTime().Add(e.backups), nil
}

// say writes to the directory that a tenant is erased here.
func (e *eraser) say(ctx context.Context, tenant ident.TenantID) error {
	_, err := e.writer.Write(ctx, func(ctx context.Context, v directory.View) (*directoryv1.Record, error) {
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

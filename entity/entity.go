// Package entity keeps a product's annotated messages: one typed Repository over any message that is marked as an entity does
// sealing, versions, projections, lists and the lookup index, and commits.
//
// It promises:
//
//   - A mutation that returned without an error is durable: the entity, its outbox record, its idempotency record and its lookup
//     items were committed in one transaction. One that returned an error other than OUTCOME_UNKNOWN had no effect.
//   - The writes of a tenant's lane are numbered without a gap, also by several processes that share the table, and no write is
//     numbered under an epoch older than the lane's.
//   - What is not GLOBAL is sealed before it is stored, is never part of a key, and is never in an error.
//   - A change is applied to what is stored and to nothing else: it is repeated on what is newer, or refused when the caller gave
//     an etag.
//
// A mutation is a generic function that also takes how to answer, because the answer is stored in the same transaction:
//
//	users, err := entity.New[*profilev1.User](rt.Entities)
//	...
//	return entity.Create(ctx, users, req.GetUser(), func(u *profilev1.User) *profilev1.CreateUserResponse {
//		return &profilev1.CreateUserResponse{User: u}
//	})
//
// DESIGN.md beside this file has the failure modes and the designs that were rejected.
package entity

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"buf.build/go/protovalidate"
	"github.com/gofrs/uuid/v5"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	"github.com/domicile-api/domicile/internal/call"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/idempotency"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/seal"
	"github.com/domicile-api/domicile/internal/store"
)

// maxEnsured bounds how many tenants are remembered as having a key; beyond it, all are asked for again.
const maxEnsured = 1 << 16

// Config is what an Engine needs. A platform makes it; a product gets the Engine ready-made in its Runtime.
type Config struct {
	// Store is the region's regional table.
	Store store.Store
	// Sealer opens and seals with the tenants' keys.
	Sealer seal.Sealer
	// EnsureKey makes sure that a tenant has a data key in every region where it must have one. It is called before the first
	// seal of a tenant in this process, perhaps by several goroutines at once; nil: the keys are there.
	EnsureKey func(ctx context.Context, tenant ident.TenantID) error
	// Replica is the region's copy of projections of tenants that are at home elsewhere; nil: it has none.
	Replica *Replica
	// Pages authenticates page tokens, in all regions alike.
	Pages PageKeys
	// Region is the region whose table this is. A mutation of a tenant that is at home elsewhere is refused.
	Region ident.RegionID
	// Jurisdiction is the region's; stored items are tagged with it.
	Jurisdiction ident.Jurisdiction
	// Clock gives times of creation and change, and the time in ids.
	Clock func() time.Time
	// Rand is a source of cryptographic randomness, for ids and the names of commits. It need not be safe for concurrent use.
	Rand io.Reader
	// Tuning bounds queues and retries; the zero value has good defaults.
	Tuning Tuning
}

// Tuning bounds queues and retries. A zero field means its default.
type Tuning struct {
	// MaxWaiting is how many mutations of a lane may wait; more are refused as OVERLOADED. Default 1024.
	MaxWaiting int
	// IdleLanes is how many lanes without waiting mutations are remembered, so that their next one need not read the lane's
	// counter. Default 4096.
	IdleLanes int
	// CommitAttempts is how often a batch whose outcome is not known is sent, with the same token, before its mutations are
	// answered OUTCOME_UNKNOWN. Default 12: about 5 s with the default pauses, and what the store takes to give up each time.
	CommitAttempts int
	// RetryPause is the pause after the first such attempt; it doubles up to 1 s. Default 5 ms.
	RetryPause time.Duration
	// UpdateAttempts is how often a change without an etag is repeated when others change the entity meanwhile, before it is
	// refused as OVERLOADED. Default 256.
	UpdateAttempts int
}

func (t Tuning) withDefaults() Tuning {
	orInt := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	orInt(&t.MaxWaiting, 1024)
	orInt(&t.IdleLanes, 4096)
	orInt(&t.CommitAttempts, 12)
	orInt(&t.UpdateAttempts, 256)
	if t.RetryPause <= 0 {
		t.RetryPause = 5 * time.Millisecond
	}
	return t
}

// Engine is what the repositories of a region share: the table, the keys, and the sequencers of the lanes. All methods are safe
// for concurrent use.
type Engine struct {
	cfg       Config
	records   *idempotency.Records
	lanes     *sequencers
	ids       *uuid.Gen
	validator protovalidate.Validator

	mu       sync.Mutex
	ensured  map[ident.TenantID]struct{}
	prefixes map[string]string // id prefix → full name of the entity
}

// NewEngine returns the engine of a region.
func NewEngine(cfg Config) (*Engine, error) {
	if cfg.Store == nil || cfg.Sealer == nil || cfg.Pages == nil || cfg.Clock == nil || cfg.Rand == nil || cfg.Region == "" || cfg.Jurisdiction == "" {
		return nil, errors.New("entity: Store, Sealer, Pages, Clock, Rand, Region and Jurisdiction are required")
	}
	cfg.Tuning = cfg.Tuning.withDefaults()
	cfg.Rand = &lockedReader{r: cfg.Rand}
	return &Engine{
		cfg: cfg,
		records: idempotency.New(idempotency.Config{
			Store: cfg.Store, Sealer: cfg.Sealer, Jurisdiction: cfg.Jurisdiction, Clock: cfg.Clock,
		}),
		lanes:     newSequencers(cfg.Store, cfg.Rand, cfg.Jurisdiction, cfg.Tuning),
		ids:       uuid.NewGenWithOptions(uuid.WithEpochFunc(uuid.EpochFunc(cfg.Clock)), uuid.WithRandomReader(cfg.Rand)),
		validator: protovalidate.GlobalValidator, // shared, because compiling the rules is slow and many engines live in one process
		ensured:   make(map[ident.TenantID]struct{}),
		prefixes:  make(map[string]string),
	}, nil
}

// Close refuses further mutations and waits until those that were accepted have an outcome. When ctx ends first, those that
// still retry are given up as OUTCOME_UNKNOWN. The store must outlive it.
func (e *Engine) Close(ctx context.Context) error { return e.lanes.close(ctx) }

// mutator returns the call of a mutation, once it is clear that it may write here.
func (e *Engine) mutator(ctx context.Context) (*call.Call, error) {
	c, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	switch {
	case c.Home != "" && c.Home != e.cfg.Region:
		return nil, fault.New(errorsv1.Reason_REASON_MISROUTED, "the tenant is not at home in this region")
	case c.Epoch == 0:
		return nil, errors.New("entity: a mutation without an epoch")
	case c.Operation != nil && c.Committed != nil:
		return nil, errors.New("entity: a call with an idempotency key makes one commit")
	}
	return c, nil
}

// caller returns the call that ctx carries, which must name a tenant.
func caller(ctx context.Context) (*call.Call, error) {
	c := call.From(ctx)
	if c == nil {
		return nil, errors.New("entity: no call in the context; the handler was made without the Runtime's HandlerOptions")
	}
	if c.Tenant == "" {
		return nil, fault.New(errorsv1.Reason_REASON_TENANT_UNKNOWN, "the call names no tenant")
	}
	return c, nil
}

// ensureKey makes sure once per tenant and process that the tenant has a key.
func (e *Engine) ensureKey(ctx context.Context, tenant ident.TenantID) error {
	if e.cfg.EnsureKey == nil {
		return nil
	}
	e.mu.Lock()
	_, done := e.ensured[tenant]
	e.mu.Unlock()
	if done {
		return nil
	}
	if err := e.cfg.EnsureKey(ctx, tenant); err != nil {
		return fmt.Errorf("providing the tenant's key: %w", err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.ensured) >= maxEnsured {
		clear(e.ensured)
	}
	e.ensured[tenant] = struct{}{}
	return nil
}

// forgetKey makes the next seal of a tenant ask for its key again.
func (e *Engine) forgetKey(tenant ident.TenantID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.ensured, tenant)
}

// claimPrefix reserves an id prefix for an entity type, so that no id can mean two things.
func (e *Engine) claimPrefix(prefix, fullName string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if other, taken := e.prefixes[prefix]; taken && other != fullName {
		return fmt.Errorf("entity: %s and %s both have the id prefix %q", other, fullName, prefix)
	}
	e.prefixes[prefix] = fullName
	return nil
}

// lockedReader makes a reader safe for concurrent use.
type lockedReader struct {
	mu sync.Mutex
	r  io.Reader
}

func (l *lockedReader) Read(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.r.Read(p) //nolint:wrapcheck // a reader's error is its own
}

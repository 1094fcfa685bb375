// Package settings keeps the multi-primary settings of tenants in one region: it takes writes, merges what other regions wrote, and
// says what is to be told to them. A Relay sends that; a Mender takes in what others send, and fetches what did not come.
//
// It promises:
//
//   - A write that returned without an error is durable: namespace, outbox record, the end of the region's stream and the stored answer of
//     its idempotency key were committed in one transaction. One that returned an error other than OUTCOME_UNKNOWN had no effect.
//   - Positions of the region's stream are without a gap, also by several processes that share the table.
//   - Regions that have applied each other's streams, in any order and however often, hold equal namespaces; see package crdt for what
//     becomes of concurrent writes. An increment counts once for each idempotency key, in whichever regions it was called.
//   - What is applied and the watermark that says so are committed together, so the watermark is never ahead of the data.
//   - The stamps of the region's writes never go back, also over a restart, and a region whose clock is wrong gives none.
//
// All of it is GLOBAL: any region may hold it, nothing is sealed, and nothing more restricted may be put into it.
package settings

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"regexp"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	settingsv1 "github.com/domicile-api/domicile/gen/domicile/settings/v1"
	"github.com/domicile-api/domicile/internal/call"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/idempotency"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/keyspace"
	"github.com/domicile-api/domicile/internal/store"
)

const (
	// MaxNamespaceBytes bounds a namespace, encoded as it is stored: a write that would make it larger than this is refused.
	MaxNamespaceBytes = 100 << 10
	// MaxMergedBytes bounds a namespace that concurrent writes of several regions have made larger than any of them could, so that it
	// fits an item and a queue's message. A state that would make it larger still is not applied until something was deleted.
	MaxMergedBytes = 240 << 10
	// Entity is the full message name of a namespace, in outbox records and events.
	Entity = "domicile.settings.v1.Settings"
	// Epoch is that of all versions here: a stream of settings belongs to its region for ever.
	Epoch ident.Epoch = 1

	// stripes is how many tenants may write at the same time in this process without waiting for each other.
	stripes = 256
	// maxRetryPause bounds the pauses between attempts at a commit of unknown outcome.
	maxRetryPause = time.Second
)

// Config is what Settings need.
type Config struct {
	// Store is the region's settings table.
	Store store.Store
	// Region is the region whose table this is, and Jurisdiction its jurisdiction, which items are tagged with.
	Region       ident.RegionID
	Jurisdiction ident.Jurisdiction
	// Others are all regions but this that hold settings of a tenant. Increments are folded only when all of them know them.
	Others func(tenant ident.TenantID) []ident.RegionID
	// Clock gives the physical time.
	Clock func() time.Time
	// CheckClock fails when the region's clock is too far from those of its peers to stamp a write; see crdt.Peers. Nil: it never is.
	CheckClock func(now time.Time) error
	// Rand names commits. It need not be safe for concurrent use.
	Rand io.Reader
	// FoldAfter is how old an increment is when its key is forgotten. Default: the life of an idempotency key, and an hour because
	// clocks differ. Not less than that life.
	FoldAfter time.Duration
	// Attempts is how often a commit whose outcome is not known is sent, with the same token, and how often a write is tried anew when others
	// change the namespace meanwhile. Default 12.
	Attempts int
	// RetryPause is the pause after the first attempt of unknown outcome; it doubles up to 1 s. Default 5 ms.
	RetryPause time.Duration
}

// Settings are the settings of all tenants in one region. All methods are safe for concurrent use.
type Settings struct {
	cfg Config
	// busy keeps the writers of a tenant in this process from losing to each other in turn; conditions are what keeps them right.
	busy [stripes]chan struct{}
	seed maphash.Seed

	randMu sync.Mutex

	// erased are the tenants that were purged in this process: nothing of them is stored any more.
	erasedMu sync.Mutex
	erased   map[ident.TenantID]struct{}

	watchers watchers
}

// New returns the settings of a region.
func New(cfg Config) (*Settings, error) {
	if cfg.Store == nil || cfg.Clock == nil || cfg.Rand == nil || cfg.Others == nil || cfg.Region == "" || cfg.Jurisdiction == "" {
		return nil, errors.New("settings: Store, Region, Jurisdiction, Others, Clock and Rand are required")
	}
	if cfg.CheckClock == nil {
		cfg.CheckClock = func(time.Time) error { return nil }
	}
	if cfg.FoldAfter < idempotency.Lifetime {
		cfg.FoldAfter = idempotency.Lifetime + time.Hour
	}
	if cfg.Attempts <= 0 {
		cfg.Attempts = 12
	}
	if cfg.RetryPause <= 0 {
		cfg.RetryPause = 5 * time.Millisecond
	}
	s := &Settings{cfg: cfg, seed: maphash.MakeSeed(), erased: make(map[ident.TenantID]struct{})}
	for i := range s.busy {
		s.busy[i] = make(chan struct{}, 1)
	}
	return s, nil
}

// lock waits until no other writer of the tenant's stripe is at work in this process. It fails with TENANT_UNKNOWN for a tenant that
// was purged.
func (s *Settings) lock(ctx context.Context, tenant ident.TenantID) (unlock func(), err error) {
	unlock, err = s.wait(ctx, tenant)
	if err != nil {
		return nil, err
	}
	s.erasedMu.Lock()
	defer s.erasedMu.Unlock()
	if _, erased := s.erased[tenant]; erased {
		unlock()
		return nil, fault.New(errorsv1.Reason_REASON_TENANT_UNKNOWN, "the tenant was purged")
	}
	return unlock, nil
}

func (s *Settings) wait(ctx context.Context, tenant ident.TenantID) (unlock func(), err error) {
	stripe := s.busy[maphash.String(s.seed, string(tenant))%stripes]
	select {
	case stripe <- struct{}{}:
		return func() { <-stripe }, nil
	case <-ctx.Done():
		return nil, fault.Wrap(errorsv1.Reason_REASON_DEADLINE_EXCEEDED, ctx.Err(), "the call ended before its write began")
	}
}

// caller returns the call that ctx carries, which must name a tenant.
func caller(ctx context.Context) (*call.Call, error) {
	c := call.From(ctx)
	if c == nil {
		return nil, errors.New("settings: no call in the context; the handler was made without the Runtime's HandlerOptions")
	}
	if c.Tenant == "" {
		return nil, fault.New(errorsv1.Reason_REASON_TENANT_UNKNOWN, "the call names no tenant")
	}
	return c, nil
}

var namespaceName = regexp.MustCompile(`^[a-z0-9-]{1,64}$`)

func checkName(namespace string) error {
	if !namespaceName.MatchString(namespace) {
		return violation("namespace", "string.pattern", "a namespace's name is 1 to 64 characters of a-z, 0-9 and -")
	}
	return nil
}

// violation is INVALID_ARGUMENT for one field.
func violation(field, rule, message string) error {
	f := fault.New(errorsv1.Reason_REASON_INVALID_ARGUMENT, "the request breaks the rules of its contract")
	f.Violations = []fault.Violation{{Field: field, Rule: rule, Message: message}}
	return f
}

// tag is that of all items: settings are GLOBAL.
func (s *Settings) tag(tenant ident.TenantID) store.Tag {
	return store.Tag{Tenant: tenant, Class: store.ClassGlobal, Jurisdiction: s.cfg.Jurisdiction}
}

// put returns an operation that makes an item of a message, in place of the item as it was read.
func (s *Settings) put(tenant ident.TenantID, key store.Key, was row, v ident.Version, m proto.Message) (store.Op, error) {
	value, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return store.Op{}, fmt.Errorf("encoding settings: %w", err)
	}
	return store.Op{Kind: store.Put, If: was.unchanged(), Item: store.Item{Key: key, Version: v, Tag: s.tag(tenant), Value: value}}, nil
}

// row is what was read of an item.
type row struct {
	there   bool
	version ident.Version
}

func (r row) unchanged() store.Condition {
	if !r.there {
		return store.Absent()
	}
	return store.VersionIs(r.version)
}

// next is the version of the item's next state where it is nothing but a count of its changes.
func (r row) next() ident.Version { return ident.Version{Epoch: Epoch, Seq: r.version.Seq + 1} }

// read decodes an item into m, which stays empty when there is none.
func (s *Settings) read(ctx context.Context, key store.Key, m proto.Message) (row, error) {
	item, err := s.cfg.Store.Get(ctx, key)
	if errors.Is(err, store.ErrNotFound) {
		return row{}, nil
	}
	if err != nil {
		return row{}, fmt.Errorf("reading settings: %w", err)
	}
	if err := proto.Unmarshal(item.Value, m); err != nil {
		return row{}, fmt.Errorf("decoding stored settings: %w", err)
	}
	return row{there: true, version: item.Version}, nil
}

// namespace is one namespace as read.
type namespace struct {
	row

	name   string
	stored *settingsv1.StoredNamespace
}

// load reads a namespace. One that is not there is as empty as one whose entries were all deleted: see gone.
func (s *Settings) load(ctx context.Context, tenant ident.TenantID, name string) (*namespace, error) {
	n := &namespace{name: name, stored: &settingsv1.StoredNamespace{}}
	var err error
	if n.row, err = s.read(ctx, keyspace.Namespace(tenant, name), n.stored); err != nil {
		return nil, err
	}
	if !n.there {
		if n.stored.State, err = s.gone(ctx, tenant); err != nil {
			return nil, err
		}
	}
	return n, nil
}

// gone is the state of every namespace that is not there. The region has applied each stream up to its watermark, so whatever was
// written up to there to a namespace that is not there was deleted; Maintain forgets a namespace only when that is so. A late copy of
// what was deleted then stays deleted, though nothing of the namespace is kept.
func (s *Settings) gone(ctx context.Context, tenant ident.TenantID) (*settingsv1.State, error) {
	reached, err := s.Reached(ctx, tenant)
	if err != nil {
		return nil, err
	}
	seen := make(map[string]uint64, len(reached))
	for region, seq := range reached {
		seen[string(region)] = uint64(seq)
	}
	return &settingsv1.State{Seen: seen}, nil
}

// errChanged says that something that a commit was made from has changed meanwhile.
var errChanged = errors.New("settings: changed meanwhile")

// commit sends a transaction until its outcome is known. It fails with a *store.ConditionError, STORAGE_FULL, TOO_LARGE or OUTCOME_UNKNOWN.
func (s *Settings) commit(ctx context.Context, ops []store.Op) error {
	token, err := s.token()
	if err != nil {
		return err
	}
	pause := s.cfg.RetryPause
	for attempt := 1; ; attempt++ {
		err = s.cfg.Store.Commit(ctx, store.Commit{Ops: ops, Token: token})
		if _, refused := errors.AsType[*store.ConditionError](err); err == nil || refused {
			return err
		}
		switch {
		case errors.Is(err, store.ErrFull):
			return fault.Wrap(errorsv1.Reason_REASON_STORAGE_FULL, err, "the region has no space left for writes")
		case errors.Is(err, store.ErrTooLarge):
			return fault.Wrap(errorsv1.Reason_REASON_TOO_LARGE, err, "the namespace is too large to store")
		case errors.Is(err, store.ErrInvalid):
			return fmt.Errorf("committing settings: %w", err)
		case errors.Is(err, store.ErrClosed), attempt >= s.cfg.Attempts, !sleep(ctx, pause):
			return fault.Wrap(errorsv1.Reason_REASON_OUTCOME_UNKNOWN, err, "the store did not say whether the write took effect")
		}
		pause = min(2*pause, maxRetryPause)
	}
}

// sleep tells whether ctx outlived the pause.
func sleep(ctx context.Context, pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// token names a commit to the store, so that it takes effect once however often it is sent.
func (s *Settings) token() (string, error) {
	s.randMu.Lock()
	defer s.randMu.Unlock()
	var b [16]byte
	if _, err := io.ReadFull(s.cfg.Rand, b[:]); err != nil {
		return "", fmt.Errorf("naming a commit: %w", err)
	}
	return hex.EncodeToString(b[:]), nil
}

package directory

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	directoryv1 "github.com/domicile-api/domicile/gen/domicile/directory/v1"
	tenancyv1 "github.com/domicile-api/domicile/gen/domicile/tenancy/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store"
)

// ReaderConfig is what a Reader is made of.
type ReaderConfig struct {
	// Table is a region's replica. In the control region it shows each Write that returned there; elsewhere what has come.
	Table Table
	// Control is the control region, whose log tenants and keys are in.
	Control ident.RegionID
	// Regions are all regions, each of which may have written revocations and erasures.
	Regions []ident.RegionID
}

// Reader answers an operator's questions from the table itself: whole records, not only the routing part. It is not for the
// request path. All methods are safe for concurrent use.
type Reader struct{ cfg ReaderConfig }

// NewReader returns a reader.
func NewReader(cfg ReaderConfig) *Reader { return &Reader{cfg: cfg} }

// TenantQuery asks for tenants in the order of their ids.
type TenantQuery struct {
	// After is the id that the answer begins behind; empty: at the beginning.
	After ident.TenantID
	// Limit is how many are answered at the most, 1 to store.MaxPage; 0 means store.MaxPage.
	Limit int
	// ShowDeleted adds the deleted and purged ones.
	ShowDeleted bool
}

// TenantPage is an answer to a TenantQuery.
type TenantPage struct {
	// Records have a tenant as subject; the number of each is its tenant's version.
	Records []*directoryv1.Record
	// More says that tenants follow after the last one.
	More bool
}

// TenantRecord returns the record that made a tenant what it is, whose number is the tenant's version; nil if that id was
// never given.
func (r *Reader) TenantRecord(ctx context.Context, id ident.TenantID) (*directoryv1.Record, error) {
	return getState(ctx, r.cfg.Table, r.cfg.Control, kindTenant, string(id))
}

// GetTenant returns a tenant, also a deleted or purged one; nil if that id was never given.
func (r *Reader) GetTenant(ctx context.Context, id ident.TenantID) (*tenancyv1.Tenant, error) {
	record, err := r.TenantRecord(ctx, id)
	return record.GetTenant(), err
}

// HostOwner returns the tenant that a host stands for, or "". The host is lower-case and without port.
func (r *Reader) HostOwner(ctx context.Context, host string) (ident.TenantID, error) {
	return getHostOwner(ctx, r.cfg.Table, r.cfg.Control, host)
}

// ListTenants returns a page of tenants.
func (r *Reader) ListTenants(ctx context.Context, q TenantQuery) (TenantPage, error) {
	limit := q.Limit
	if limit <= 0 || limit > store.MaxPage {
		limit = store.MaxPage
	}
	var page TenantPage
	keep := func(record *directoryv1.Record) bool {
		active := record.GetTenant().GetState() == tenancyv1.TenantState_TENANT_STATE_ACTIVE
		if !active && !q.ShowDeleted {
			return true
		}
		if len(page.Records) == limit {
			page.More = true
			return false
		}
		page.Records = append(page.Records, record)
		return true
	}
	from := kindTenant
	if q.After != "" {
		from += string(q.After) + "\x00"
	}
	return page, eachState(ctx, r.cfg.Table, r.cfg.Control, kindTenant, from, keep)
}

// ListAPIKeys returns all keys of a tenant in the order of their ids, revoked by whichever region revoked them.
func (r *Reader) ListAPIKeys(ctx context.Context, tenant ident.TenantID) ([]*tenancyv1.ApiKey, error) {
	var keys []*tenancyv1.ApiKey
	prefix := kindAPIKey + string(tenant) + "/"
	byID := make(map[string]*tenancyv1.ApiKey)
	err := eachState(ctx, r.cfg.Table, r.cfg.Control, prefix, prefix, func(record *directoryv1.Record) bool {
		key := record.GetApiKey().GetKey()
		keys = append(keys, key)
		byID[key.GetId()] = key
		return true
	})
	if err != nil {
		return nil, err
	}
	for _, region := range r.cfg.Regions {
		prefix := kindRevocation + string(tenant) + "/"
		err := eachState(ctx, r.cfg.Table, region, prefix, prefix, func(record *directoryv1.Record) bool {
			revoked := record.GetRevocation()
			if key := byID[revoked.GetKeyId()]; key != nil && earlier(revoked.GetRevokeTime().AsTime(), key) {
				key.RevokeTime = revoked.GetRevokeTime()
			}
			return true
		})
		if err != nil {
			return nil, err
		}
	}
	return keys, nil
}

func earlier(t time.Time, key *tenancyv1.ApiKey) bool {
	return key.GetRevokeTime() == nil || t.Before(key.GetRevokeTime().AsTime())
}

// OperatorKeys returns the ids of all operators' keys with their verifiers, in the order of their ids.
func (r *Reader) OperatorKeys(ctx context.Context) ([]*directoryv1.OperatorKeyVerifier, error) {
	var keys []*directoryv1.OperatorKeyVerifier
	err := eachState(ctx, r.cfg.Table, r.cfg.Control, kindOperatorKey, kindOperatorKey, func(record *directoryv1.Record) bool {
		keys = append(keys, record.GetOperatorKey())
		return true
	})
	return keys, err
}

// Erasures returns which regions have destroyed a purged tenant's rows and keys, and when, as far as their word has come here.
func (r *Reader) Erasures(ctx context.Context, tenant ident.TenantID) (map[ident.RegionID]time.Time, error) {
	erased := make(map[ident.RegionID]time.Time)
	for _, region := range r.cfg.Regions {
		record, err := getState(ctx, r.cfg.Table, region, kindErasure, string(tenant), string(region))
		if err != nil {
			return nil, err
		}
		if record != nil {
			erased[region] = record.GetErasure().GetEraseTime().AsTime()
		}
	}
	return erased, nil
}

// TokenKeys returns the keys of consistency tokens, newest first, also retired ones.
func (r *Reader) TokenKeys(ctx context.Context) ([]*directoryv1.TokenKey, error) {
	return getTokenKeys(ctx, r.cfg.Table, r.cfg.Control)
}

// ClassTable returns the class table of a fingerprint, whichever region published it; nil if none has come here.
func (r *Reader) ClassTable(ctx context.Context, fingerprint []byte) (*directoryv1.ClassTable, error) {
	for _, region := range r.cfg.Regions {
		record, err := getState(ctx, r.cfg.Table, region, kindClassTable, hex.EncodeToString(fingerprint))
		if err != nil || record != nil {
			return record.GetClassTable(), err
		}
	}
	return nil, nil //nolint:nilnil // Absence is an answer.
}

// Repetition returns what the first call with an idempotency key left at the control region; nil if there was none.
func (r *Reader) Repetition(ctx context.Context, keyHash []byte) (*directoryv1.Repetition, error) {
	return getRepetition(ctx, r.cfg.Table, r.cfg.Control, keyHash)
}

// errEnough ends a walk early.
var errEnough = errors.New("enough")

// eachState calls fn with the state items whose sort keys begin with prefix, in order, from a sort key on, until fn returns
// false.
func eachState(
	ctx context.Context, table Table, writer ident.RegionID, prefix, from string, fn func(*directoryv1.Record) bool,
) error {
	q := store.Query{Partition: statePartition(writer), From: from, To: afterPrefix(prefix)}
	err := eachItem(ctx, table, q, func(item store.Item) error {
		record, err := decodeState(item)
		if err != nil {
			return err
		}
		if !fn(record) {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// eachItem calls fn with all items of an ascending query, page by page, until it fails.
func eachItem(ctx context.Context, table Table, q store.Query, fn func(store.Item) error) error {
	for {
		page, err := table.Query(ctx, q)
		if err != nil {
			return fmt.Errorf("reading the directory: %w", err)
		}
		for _, item := range page.Items {
			if err := fn(item); err != nil {
				return err
			}
		}
		if !page.More || len(page.Items) == 0 {
			return nil
		}
		q.From = page.Items[len(page.Items)-1].Key.Sort + "\x00"
	}
}

// afterPrefix is the first sort key after all that begin with prefix, which ends in "/".
func afterPrefix(prefix string) string { return prefix[:len(prefix)-1] + "0" }

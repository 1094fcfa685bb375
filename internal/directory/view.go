package directory

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	directoryv1 "github.com/domicile-api/domicile/gen/domicile/directory/v1"
	tenancyv1 "github.com/domicile-api/domicile/gen/domicile/tenancy/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store"
)

// View reads, for the decision of a Write, what the writer's log says up to its last record. If a record came in between two
// reads, the Write finds out and decides again; so a decision that counts has seen one state. What a View returns belongs to
// the caller.
type View struct {
	table  Table
	writer ident.RegionID
	last   ident.Seq
}

// Next is the number that the record will take.
func (v View) Next() ident.Seq { return v.last + 1 }

// Tenant returns a tenant, also a deleted or purged one; nil if that id was never given.
func (v View) Tenant(ctx context.Context, id ident.TenantID) (*tenancyv1.Tenant, error) {
	r, err := getState(ctx, v.table, v.writer, kindTenant, string(id))
	return r.GetTenant(), err
}

// TenantRecord returns the record that made a tenant what it is, whose number is the tenant's version; nil if that id was
// never given.
func (v View) TenantRecord(ctx context.Context, id ident.TenantID) (*directoryv1.Record, error) {
	return getState(ctx, v.table, v.writer, kindTenant, string(id))
}

// HostOwner returns the tenant that a host stands for, or "". The host is lower-case and without port.
func (v View) HostOwner(ctx context.Context, host string) (ident.TenantID, error) {
	return getHostOwner(ctx, v.table, v.writer, host)
}

// APIKey returns an API key with its verifier, also a revoked one; nil if there is none.
func (v View) APIKey(ctx context.Context, tenant ident.TenantID, keyID string) (*directoryv1.ApiKeyVerifier, error) {
	r, err := getState(ctx, v.table, v.writer, kindAPIKey, string(tenant), keyID)
	return r.GetApiKey(), err
}

// OperatorKey returns an operator's key with its verifier; nil if there is none.
func (v View) OperatorKey(ctx context.Context, keyID string) (*directoryv1.OperatorKeyVerifier, error) {
	r, err := getState(ctx, v.table, v.writer, kindOperatorKey, keyID)
	return r.GetOperatorKey(), err
}

// Revocation returns this writer's revocation of an API key; nil if there is none.
func (v View) Revocation(ctx context.Context, tenant ident.TenantID, keyID string) (*directoryv1.Revocation, error) {
	r, err := getState(ctx, v.table, v.writer, kindRevocation, string(tenant), keyID)
	return r.GetRevocation(), err
}

// RegionKeys returns the keys that this writer has published as its own; nil if there are none.
func (v View) RegionKeys(ctx context.Context) (*directoryv1.RegionKeys, error) {
	r, err := getState(ctx, v.table, v.writer, kindRegionKeys, string(v.writer))
	return r.GetRegionKeys(), err
}

// Erasure returns this writer's erasure of a tenant; nil if there is none.
func (v View) Erasure(ctx context.Context, tenant ident.TenantID) (*directoryv1.Erasure, error) {
	r, err := getState(ctx, v.table, v.writer, kindErasure, string(tenant), string(v.writer))
	return r.GetErasure(), err
}

// TokenKeys returns this writer's keys of consistency tokens, newest first, also retired ones.
func (v View) TokenKeys(ctx context.Context) ([]*directoryv1.TokenKey, error) {
	return getTokenKeys(ctx, v.table, v.writer)
}

// ClassTable returns the class table of a fingerprint that this writer has published; nil if there is none.
func (v View) ClassTable(ctx context.Context, fingerprint []byte) (*directoryv1.ClassTable, error) {
	r, err := getState(ctx, v.table, v.writer, kindClassTable, hex.EncodeToString(fingerprint))
	return r.GetClassTable(), err
}

// Repetition returns what the first call with an idempotency key left, for RepetitionTTL from then; nil if there was none.
func (v View) Repetition(ctx context.Context, keyHash []byte) (*directoryv1.Repetition, error) {
	return getRepetition(ctx, v.table, v.writer, keyHash)
}

// getState reads a state item; nil if there is none, or none could be because an id is not one.
func getState(ctx context.Context, table Table, writer ident.RegionID, kind string, ids ...string) (*directoryv1.Record, error) {
	for _, id := range ids {
		if !validPart(id) {
			return nil, nil //nolint:nilnil // Nothing is stored under such an id.
		}
	}
	item, err := table.Get(ctx, stateKey(writer, kind+strings.Join(ids, "/")))
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, nil //nolint:nilnil // Absence is an answer, and the getters of a nil message are safe.
	case err != nil:
		return nil, fmt.Errorf("reading the directory: %w", err)
	default:
		return decodeState(item)
	}
}

func getTokenKeys(ctx context.Context, table Table, writer ident.RegionID) ([]*directoryv1.TokenKey, error) {
	var keys []*directoryv1.TokenKey
	err := eachState(ctx, table, writer, kindTokenKey, kindTokenKey, func(record *directoryv1.Record) bool {
		keys = append(keys, record.GetTokenKey())
		return true
	})
	slices.Reverse(keys)
	return keys, err
}

func getHostOwner(ctx context.Context, table Table, writer ident.RegionID, host string) (ident.TenantID, error) {
	item, err := table.Get(ctx, stateKey(writer, hostSort(host)))
	switch {
	case errors.Is(err, store.ErrNotFound):
		return "", nil
	case err != nil:
		return "", fmt.Errorf("reading a host's owner: %w", err)
	default:
		return ident.TenantID(item.Value), nil
	}
}

func getRepetition(ctx context.Context, table Table, writer ident.RegionID, keyHash []byte) (*directoryv1.Repetition, error) {
	item, err := table.Get(ctx, stateKey(writer, repetitionSort(keyHash)))
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, nil //nolint:nilnil // Absence is an answer.
	case err != nil:
		return nil, fmt.Errorf("reading a repetition: %w", err)
	}
	rep := new(directoryv1.Repetition)
	if err := proto.Unmarshal(item.Value, rep); err != nil {
		return nil, fmt.Errorf("decoding a repetition: %w", err)
	}
	return rep, nil
}

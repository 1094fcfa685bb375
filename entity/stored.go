package entity

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	storagev1 "github.com/domicile-api/domicile/gen/domicile/storage/v1"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/keyspace"
	"github.com/domicile-api/domicile/internal/residency"
	"github.com/domicile-api/domicile/internal/seal"
	"github.com/domicile-api/domicile/internal/store"
)

// maxStored bounds an entity at rest, in bytes, so that an event that carries it fits a queue's message.
const maxStored = 160 << 10

// row is an entity as read.
type row struct {
	version ident.Version
	message proto.Message
	lookups []*storagev1.Lookup
}

// encode returns the stored form of an entity: its GLOBAL fields in the clear, all others and the unknown ones sealed. It
// also returns the class that its item is tagged with. m has no etag.
func (e *Engine) encode(
	ctx context.Context, tenant ident.TenantID, s *shape, id string, m proto.Message, lookups []*storagev1.Lookup,
) ([]byte, store.Class, error) {
	open, guarded := residency.Split(m)
	stored := &storagev1.Entity{Lookups: lookups}
	var err error
	if stored.Clear, err = proto.Marshal(open); err != nil {
		return nil, 0, fmt.Errorf("encoding the entity: %w", err)
	}
	plain, err := proto.Marshal(guarded)
	if err != nil {
		return nil, 0, fmt.Errorf("encoding the entity: %w", err)
	}
	class := s.class
	if len(plain) > 0 && class == store.ClassGlobal {
		class = store.ClassPII // unknown fields, personal data until known
	}
	if len(open.ProtoReflect().GetUnknown()) > 0 {
		return nil, 0, errors.New("entity: unknown fields would be stored in the clear")
	}
	if class > store.ClassGlobal {
		if stored.Sealed, err = e.seal(ctx, seal.Bind{Tenant: tenant, Type: s.name, ID: id}, plain); err != nil {
			return nil, 0, err
		}
	}
	value, err := proto.Marshal(stored)
	if err != nil {
		return nil, 0, fmt.Errorf("encoding the entity: %w", err)
	}
	if len(value) > maxStored {
		f := fault.New(errorsv1.Reason_REASON_TOO_LARGE, "an entity has at most %d bytes", maxStored)
		return nil, 0, f.With("limit_bytes", strconv.Itoa(maxStored))
	}
	return value, class, nil
}

// open is the inverse of encode.
func (e *Engine) open(ctx context.Context, s *shape, typ protoreflect.MessageType, tenant ident.TenantID, item store.Item) (*row, error) {
	clearPart, stored, err := decodeClear(typ, item)
	if err != nil {
		return nil, err
	}
	r := &row{version: item.Version, message: clearPart, lookups: stored.GetLookups()}
	if len(stored.GetSealed()) == 0 {
		if s.class > store.ClassGlobal {
			return nil, errors.New("entity: a stored entity without its sealed part")
		}
		return r, nil
	}
	id := strings.TrimPrefix(item.Key.Sort, keyspace.EntityPrefix)
	plain, err := e.cfg.Sealer.Open(ctx, seal.Bind{Tenant: tenant, Type: s.name, ID: id}, stored.GetSealed())
	if err != nil {
		return nil, fmt.Errorf("opening the entity: %w", err)
	}
	guarded := typ.New().Interface()
	if err := proto.Unmarshal(plain, guarded); err != nil {
		return nil, fmt.Errorf("decoding the entity's sealed part: %w", err)
	}
	r.message = residency.Merge(clearPart, guarded)
	return r, nil
}

// decodeClear decodes the part of an entity that needs no key.
func decodeClear(typ protoreflect.MessageType, item store.Item) (proto.Message, *storagev1.Entity, error) {
	stored := &storagev1.Entity{}
	if err := proto.Unmarshal(item.Value, stored); err != nil {
		return nil, nil, fmt.Errorf("decoding the stored entity: %w", err)
	}
	clearPart := typ.New().Interface()
	if err := proto.Unmarshal(stored.GetClear(), clearPart); err != nil {
		return nil, nil, fmt.Errorf("decoding the entity's clear part: %w", err)
	}
	return clearPart, stored, nil
}

// seal seals under the tenant's key, which is provided first if this process has not seen the tenant yet, and once more if it
// was taken away meanwhile.
func (e *Engine) seal(ctx context.Context, b seal.Bind, plain []byte) ([]byte, error) {
	var sealed []byte
	err := e.withKey(ctx, b.Tenant, func() (err error) {
		sealed, err = e.cfg.Sealer.Seal(ctx, b, plain)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("sealing the entity: %w", err)
	}
	return sealed, nil
}

// hash is seal for keyed hashes.
func (e *Engine) hash(ctx context.Context, tenant ident.TenantID, purpose string, value []byte) ([]byte, error) {
	var hash []byte
	err := e.withKey(ctx, tenant, func() (err error) {
		hash, err = e.cfg.Sealer.Hash(ctx, tenant, purpose, value)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("hashing a value: %w", err)
	}
	return hash, nil
}

func (e *Engine) withKey(ctx context.Context, tenant ident.TenantID, use func() error) error {
	if err := e.ensureKey(ctx, tenant); err != nil {
		return err
	}
	err := use()
	if !errors.Is(err, seal.ErrNoKey) || e.cfg.EnsureKey == nil {
		return err
	}
	e.forgetKey(tenant)
	if err := e.ensureKey(ctx, tenant); err != nil {
		return err
	}
	return use()
}

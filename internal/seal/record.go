package seal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	storagev1 "github.com/domicile-api/domicile/gen/domicile/storage/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store"
)

// What the keys table has of a tenant: up to three items in the tenant's partition, each a storagev1.WrappedKey.
const (
	// sortHeld is the newest key that was made or delivered here, with all its generations. The epoch of its version is the
	// ownership under which that was.
	sortHeld = "held"
	// sortInUse has in generation the newest that every lawful region is known to hold; nothing is wrapped in it.
	sortInUse = "in-use"
	// sortPurged says that the tenant is dead here, for good; the other two are gone then.
	sortPurged = "purged"
)

// record is a tenant's items as they were read. It is changed by save alone, which compares all three with what was read, so
// that every step is atomic and no two processes of a region undo each other's.
type record struct {
	tenant              ident.TenantID
	held, inUse, purged slot
}

// slot is one item; key is nil when it is absent.
type slot struct {
	key     *storagev1.WrappedKey
	version ident.Version
}

// errChanged says that the record was changed since it was read.
var errChanged = errors.New("seal: the tenant's keys changed meanwhile")

func (k *Keyring) read(ctx context.Context, tenant ident.TenantID) (record, error) {
	r := record{tenant: tenant}
	page, err := k.cfg.Keys.Query(ctx, store.Query{Partition: string(tenant)})
	if err != nil {
		return r, fmt.Errorf("reading the keys of tenant %s: %w", tenant, err)
	}
	for _, item := range page.Items {
		s := r.slot(item.Key.Sort)
		if s == nil {
			continue
		}
		s.key, s.version = &storagev1.WrappedKey{}, item.Version
		if err := proto.Unmarshal(item.Value, s.key); err != nil {
			return r, fmt.Errorf("reading the keys of tenant %s: %w", tenant, err)
		}
	}
	return r, nil
}

func (r *record) slot(sort string) *slot {
	switch sort {
	case sortHeld:
		return &r.held
	case sortInUse:
		return &r.inUse
	case sortPurged:
		return &r.purged
	default:
		return nil
	}
}

// usable is the newest generation that may seal: 0 when there is none. A page is not a snapshot: a rotation between two of its
// items shows a newer number than the key that was read.
func (r *record) usable() uint32 {
	return min(r.inUse.key.GetGeneration(), r.held.key.GetGeneration())
}

// revision is above that of each item ever written here: the newest of them is deleted by a purge only, after which nothing follows.
func (r *record) revision() ident.Seq {
	return max(r.held.version.Seq, r.inUse.version.Seq, r.purged.version.Seq) + 1
}

// change says what save does: nil leaves an item as it is.
type change struct {
	held, inUse, purged *storagev1.WrappedKey
	// released says that the key goes, and may come again.
	released bool
	// epoch is the ownership under which the change is made; that of the record, if it is later.
	epoch ident.Epoch
}

func (c change) empty() bool { return c.held == nil && c.inUse == nil && c.purged == nil }

// save applies a change if the record is still as it was read, else errChanged. A purge deletes what it does not put.
func (k *Keyring) save(ctx context.Context, r record, c change) error {
	ops := make([]store.Op, 0, 3)
	version := ident.Version{Epoch: max(c.epoch, r.held.version.Epoch), Seq: r.revision()}
	for _, s := range []struct {
		sort string
		old  slot
		put  *storagev1.WrappedKey
	}{{sortHeld, r.held, c.held}, {sortInUse, r.inUse, c.inUse}, {sortPurged, r.purged, c.purged}} {
		op := store.Op{Kind: store.Check, If: store.Absent()}
		if s.old.key != nil {
			op.If = store.VersionIs(s.old.version)
		}
		op.Item = store.Item{Key: store.Key{Partition: string(r.tenant), Sort: s.sort}}
		switch {
		case s.put != nil:
			value, err := proto.MarshalOptions{Deterministic: true}.Marshal(s.put)
			if err != nil {
				return fmt.Errorf("serializing the keys of tenant %s: %w", r.tenant, err)
			}
			op.Kind, op.Item.Value, op.Item.Version = store.Put, value, version
			// A wrapped key is no personal data, but it must be found nowhere that the sealed data may not be.
			op.Item.Tag = store.Tag{Tenant: r.tenant, Class: store.ClassPII, Jurisdiction: k.cfg.Jurisdiction}
			if s.sort == sortPurged {
				op.Item.Tag.Class = store.ClassGlobal // It holds no key, and lies in every region.
			}
		case (c.purged != nil || c.released) && s.old.key != nil:
			op.Kind = store.Delete
		}
		ops = append(ops, op)
	}
	err := k.cfg.Keys.Commit(ctx, store.Commit{Ops: ops})
	if _, ok := errors.AsType[*store.ConditionError](err); ok {
		return errChanged
	}
	if err != nil {
		return fmt.Errorf("writing the keys of tenant %s: %w", r.tenant, err)
	}
	return nil
}

// wrapped makes an item's value.
func wrapped(tenant ident.TenantID, generation uint32, bytes []byte, now time.Time) *storagev1.WrappedKey {
	return &storagev1.WrappedKey{Tenant: string(tenant), Generation: generation, Wrapped: bytes, CreateTime: timestamppb.New(now)}
}

package entity

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	storagev1 "github.com/domicile-api/domicile/gen/domicile/storage/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/keyspace"
	"github.com/domicile-api/domicile/internal/residency"
	"github.com/domicile-api/domicile/internal/seal"
	"github.com/domicile-api/domicile/internal/store"
)

// normalise brings values that count as equal to one text: white space around is dropped, letters are case-folded (Unicode
// "full" folding, so "STRASSE" equals "straße") and the result is in normalization form C (UAX #15). Folding can denormalise and
// the other way round, so it is form C before and after. The folding of x/text swaps the two cases of Cherokee letters, which
// the lower-casing after it mends.
func normalise(value string) string {
	value = strings.TrimSpace(value)
	if isASCII(value) {
		return strings.ToLower(value)
	}
	return norm.NFC.String(strings.ToLower(cases.Fold().String(norm.NFC.String(value))))
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// hashLookups returns the lookup entries of an entity: one for each of its indexed fields that is set.
func (e *Engine) hashLookups(ctx context.Context, tenant ident.TenantID, s *shape, m protoreflect.Message) ([]*storagev1.Lookup, error) {
	var all []*storagev1.Lookup
	for _, fd := range s.lookups {
		value := normalise(m.Get(fd).String())
		if value == "" {
			continue
		}
		hash, err := e.hash(ctx, tenant, string(fd.FullName()), []byte(value))
		if err != nil {
			return nil, err
		}
		all = append(all, &storagev1.Lookup{Field: int32(fd.Number()), Hash: hash})
	}
	return all, nil
}

// keepForeign returns has and the entries that the entity had for fields which this release does not index: a newer release
// does, and relies on them.
func (s *shape) keepForeign(had, has []*storagev1.Lookup) []*storagev1.Lookup {
	for _, l := range had {
		if s.lookupByNumber(l.GetField()) == nil {
			has = append(has, l)
		}
	}
	return has
}

// lookupOps returns the operations that bring the lookup items of an entity from what it had to what it has. What is the same
// is not touched. An item is freed without a condition: the entity's own condition says that it still owns it.
func (e *Engine) lookupOps(tenant ident.TenantID, s *shape, id string, had, has []*storagev1.Lookup) ([]store.Op, error) {
	var ops []store.Op
	for _, l := range had {
		if !contains(has, l) {
			ops = append(ops, store.Op{Kind: store.Delete, Item: store.Item{Key: keyspace.Lookup(tenant, s.prefix, l)}})
		}
	}
	for _, l := range has {
		if contains(had, l) {
			continue
		}
		target, err := proto.Marshal(&storagev1.LookupTarget{Id: id})
		if err != nil {
			return nil, fmt.Errorf("encoding a lookup item: %w", err)
		}
		class := residency.Effective(s.lookupByNumber(l.GetField()))
		ops = append(ops, store.Op{Kind: store.Put, If: store.Absent(), Item: store.Item{
			Key: keyspace.Lookup(tenant, s.prefix, l),
			Tag: store.Tag{
				Tenant: tenant, Jurisdiction: e.cfg.Jurisdiction,
				Class: min(store.Class(class), store.ClassPII), //nolint:gosec // the classes are 1 to 4
			},
			Value: target,
		}})
	}
	return ops, nil
}

func contains(all []*storagev1.Lookup, l *storagev1.Lookup) bool {
	for _, other := range all {
		if other.GetField() == l.GetField() && string(other.GetHash()) == string(l.GetHash()) {
			return true
		}
	}
	return false
}

// Lookup returns the entity of the caller's tenant whose field has a value, compared after trimming and case folding. The
// field is named as in the .proto file and must be marked LOOKUP_UNIQUE. It fails with NOT_FOUND when no entity has the value.
func (r *Repository[E]) Lookup(ctx context.Context, field, value string) (E, error) {
	var none E
	c, err := r.engine.wholeEntities(ctx)
	if err != nil {
		return none, err
	}
	fd := r.lookupField(field)
	if fd == nil {
		return none, fmt.Errorf("entity: %s.%s is not marked with (domicile.policy.v1.lookup)", r.name, field)
	}
	value = normalise(value)
	if value == "" {
		return none, notFound()
	}
	hash, err := r.engine.cfg.Sealer.Hash(ctx, c.Tenant, string(fd.FullName()), []byte(value))
	if errors.Is(err, seal.ErrNoKey) {
		return none, notFound() // nothing was ever stored for this tenant
	}
	if err != nil {
		return none, fmt.Errorf("hashing the value: %w", err)
	}
	entry := &storagev1.Lookup{Field: int32(fd.Number()), Hash: hash}
	item, err := r.engine.cfg.Store.Get(ctx, keyspace.Lookup(c.Tenant, r.prefix, entry))
	home := r.engine.atHome()
	if errors.Is(err, store.ErrNotFound) {
		return none, home.showing(ctx, c, notFound())
	}
	if err != nil {
		return none, fmt.Errorf("reading the lookup item: %w", err)
	}
	var target storagev1.LookupTarget
	if err := proto.Unmarshal(item.Value, &target); err != nil {
		return none, fmt.Errorf("decoding the lookup item: %w", err)
	}
	stored, err := r.load(ctx, c, target.GetId())
	if err != nil {
		return none, err
	}
	// The entity may have given the value up between the two reads.
	if !contains(stored.lookups, entry) {
		return none, home.showing(ctx, c, notFound())
	}
	return r.public(stored), nil
}

func (s *shape) lookupField(name string) protoreflect.FieldDescriptor {
	for _, fd := range s.lookups {
		if string(fd.Name()) == name {
			return fd
		}
	}
	return nil
}

func (s *shape) lookupByNumber(number int32) protoreflect.FieldDescriptor {
	for _, fd := range s.lookups {
		if int32(fd.Number()) == number {
			return fd
		}
	}
	return nil
}

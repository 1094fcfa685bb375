package directory

import (
	"crypto/ed25519"
	"slices"
	"sync"
	"sync/atomic"

	directoryv1 "github.com/domicile-api/domicile/gen/domicile/directory/v1"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/routing"
	"github.com/domicile-api/domicile/internal/topology"
)

// IndexConfig is what an Index is made of.
type IndexConfig struct {
	// Topology says which index a region has in a routing.Tenant.
	Topology *topology.Topology
}

// Index is the part of the directory that the request path reads, in memory: tenants with their routing, hosts, verifiers of
// keys, keys of regions and of consistency tokens, class tables. Reads take no lock and do not allocate; a read that begins after
// Apply returned shows what was applied. It is a Sink, and a source of route keys (routeheader.KeySource). All methods are safe for
// concurrent use.
type Index struct {
	cfg IndexConfig

	routes      *routeTable // by id, for the request path
	tenants     *compactMap // by id, everything
	hosts       *hostTable
	keys        *compactMap // by tenant + "/" + key id; the tenant of an operator's key is empty
	revocations *compactMap // as keys
	routeKeys   atomic.Pointer[map[ident.RegionID]regionKeys]
	tokenKeys   atomic.Pointer[[]tokenKey]              // newest first
	tokenList   atomic.Pointer[[]*directoryv1.TokenKey] // those of tokenKeys
	tables      atomic.Pointer[map[string]classTable]   // by fingerprint
	known       atomic.Int64

	// applying serializes Apply; strange is only appended to.
	applying sync.Mutex
	strange  atomic.Pointer[[]string]
}

// NewIndex returns an empty index.
func NewIndex(cfg IndexConfig) *Index {
	x := &Index{
		cfg: cfg, routes: newRouteTable(), tenants: newCompactMap(), hosts: newHostTable(), keys: newCompactMap(), revocations: newCompactMap(),
	}
	x.routeKeys.Store(&map[ident.RegionID]regionKeys{})
	x.tokenKeys.Store(new([]tokenKey))
	x.tokenList.Store(new([]*directoryv1.TokenKey))
	x.tables.Store(&map[string]classTable{})
	x.strange.Store(new([]string))
	return x
}

// Tenant returns how a tenant's calls are routed. Deleted and purged tenants are known too; their State says so, and
// routing.Decide refuses them.
func (x *Index) Tenant(id string) (routing.Tenant, bool) {
	packed, ok := x.routes.get(x.routes.hash(id))
	if !ok {
		return routing.Tenant{}, false
	}
	t, whole := packed.unpack()
	if !whole {
		value, ok := x.tenants.get(id)
		return decodeTenant(value).routing(), ok
	}
	return t, true
}

// Revision numbers the record by which a tenant is known: it grows with each change of the tenant. 0: it is not known.
func (x *Index) Revision(id string) uint64 {
	value, ok := x.tenants.get(id)
	if !ok {
		return 0
	}
	return uint64(decodeTenant(value).wseq)
}

// TenantBytes is Tenant for an id in bytes, which it does not keep.
func (x *Index) TenantBytes(id []byte) (routing.Tenant, bool) {
	packed, ok := x.routes.get(x.routes.hashBytes(id))
	if !ok {
		return routing.Tenant{}, false
	}
	t, whole := packed.unpack()
	if !whole {
		value, ok := x.tenants.getBytes(id)
		return decodeTenant(value).routing(), ok
	}
	return t, true
}

// Host returns the tenant that a host stands for, lower-case and without port. While records out of order let two tenants
// claim it, the newest claim counts.
func (x *Index) Host(host string) (ident.TenantID, routing.Tenant, bool) {
	var id string
	var newest tenantEntry
	claims := x.hosts.owners(host)
	for owner, more := claims.next(); more; owner, more = claims.next() {
		bucket := x.tenants.buckets.bucket(owner)
		for at := 0; at < len(bucket); {
			key, value, next := entryAt(bucket, at)
			if e := decodeTenant(value); e.wseq > newest.wseq && e.has(host) {
				id, newest = key, e
			}
			at = next
		}
	}
	if id == "" {
		return "", routing.Tenant{}, false
	}
	return ident.TenantID(id), newest.routing(), true
}

// Len returns how many tenants are known, deleted and purged ones included.
func (x *Index) Len() int { return int(x.known.Load()) }

// KeyVerifier returns what proves an API key, revoked by whichever region revoked it.
func (x *Index) KeyVerifier(tenant ident.TenantID, keyID string) (Verifier, bool) {
	var space [128]byte
	key := appendKeyName(space[:0], tenant, keyID)
	value, ok := x.keys.getBytes(key)
	if !ok {
		return Verifier{}, false
	}
	v, ok := decodeKey(value).proves()
	if ok && !v.Revoked {
		_, v.Revoked = x.revocations.getBytes(key)
	}
	return v, ok
}

// OperatorKeyVerifier returns what proves an operator's key.
func (x *Index) OperatorKeyVerifier(keyID string) (Verifier, bool) { return x.KeyVerifier("", keyID) }

func appendKeyName(b []byte, tenant ident.TenantID, keyID string) []byte {
	b = append(b, tenant...)
	b = append(b, '/')
	return append(b, keyID...)
}

// regionKeys are the keys that a region has published: those of its route headers, and the one that secrets are wrapped with.
type regionKeys struct {
	wseq     ident.Seq
	keys     map[string]ed25519.PublicKey
	peers    map[string]ed25519.PublicKey
	wrapping []byte
}

// RouteKey returns the public key of that id that a region signs route headers with.
func (x *Index) RouteKey(region ident.RegionID, keyID string) (ed25519.PublicKey, bool) {
	key, ok := (*x.routeKeys.Load())[region].keys[keyID]
	return key, ok
}

// PeerKey returns the public key of that id that a region signs its calls and messages to other regions with.
func (x *Index) PeerKey(region ident.RegionID, keyID string) (ed25519.PublicKey, bool) {
	key, ok := (*x.routeKeys.Load())[region].peers[keyID]
	return key, ok
}

// WrappingKey returns the public half of the key that secrets for a region are wrapped with. It must not be changed.
func (x *Index) WrappingKey(region ident.RegionID) ([]byte, bool) {
	key := (*x.routeKeys.Load())[region].wrapping
	return key, len(key) > 0
}

// tokenKey is a key of consistency tokens with its record's number.
type tokenKey struct {
	wseq ident.Seq
	key  *directoryv1.TokenKey
}

// TokenKeys returns the keys of consistency tokens, newest first, also retired ones. Neither the slice nor the keys must be
// changed. It is the same slice until a key changes.
func (x *Index) TokenKeys() []*directoryv1.TokenKey { return *x.tokenList.Load() }

// classTable is a class table with the record that brought it.
type classTable struct {
	writer regionCode
	wseq   ident.Seq
	table  *directoryv1.ClassTable
}

// ClassTable returns the class table of a fingerprint. It must not be changed.
func (x *Index) ClassTable(fingerprint []byte) (*directoryv1.ClassTable, bool) {
	t, ok := (*x.tables.Load())[string(fingerprint)]
	return t.table, ok
}

// code returns a region's code. The caller holds applying.
func (x *Index) code(region string) regionCode {
	if region == "" || region == NoStandby {
		return noRegion
	}
	if i, ok := x.cfg.Topology.Index(ident.RegionID(region)); ok {
		return regionCode(i)
	}
	strange := *x.strange.Load()
	for i, name := range strange {
		if name == region {
			return firstStrange + regionCode(i)
		}
	}
	if len(strange) >= int(noRegion-firstStrange) {
		return noRegion
	}
	grown := append(slices.Clone(strange), region)
	x.strange.Store(&grown)
	return firstStrange + regionCode(len(strange)) //nolint:gosec // Bounded above.
}

// region is the inverse of code; "" for noRegion.
func (x *Index) region(c regionCode) string {
	switch {
	case c == noRegion:
		return ""
	case c < firstStrange:
		return string(x.cfg.Topology.ID(c.index()))
	default:
		return (*x.strange.Load())[c-firstStrange]
	}
}

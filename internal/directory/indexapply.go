package directory

import (
	"cmp"
	"crypto/ed25519"
	"iter"
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"

	directoryv1 "github.com/domicile-api/domicile/gen/domicile/directory/v1"
	"github.com/domicile-api/domicile/internal/ident"
)

// Apply takes records in any order, any number of times: of each subject the one with the highest number stays. Records must
// be of writers that are entitled to them. Many at once cost less than one by one.
func (x *Index) Apply(records []*directoryv1.Record) {
	x.applying.Lock()
	defer x.applying.Unlock()
	c := changes{
		tenants: make(map[string]string), keys: make(map[string]string), revocations: make(map[string]string),
	}
	for _, r := range records {
		switch r.GetSubject().(type) {
		case *directoryv1.Record_Tenant:
			x.changeTenant(c, r)
		case *directoryv1.Record_ApiKey:
			k := r.GetApiKey().GetKey()
			x.changeKey(c, string(appendKeyName(nil, ident.TenantID(k.GetTenant()), k.GetId())), r)
		case *directoryv1.Record_OperatorKey:
			x.changeKey(c, string(appendKeyName(nil, "", r.GetOperatorKey().GetId())), r)
		case *directoryv1.Record_Revocation:
			x.changeRevocation(c, r)
		case *directoryv1.Record_RegionKeys:
			x.changeRouteKeys(r)
		case *directoryv1.Record_TokenKey:
			x.changeTokenKey(r)
		case *directoryv1.Record_ClassTable:
			x.changeClassTable(r)
		}
	}
	x.commit(c)
}

// changes are the values that a batch of records changes, by key.
type changes struct{ tenants, keys, revocations map[string]string }

// current returns the value as of the batch so far.
func current(m *compactMap, changed map[string]string, key string) (string, bool) {
	if value, ok := changed[key]; ok {
		return value, true
	}
	return m.get(key)
}

func (x *Index) changeTenant(c changes, r *directoryv1.Record) {
	t, n := r.GetTenant(), ident.Seq(r.GetWseq())
	old, known := current(x.tenants, c.tenants, t.GetId())
	if known && decodeTenant(old).wseq > n {
		return
	}
	value := encodeTenant(t, x.code(t.GetHome()), x.code(t.GetStandby()), n)
	if t.GetId() != "" && value != old {
		c.tenants[t.GetId()] = value
	}
}

func (x *Index) changeKey(c changes, name string, r *directoryv1.Record) {
	e := entryOfKey(r)
	old, known := current(x.keys, c.keys, name)
	if known && decodeKey(old).wseq > e.wseq {
		return
	}
	if value := e.encode(); value != old {
		c.keys[name] = value
	}
}

func (x *Index) changeRevocation(c changes, r *directoryv1.Record) {
	rev := r.GetRevocation()
	name := string(appendKeyName(nil, ident.TenantID(rev.GetTenant()), rev.GetKeyId()))
	if _, known := current(x.revocations, c.revocations, name); known {
		return // One revocation is enough, whoever wrote it.
	}
	e := revocationEntry{writer: x.code(r.GetWriter()), wseq: ident.Seq(r.GetWseq()), revoked: micros(rev.GetRevokeTime())}
	c.revocations[name] = e.encode()
}

func (x *Index) changeRouteKeys(r *directoryv1.Record) {
	region, n := ident.RegionID(r.GetRegionKeys().GetRegion()), ident.Seq(r.GetWseq())
	old := *x.routeKeys.Load()
	if old[region].wseq > n {
		return
	}
	fresh := maps.Clone(old)
	fresh[region] = regionKeys{
		wseq: n, keys: publicKeys(r.GetRegionKeys().GetRouteKeys()), peers: publicKeys(r.GetRegionKeys().GetPeerKeys()),
		wrapping: slices.Clone(r.GetRegionKeys().GetWrappingKey()),
	}
	x.routeKeys.Store(&fresh)
}

// publicKeys are those of a list that are keys, by their ids.
func publicKeys(list []*directoryv1.RouteKey) map[string]ed25519.PublicKey {
	keys := make(map[string]ed25519.PublicKey, len(list))
	for _, k := range list {
		if len(k.GetPublicKey()) == ed25519.PublicKeySize {
			keys[k.GetId()] = k.GetPublicKey()
		}
	}
	return keys
}

func (x *Index) changeTokenKey(r *directoryv1.Record) {
	n, id := ident.Seq(r.GetWseq()), r.GetTokenKey().GetId()
	old := *x.tokenKeys.Load()
	at, known := slices.BinarySearchFunc(old, id, func(k tokenKey, id uint32) int { return cmp.Compare(id, k.key.GetId()) })
	if known && old[at].wseq >= n {
		return
	}
	fresh := slices.Clone(old)
	if !known {
		fresh = slices.Insert(fresh, at, tokenKey{})
	}
	fresh[at] = tokenKey{wseq: n, key: proto.CloneOf(r.GetTokenKey())}
	list := make([]*directoryv1.TokenKey, len(fresh))
	for i, k := range fresh {
		list[i] = k.key
	}
	x.tokenKeys.Store(&fresh)
	x.tokenList.Store(&list)
}

func (x *Index) changeClassTable(r *directoryv1.Record) {
	fingerprint := string(r.GetClassTable().GetFingerprint())
	old := *x.tables.Load()
	if _, known := old[fingerprint]; known || fingerprint == "" {
		return // One table has one fingerprint, whoever published it.
	}
	fresh := maps.Clone(old)
	fresh[fingerprint] = classTable{
		writer: x.code(r.GetWriter()), wseq: ident.Seq(r.GetWseq()), table: proto.CloneOf(r.GetClassTable()),
	}
	x.tables.Store(&fresh)
}

// commit makes a batch visible: revocations before keys, and a tenant's new hosts after the tenant that lists them.
func (x *Index) commit(c changes) {
	var remove, add []hostClaim
	for id, value := range c.tenants {
		owner := x.tenants.hash(id)
		if old, known := x.tenants.get(id); known {
			for host := range decodeTenant(old).eachHost() {
				remove = append(remove, hostClaim{host: host, owner: owner})
			}
		}
		for host := range decodeTenant(value).eachHost() {
			add = append(add, hostClaim{host: host, owner: owner})
		}
	}
	x.revocations.put(c.revocations)
	x.keys.put(c.keys)
	x.tenants.put(c.tenants)
	x.routes.reserve(x.tenants.count-x.routes.count, x.packed())
	for id, value := range c.tenants {
		x.routes.put(id, decodeTenant(value).pack())
	}
	x.known.Store(int64(x.tenants.count))
	if x.hosts.full(len(add)) {
		x.hosts.rebuild(x.hosts.count, len(add), x.claims())
		return
	}
	x.hosts.update(remove, add)
}

// packed gives all tenants with their routes.
func (x *Index) packed() iter.Seq2[string, packedRoute] {
	return func(yield func(string, packedRoute) bool) {
		for id, value := range x.tenants.all() {
			if !yield(id, decodeTenant(value).pack()) {
				return
			}
		}
	}
}

// claims gives all hosts of all tenants.
func (x *Index) claims() iter.Seq[hostClaim] {
	return func(yield func(hostClaim) bool) {
		for id, value := range x.tenants.all() {
			owner := x.tenants.hash(id)
			for host := range decodeTenant(value).eachHost() {
				if !yield(hostClaim{host: host, owner: owner}) {
					return
				}
			}
		}
	}
}

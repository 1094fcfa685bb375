package directory

import (
	"iter"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/routing"
)

// Tenants returns all tenants that are known and how their calls are routed, deleted and purged ones included. What is applied meanwhile
// may be in it or not.
func (x *Index) Tenants() iter.Seq2[ident.TenantID, routing.Tenant] {
	return func(yield func(ident.TenantID, routing.Tenant) bool) {
		for id, value := range x.tenants.all() {
			if !yield(ident.TenantID(id), decodeTenant(value).routing()) {
				return
			}
		}
	}
}

// Package services lists the services that the platform comes with. A product lists its own beside or instead of them.
package services

import (
	"github.com/domicile-api/domicile"
	"github.com/domicile-api/domicile/services/profile"
)

// All returns the services that keep tenants' entities, in the order in which they are mounted.
func All() []domicile.Service {
	return []domicile.Service{profile.Service()}
}

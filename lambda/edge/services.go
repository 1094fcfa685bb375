package edge

// The platform's own services, which an edge routes whatever the product has.
import (
	_ "github.com/domicile-api/domicile/gen/domicile/operations/v1"
	_ "github.com/domicile-api/domicile/gen/domicile/settings/v1"
	_ "github.com/domicile-api/domicile/gen/domicile/tenancy/v1"
)

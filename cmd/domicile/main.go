// Command domicile is the reference product: the platform with its own services, and the operator's commands.
package main

import (
	"github.com/domicile-api/domicile/openapi"
	"github.com/domicile-api/domicile/run"
	"github.com/domicile-api/domicile/services"
)

func main() { run.Product{Services: services.All(), OpenAPI: openapi.Files}.Main() }

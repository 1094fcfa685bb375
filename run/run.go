// Package run is the main function of a product built on Domicile: the whole platform, its command line included, around the
// product's services.
package run

import (
	"io/fs"
	"os"
	"path/filepath"

	"github.com/domicile-api/domicile"
	"github.com/domicile-api/domicile/internal/cli"
)

// Product is what a product built on Domicile is made of.
type Product struct {
	// Services are the product's own; those of the platform (tenants, settings) are always there.
	Services []domicile.Service
	// OpenAPI has the product's documents, as its openapi folder embeds them; nil: it has none, and its portal shows none.
	OpenAPI fs.FS
}

// Main runs the command line of the process (dev, serve, tenants, …; see --help) with a product's services, and exits. The product has
// no OpenAPI documents: see Product for one that has.
func Main(services ...domicile.Service) { Product{Services: services}.Main() }

// Main runs the command line of the process with the product, and exits.
func (p Product) Main() {
	os.Exit(cli.Main(cli.Config{
		Name:     filepath.Base(os.Args[0]),
		Services: p.Services,
		OpenAPI:  p.OpenAPI,
		Stdout:   os.Stdout,
		Stderr:   os.Stderr,
		Env:      os.LookupEnv,
	}, os.Args[1:]))
}

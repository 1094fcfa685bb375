// Package run is the main function of a product built on Domicile: the whole platform, its command line included, around the
// product's services.
package run

import (
	"os"
	"path/filepath"

	"github.com/domicile-api/domicile"
	"github.com/domicile-api/domicile/internal/cli"
)

// Main runs the command line of the process (dev, serve, tenants, …; see --help) with the product's services, and exits.
func Main(services ...domicile.Service) {
	os.Exit(cli.Main(cli.Config{
		Name:     filepath.Base(os.Args[0]),
		Services: services,
		Stdout:   os.Stdout,
		Stderr:   os.Stderr,
		Env:      os.LookupEnv,
	}, os.Args[1:]))
}

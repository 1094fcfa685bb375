// Package app turns configuration into running components. It is the only package that knows ports and adapters both.
package app

import (
	"context"
	"io"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/domicile-api/domicile"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/topology"
)

// Config says what a process runs.
type Config struct {
	// Backend is what the regions keep their data in.
	Backend Backend
	// DataDir is the folder of the file that names the platform's address and keys.
	DataDir string
	// Host is the address to listen on.
	Host string
	// Topology is the deployment's.
	Topology *topology.Topology
	// Regions are the regions that this process runs; empty: all of them.
	Regions []ident.RegionID
	// Services are the product's services.
	Services []domicile.Service
	// Portal makes what developers are served; nil: nothing.
	Portal Portal
	// EdgeOnly runs the regions' edges without services and stores, from the last good copy of the directory.
	EdgeOnly bool
	// Functions says that functions relay and apply what regions tell each other, so that this process does not.
	Functions bool
	// Port is what the one region of this process listens on; zero: its port of the topology.
	Port int
	// Global serves the global name too.
	Global bool
	// OperationsPort is the port of health, metrics and the operators' services.
	OperationsPort int
	// Demo makes the demonstration tenants.
	Demo bool
	// Faults lets operators disturb the regions, which must all be in this process.
	Faults bool
	// WAN makes the regions of this process as far from each other as the topology says.
	WAN bool

	Logger *slog.Logger
	Clock  func() time.Time
	// Random is a source of cryptographic randomness that is safe for concurrent use; crypto/rand.Reader.
	Random io.Reader
	// Env looks up an environment variable; os.LookupEnv.
	Env func(string) (string, bool)
	// Listen opens a port; nil: net.Listen.
	Listen func(ctx context.Context, host string, port int) (net.Listener, error)
}

// ownHosts are names of the platform that stand for no tenant, beside those of the regions: DOMICILE_OWN_HOSTS has the global one, where it
// is another machine's.
func (c Config) ownHosts() []string {
	given, _ := c.Env("DOMICILE_OWN_HOSTS")
	return append([]string{"localhost", c.Host}, strings.FieldsFunc(given, func(r rune) bool { return r == ',' || r == ' ' })...)
}

// port is what a region listens on.
func (c Config) port(region topology.Index) int {
	if c.Port != 0 {
		return c.Port
	}
	return c.Topology.Port(region)
}

// regions returns what Regions means.
func (c Config) regions() []ident.RegionID {
	if len(c.Regions) > 0 {
		return c.Regions
	}
	return c.Topology.IDs()
}

package lambda

import (
	"github.com/domicile-api/domicile/internal/topology"
	"github.com/domicile-api/domicile/internal/topology/topologyfile"
)

// loadTopology reads the topology that was packed with the function.
func loadTopology(path string) (*topology.Topology, error) { return topologyfile.Load(path) }

package edge

import (
	"fmt"
	"os"

	"github.com/domicile-api/domicile/internal/topology"
)

// loadTopology reads the topology that was packed with the function: checked then, and in the form that needs no checker here.
func loadTopology(path string) (*topology.Topology, error) {
	data, err := os.ReadFile(path) //nolint:gosec // the function's own package
	if err != nil {
		return nil, fmt.Errorf("reading the topology: %w", err)
	}
	t, err := topology.Unmarshal(data)
	if err != nil {
		return nil, fmt.Errorf("reading the topology %s: %w", path, err)
	}
	return t, nil
}

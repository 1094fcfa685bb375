package topologyfile

import (
	_ "embed"
	"fmt"

	"github.com/domicile-api/domicile/internal/topology"
)

// DefaultName is the name that the built-in file's problems would bear.
const DefaultName = "default.yaml"

//go:embed default.yaml
var defaultFile []byte

// DefaultYAML returns a copy of the built-in topology file, as a start for one's own.
func DefaultYAML() []byte { return append([]byte(nil), defaultFile...) }

// Default returns the built-in topology: six regions in four jurisdictions. It panics if the file that was built in is not
// valid, which a test of this package rules out.
func Default() *topology.Topology {
	t, err := Parse(DefaultName, defaultFile)
	if err != nil {
		panic(fmt.Sprintf("topologyfile: the built-in file is not valid: %v", err))
	}
	return t
}

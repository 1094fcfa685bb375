package s3snapshot

import (
	"fmt"
	"strconv"
	"strings"

	directoryv1 "github.com/domicile-api/domicile/gen/domicile/directory/v1"
	"github.com/domicile-api/domicile/internal/directory"
)

// The object's metadata.
const (
	// metaPositions is how far a snapshot goes: writer=number, separated by commas.
	metaPositions = "positions"
	// metaContracts says which contracts its writer knew.
	metaContracts = "contracts"
)

// progress is how far a snapshot goes.
type progress struct {
	// positions are numbers by writer; nil: nobody knows.
	positions map[string]uint64
	order     []string
	contracts string
}

func progressOf(positions []*directoryv1.Position) progress {
	p := progress{positions: make(map[string]uint64, len(positions)), contracts: directory.Contracts()}
	for _, position := range positions {
		p.positions[position.GetWriter()] = position.GetWseq()
		p.order = append(p.order, position.GetWriter())
	}
	return p
}

func (p progress) metadata() map[string]string {
	parts := make([]string, 0, len(p.order))
	for _, writer := range p.order {
		parts = append(parts, fmt.Sprintf("%s=%d", writer, p.positions[writer]))
	}
	return map[string]string{metaPositions: strings.Join(parts, ","), metaContracts: p.contracts}
}

// progressIn reads an object's metadata. What does not read is of nobody here; such an object is replaced.
func progressIn(metadata map[string]string) progress {
	text, ok := metadata[metaPositions]
	if !ok {
		return progress{}
	}
	p := progress{positions: make(map[string]uint64), contracts: metadata[metaContracts]}
	if text == "" {
		return p
	}
	for part := range strings.SplitSeq(text, ",") {
		writer, number, _ := strings.Cut(part, "=")
		n, err := strconv.ParseUint(number, 10, 64)
		if err != nil {
			return progress{}
		}
		p.positions[writer] = n
	}
	return p
}

// newer tells whether a snapshot goes further than one that is kept, and for no writer less far; as far is enough if the one that is kept
// is of a release that knew other contracts, since that one may lack something.
func (p progress) newer(kept progress) bool {
	if kept.positions == nil {
		return true
	}
	further := p.contracts != kept.contracts
	for writer, n := range kept.positions {
		if p.positions[writer] < n {
			return false
		}
	}
	for writer, n := range p.positions {
		further = further || n > kept.positions[writer]
	}
	return further
}

package apidoc

import (
	"errors"
	"fmt"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/topology"
)

// ErrNoRegion is the refusal to make the document of a region that the topology does not have.
var ErrNoRegion = errors.New("the topology has no such region")

// Layer returns the document of a region: base, with the region's servers, what of it is answered there, and what a tenant that lives
// elsewhere gets. The empty region stands for the global document. base may have another region's part already; nothing of that stays.
// A region that topo does not have fails with ErrNoRegion.
func Layer(base *openapi3.T, topo *topology.Topology, region ident.RegionID) (*openapi3.T, error) {
	l := layer{topo: topo, at: topology.NoRegion}
	if region != ident.NoRegion {
		at, known := topo.Index(region)
		if !known {
			return nil, fmt.Errorf("the document of %q: %w; it has %s", region, ErrNoRegion, listOf(topo.IDs()))
		}
		l.at = at
	}
	doc, err := clone(base)
	if err != nil {
		return nil, err
	}
	l.root(doc)
	for _, path := range doc.Paths.Keys() {
		for _, op := range doc.Paths.Value(path).Operations() {
			l.operation(op)
		}
	}
	if err := l.examples(doc); err != nil {
		return nil, err
	}
	return doc, nil
}

// layer is what lays one region's part over a document.
type layer struct {
	topo *topology.Topology
	// at is the region; topology.NoRegion: the document is the global one.
	at topology.Index
}

func (l layer) global() bool { return l.at == topology.NoRegion }

// root says of whom the document is, and where to call.
func (l layer) root(doc *openapi3.T) {
	if doc.Extensions == nil {
		doc.Extensions = map[string]any{}
	}
	delete(doc.Extensions, ExtRegion)
	delete(doc.Extensions, ExtJurisdiction)
	delete(doc.Extensions, ExtForeign)
	doc.Extensions[ExtRegions] = l.regions()
	doc.Servers = l.servers()
	if l.global() {
		doc.Info.Summary = "All regions; each region has a document of its own."
		return
	}
	doc.Extensions[ExtRegion] = string(l.topo.ID(l.at))
	doc.Extensions[ExtJurisdiction] = string(l.topo.Jurisdiction(l.at))
	doc.Extensions[ExtForeign] = l.foreign()
	doc.Info.Summary = "The API as " + l.name(l.at) + " answers it, in the jurisdiction " + string(l.topo.Jurisdiction(l.at)) + "."
}

// operation says where the operation is answered. What an earlier Layer said there is replaced.
func (l layer) operation(op *openapi3.Operation) {
	said, _, _ := strings.Cut(op.Description, Residency)
	op.Description = strings.TrimRight(said, "\n") + "\n\n" + Residency + " " + l.statement(op)
}

func listOf[S ~string](names []S) string {
	texts := make([]string, len(names))
	for i, name := range names {
		texts[i] = string(name)
	}
	return strings.Join(texts, ", ")
}

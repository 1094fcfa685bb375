package edge

import (
	"net/http"

	"github.com/domicile-api/domicile/internal/topology"
)

// The headers that say where a caller is.
const (
	headerViewerCountry = "Cloudfront-Viewer-Country"
	headerCountry       = "Domicile-Country"
)

// GlobalConfig is what the global name is made of.
type GlobalConfig struct {
	// Topology says which region is nearest.
	Topology *topology.Topology
	// Edges are the regions' edges in this process; at least one.
	Edges map[topology.Index]http.Handler
	// TrustCountry lets a caller say by Domicile-Country where it is; for development, where no CDN says it.
	TrustCountry bool
}

// Global stands for the name that all of the world calls: it hands each call to the edge nearest to the caller, as a CDN or a
// DNS that answers by latency would. It decides nothing else.
type Global struct {
	cfg GlobalConfig
	// other is for callers whose nearest edge is not in this process.
	other http.Handler
}

// NewGlobal returns the handler of the global name.
func NewGlobal(cfg GlobalConfig) (*Global, error) {
	if cfg.Topology == nil {
		return nil, errConfig
	}
	g := &Global{cfg: cfg, other: cfg.Edges[cfg.Topology.Control()]}
	for i := range cfg.Topology.Len() {
		if g.other == nil {
			g.other = cfg.Edges[topology.Index(i)]
		}
	}
	if g.other == nil {
		return nil, errConfig
	}
	return g, nil
}

// ServeHTTP implements http.Handler.
func (g *Global) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	country := r.Header.Get(headerViewerCountry)
	if said := r.Header.Get(headerCountry); said != "" && g.cfg.TrustCountry {
		country = said
	}
	edge := g.cfg.Edges[g.cfg.Topology.Nearest(country)]
	if edge == nil {
		edge = g.other
	}
	edge.ServeHTTP(w, r)
}

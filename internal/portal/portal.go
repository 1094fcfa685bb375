// Package portal is what a region serves to developers without a tenant and without a key: the pages at /docs, the OpenAPI documents, and
// the catalogues by which programs find them.
//
// What it promises:
//
//   - A page loads nothing from anywhere but the region itself; its content security policy says so, and lets scripts call the regions
//     of the topology alone.
//   - Everything is in memory, compressed before it is asked for, and has an ETag. A request reads no file and no store, and its content is
//     neither kept nor logged.
//   - What it says of other regions is GLOBAL and what this region has seen itself.
//   - What it does not have is refused in the shape of every other error; a wrong version with the versions that there are.
package portal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"strings"
	"time"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/rpc"
	"github.com/domicile-api/domicile/internal/topology"
)

// Version is what there is of one API version. What is empty is not served.
type Version struct {
	// Name is "v1".
	Name string
	// YAML and JSON are the region's OpenAPI document; Connect is the one of the Connect paths, as YAML.
	YAML, JSON, Connect []byte
	// Protos is a zip of the contracts, Descriptors a serialized FileDescriptorSet.
	Protos, Descriptors []byte
}

// Sight is what a region sees of another.
type Sight struct {
	// Asked says that the other region was asked at all; Answered, that it answered.
	Asked, Answered bool
	// RoundTrip is how long the answer took.
	RoundTrip time.Duration
}

// Config is what a portal is made of.
type Config struct {
	// Topology is the deployment's; Region is the portal's own, or topology.NoRegion for the one at the global name.
	Topology *topology.Topology
	Region   topology.Index
	// GlobalURL is the global name's, if it is known.
	GlobalURL string
	// Versions are the API's, the newest first.
	Versions []Version
	// Guides has errors.md and guides/*.md.
	Guides fs.FS
	// Releases are the changelog, the newest first; empty: there is no such page.
	Releases []Release
	// Look asks the other regions whether they answer, and says from which region it asks: none, if none can. Required.
	Look func(ctx context.Context) (from ident.RegionID, seen map[ident.RegionID]Sight)
	// Clock is time.Now in production. Required.
	Clock func() time.Time
}

var errConfig = errors.New("portal: incomplete configuration")

// Portal is the http.Handler of a region's pages and documents. It never changes and is safe for concurrent use.
type Portal struct {
	cfg       Config
	resources map[string]*resource
	regions   *lookout
	policy    string
	missing   *resource
}

// New makes the portal of a region. It renders and compresses all of it.
func New(cfg Config) (*Portal, error) {
	if cfg.Topology == nil || cfg.Guides == nil || cfg.Look == nil || cfg.Clock == nil {
		return nil, errConfig
	}
	p := &Portal{cfg: cfg, resources: make(map[string]*resource), policy: contentSecurityPolicy(cfg)}
	p.regions = newLookout(cfg)
	if err := p.addDocuments(); err != nil {
		return nil, err
	}
	files, err := assets()
	if err != nil {
		return nil, err
	}
	maps.Copy(p.resources, files.byPath)
	if err := p.addPages(files); err != nil {
		return nil, fmt.Errorf("portal: making the pages: %w", err)
	}
	return p, nil
}

const allowed = "GET, HEAD, OPTIONS"

// ServeHTTP implements http.Handler.
func (p *Portal) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
	case http.MethodOptions:
		w.Header().Set("Allow", allowed)
		w.WriteHeader(http.StatusNoContent)
		return
	default:
		rpc.WriteMethodNotAllowed(w, r, allowed)
		return
	}
	path := r.URL.Path
	if path == pathRegions {
		p.regions.ServeHTTP(w, r)
		return
	}
	if found, ok := p.resources[path]; ok {
		p.serve(w, r, found)
		return
	}
	if bare := strings.TrimRight(path, "/"); bare != path && p.resources[bare] != nil {
		http.Redirect(w, r, bare, http.StatusPermanentRedirect) //nolint:gosec // It is the path of a page that there is.
		return
	}
	p.refuse(w, r)
}

// serve answers with a resource and what its kind is protected by.
func (p *Portal) serve(w http.ResponseWriter, r *http.Request, found *resource) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	if found.page {
		p.protect(h)
	}
	if r.URL.Path == rpc.PathCatalog {
		h.Set("Link", `<`+rpc.PathCatalog+`>; rel="api-catalog"`) // RFC 9727, section 2: for a HEAD request.
	}
	found.serve(w, r, http.StatusOK)
}

// refuse answers for what there is not: with a page where pages are, and else with the platform's error.
func (p *Portal) refuse(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/docs/") && strings.Contains(r.Header.Get("Accept"), "text/html") {
		p.protect(w.Header())
		p.missing.serve(w, r, http.StatusNotFound)
		return
	}
	f := fault.New(errorsv1.Reason_REASON_VERSION_UNAVAILABLE, "there is no such document; metadata names the versions that there are")
	names := make([]string, 0, len(p.cfg.Versions))
	for _, v := range p.cfg.Versions {
		names = append(names, v.Name)
	}
	rpc.WriteError(w, r, f.With("versions", strings.Join(names, ",")))
}

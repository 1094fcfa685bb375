// Package apidoctest holds calls against the documents of an API: what a client sent, when it was accepted, and all that came back. Tests
// put it below their HTTP client, so that every call of a suite shows that the document tells the truth.
//
// What it promises: an exchange passes only if the region's document has its operation, allows its request where that was accepted, and
// has its status, every header and the whole body of the answer. What no document describes is left alone: Connect, gRPC, the operations
// port, and what net/http answers by itself before an edge sees a request.
package apidoctest

import (
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"github.com/domicile-api/domicile/internal/apidoc"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/rpc"
	"github.com/domicile-api/domicile/internal/topology"
)

// Exchange is a call and what came back.
type Exchange struct {
	// Method, URL, Header and Body are the request's. Body has what was sent of it.
	Method string
	URL    *url.URL
	Header http.Header
	Body   []byte
	// Status, Answer and AnswerBody are the answer's.
	Status     int
	Answer     http.Header
	AnswerBody []byte
}

// Checker compares exchanges with the documents of the newest version. It is safe for concurrent use.
type Checker struct {
	global  *document
	regions map[string]*document

	mu   sync.Mutex
	seen map[string]map[int]int
	gaps map[string]string
}

// document is a region's document, ready to look operations up.
type document struct {
	spec   *openapi3.T
	router routers.Router
}

// New makes a checker of the documents in files, with the regions of topo. It fails when they cannot be read.
func New(files fs.FS, topo *topology.Topology) (*Checker, error) {
	set, err := apidoc.Read(files)
	if err != nil {
		return nil, fmt.Errorf("reading the documents: %w", err)
	}
	return newChecker(set.Newest().Global, topo)
}

func newChecker(base *openapi3.T, topo *topology.Topology) (*Checker, error) {
	c := &Checker{regions: map[string]*document{}, seen: map[string]map[int]int{}, gaps: map[string]string{}}
	var err error
	if c.global, err = newDocument(base, topo, ident.NoRegion); err != nil {
		return nil, err
	}
	for _, region := range topo.IDs() {
		if c.regions[string(region)], err = newDocument(base, topo, region); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func newDocument(base *openapi3.T, topo *topology.Topology, region ident.RegionID) (*document, error) {
	spec, err := apidoc.Layer(base, topo, region)
	if err != nil {
		return nil, fmt.Errorf("making the document of %q: %w", region, err)
	}
	spec.Servers = nil // A test's platform has ports of its own; the answer says which region it is.
	router, err := gorillamux.NewRouter(spec)
	if err != nil {
		return nil, fmt.Errorf("looking through the document of %q: %w", region, err)
	}
	return &document{spec: spec, router: router}, nil
}

// of returns the document of the region that an answer came in at; the global one, if the topology does not have that region.
func (c *Checker) of(answer http.Header) *document {
	if d := c.regions[answer.Get(rpc.HeaderEdge)]; d != nil {
		return d
	}
	return c.global
}

// Package tour plays what the platform promises against a running one, as a narrated script: each step says what it does, shows
// the call and the answer, and holds the answer against the promise. It uses the public protocols and the files on disk,
// nothing inside the process, so that it means the same wherever the platform runs.
package tour

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	topologyv1 "github.com/domicile-api/domicile/gen/domicile/topology/v1"
)

// Stored calls a function with every item of a platform's stores.
type Stored func(ctx context.Context, fn func(region, table string, key, value []byte) error) error

// Config is what the tour needs to know of the platform.
type Config struct {
	// Server is the URL of the operations port.
	Server string
	// Topology has each region's endpoint.
	Topology *topologyv1.Topology
	// GlobalEndpoint is the URL of the global name.
	GlobalEndpoint string
	// OperatorKey is a credential for operators' calls.
	OperatorKey string
	// Keys has an API key of each demonstration tenant.
	Keys map[string]string
	// DataDir is the platform's data folder.
	DataDir string
	// Stored calls fn with every item of the platform's stores, where they are not in the data folder; nil: they are.
	Stored Stored
	// Out takes the narration.
	Out io.Writer
	// Transport sends the calls over HTTP/1.1, all of REST among them; nil: http.DefaultTransport.
	Transport http.RoundTripper
}

// callTimeout bounds one call of the tour.
const callTimeout = 40 * time.Second

// operatorTimeout bounds a call of an operator's that looks at all data.
const operatorTimeout = 2 * time.Minute

// guide is one playing of the tour.
type guide struct {
	Config

	saying   sync.Mutex // some steps make calls at the same time
	http1    *http.Client
	h2c      *http.Client
	operator *http.Client
	canary   string // a word in the e-mail address of this playing, found nowhere else
	userID   string
	number   int
	failed   int
}

// Run plays the tour. It returns an error if any promise did not hold, after playing all steps.
func Run(ctx context.Context, cfg Config) error {
	g := newGuide(cfg)
	g.sayf("Domicile: %d regions, one API. Each step below is a real call; a promise that does not hold is marked ✗.\n", len(cfg.Topology.GetRegions()))
	for _, step := range []struct {
		title string
		play  func(context.Context) error
	}{
		{"The platform is ready", g.ready},
		{"A Frankfurt tenant's user, created through Virginia by a caller in New York, lives in Frankfurt", g.createThroughVirginia},
		{"The same user over REST, Connect, gRPC and gRPC-Web, on one port", g.fourProtocols},
		{"A repeated call with one idempotency key runs once", g.repeat},
		{"The global name sends each caller to the nearest edge, and the answer still comes from home", g.globalName},
		{"A tenant that forbids foreign transit is told where to go instead", g.strictTransit},
		{"Another tenant cannot see the user, nor learn that there is one", g.otherTenant},
		{"Outside the home, a user is only what its projection has", g.projection},
		{"An update on an old version is refused", g.staleEtag},
		{"What is written in Frankfurt is read in Singapore, by Singapore, and never the past", g.readYourWrites},
		{"What is regulated is read in the jurisdiction, and outside of it at home", g.scopes},
		{"A region is cut off; the others go on, and it catches up", g.partition},
		{"Configuration is written in two regions at once, and both see all of it", g.twoPrimaries},
		{"Every copy is what its home has", g.agree},
		{"On disk: names, address and note sealed, in every region", g.sealedAtRest},
		{"An audit of every item of every store and queue", g.auditScan},
		{"No metric carries personal data", g.metrics},
		{"The user is deleted again", g.cleanUp},
	} {
		g.play(ctx, step.title, step.play)
	}
	if g.failed > 0 {
		return fmt.Errorf("%d of %d steps of the tour did not hold", g.failed, g.number)
	}
	g.sayf("\nAll %d steps held.", g.number)
	return nil
}

func newGuide(cfg Config) *guide {
	random := make([]byte, 6)
	_, _ = rand.Read(random) // Never fails: crypto/rand crashes the program instead.
	h2 := new(http.Protocols)
	h2.SetUnencryptedHTTP2(true)
	return &guide{
		Config:   cfg,
		http1:    &http.Client{Timeout: callTimeout, Transport: cfg.Transport},
		h2c:      &http.Client{Timeout: callTimeout, Transport: &http.Transport{Protocols: h2}},
		operator: &http.Client{Timeout: operatorTimeout},
		canary:   "canary" + hex.EncodeToString(random),
	}
}

func (g *guide) play(ctx context.Context, title string, step func(context.Context) error) {
	g.number++
	g.sayf("\n%2d. %s", g.number, title)
	if err := step(ctx); err != nil {
		g.failed++
		g.sayf("    ✗ %s", strings.ReplaceAll(err.Error(), "\n", "\n      "))
		return
	}
}

func (g *guide) sayf(format string, args ...any) {
	g.saying.Lock()
	defer g.saying.Unlock()
	_, _ = fmt.Fprintf(g.Out, format+"\n", args...) // A narration that cannot be written harms no promise.
}

// heldf notes one promise that held.
func (g *guide) heldf(format string, args ...any) { g.sayf("    ✓ "+format, args...) }

// endpoint is a region's URL.
func (g *guide) endpoint(region string) (string, error) {
	for _, r := range g.Topology.GetRegions() {
		if r.GetId() == region {
			return r.GetEndpoint(), nil
		}
	}
	return "", fmt.Errorf("the platform has no region %s; the tour is written for the default topology", region)
}

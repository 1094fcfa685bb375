//go:build aws

package aws_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	operationsv1 "github.com/domicile-api/domicile/gen/domicile/operations/v1"
	"github.com/domicile-api/domicile/internal/app"
	"github.com/domicile-api/domicile/internal/app/aws"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store"
	"github.com/domicile-api/domicile/internal/topology/topologyfile"
	"github.com/domicile-api/domicile/internal/tour"
)

// What the tour promises holds on AWS, in all six regions. It runs alone: its promises have times, and the emulator is one for all tests.
//
//nolint:paralleltest // see above
func TestTour(t *testing.T) {
	base := freeBase(t)
	topo, err := topologyfile.Default().WithPortBase(base)
	if err != nil {
		t.Fatal(err)
	}
	log := &output{}
	d := deploy(t, spec{topology: topo})
	cfg := configOf(t, d, log)
	cfg.Global, cfg.Faults = true, true
	p := start(t, cfg, log)
	backend, err := aws.New(aws.Config{Deployment: d.names.Deployment()})
	if err != nil {
		t.Fatal(err)
	}
	r, err := operations(p.OperationsURL(), p.Demo().OperatorKey).GetTopology(t.Context(), &operationsv1.GetTopologyRequest{})
	if err != nil {
		t.Fatal(err)
	}
	narration := &output{}
	err = tour.Run(t.Context(), tour.Config{
		Server: p.OperationsURL(), OperatorKey: p.Demo().OperatorKey, Topology: r.GetTopology(), GlobalEndpoint: fmt.Sprintf("http://127.0.0.1:%d", base),
		Keys: keysOf(p), DataDir: cfg.DataDir, Out: narration,
		Stored: func(ctx context.Context, fn func(region, table string, key, value []byte) error) error {
			return backend.Walk(ctx, topo, func(region ident.RegionID, table string, it store.Item) error {
				return fn(string(region), table, []byte(it.Key.Partition+it.Key.Sort), it.Value)
			})
		},
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, narration)
	}
	residentInSix(t, d, p, log)
}

// residentInSix writes a user through Virginia and looks for it in all that the six regions keep, with AWS's own interfaces and with the platform's audit.
func residentInSix(t *testing.T, d *deployed, p *app.Platform, log *output) {
	t.Helper()
	word, key := "canary"+strings.ToLower(rand.Text()[:12]), keysOf(p)[tenant]
	at := func(region string) string {
		i, _ := d.topology.Index(d.id(region))
		return fmt.Sprintf("http://127.0.0.1:%d", d.topology.Port(i))
	}
	user := createThrough(t, at(virginia), key, word)
	for _, region := range []string{virginia, oregon, singapore, saoPaulo} {
		eventually(t, region+" answers from its own replica", func() error {
			a, err := try(t.Context(), request{method: http.MethodGet, url: at(region) + "/v1/users/" + user + "/summary", key: key})
			return errors.Join(err, a.isOK(region))
		})
	}
	eventually(t, "the user is where it may be and nowhere else", func() error { return d.clean(t, word, user, frankfurt, dublin) })
	if err := audited(t.Context(), p.OperationsURL(), p.Demo().OperatorKey); err != nil {
		t.Error(err)
	}
	if contains([]byte(log.String()), word) {
		t.Error("personal data lie in clear in the log")
	}
}

//go:build aws

package aws_test

import (
	"context"
	"fmt"
	"testing"

	operationsv1 "github.com/domicile-api/domicile/gen/domicile/operations/v1"
	"github.com/domicile-api/domicile/internal/app/aws"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store"
	"github.com/domicile-api/domicile/internal/topology/topologyfile"
	"github.com/domicile-api/domicile/internal/tour"
)

// What the tour promises holds on AWS, in all six regions.
func TestTour(t *testing.T) {
	t.Parallel()
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
}

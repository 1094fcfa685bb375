package test

import (
	"bytes"
	"net/http"
	"testing"

	"github.com/domicile-api/domicile/domiciletest"
	operationsv1 "github.com/domicile-api/domicile/gen/domicile/operations/v1"
	"github.com/domicile-api/domicile/internal/tour"
	"github.com/domicile-api/domicile/services"
)

// TestTour plays the tour; its calls are held against the documents, too.
func TestTour(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("cuts a region off and waits until it has caught up")
	}
	p := domiciletest.Start(t, domiciletest.Config{Services: services.All(), Demo: true})
	r, err := operator(p.OperationsEndpoint(), p.OperatorKey()).GetTopology(t.Context(), &operationsv1.GetTopologyRequest{})
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]string{}
	for _, id := range []string{"acme-eu", "acme-us", "acme-sg", "acme-br", "bank-eu"} {
		keys[id] = p.DemoKey(id)
	}
	narration := &bytes.Buffer{}
	if err := tour.Run(reportTo(t), tour.Config{
		Server: p.OperationsEndpoint(), OperatorKey: p.OperatorKey(), Topology: r.GetTopology(), GlobalEndpoint: p.GlobalEndpoint(), Keys: keys,
		DataDir: p.Dir(), Out: narration, Transport: documented(&http.Transport{}),
	}); err != nil {
		t.Fatalf("%v\n%s", err, narration)
	}
}

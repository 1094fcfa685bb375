//go:build aws

package aws_test

import (
	"context"
	"crypto/rand"
	"log/slog"
	"testing"
	"time"

	"github.com/domicile-api/domicile/internal/app"
	"github.com/domicile-api/domicile/internal/app/aws"
	"github.com/domicile-api/domicile/internal/residency"
	"github.com/domicile-api/domicile/services"
)

// startTimeout bounds a start.
const startTimeout = 2 * time.Minute

// configOf is how a platform of all regions of a deployment runs in this process.
func configOf(t testing.TB, d *deployed, log *output) app.Config {
	t.Helper()
	backend, err := aws.New(aws.Config{Deployment: d.names.Deployment()})
	if err != nil {
		t.Fatal(err)
	}
	return app.Config{
		Backend: backend, DataDir: t.TempDir(), Host: "127.0.0.1", Topology: d.topology, Services: services.All(), OperationsPort: d.topology.OperationsPort(),
		Demo: true, Clock: time.Now, Random: rand.Reader, Env: func(string) (string, bool) { return "", false },
		Logger: slog.New(residency.NewLogHandler(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))),
	}
}

// start runs a platform until the test ends, and returns when it is ready.
func start(t testing.TB, cfg app.Config, log *output) *app.Platform {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	began := time.Now()
	p, err := app.Start(ctx, cfg)
	if err != nil {
		t.Fatalf("starting: %v", err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Errorf("stopping: %v", err)
		}
	})
	if err := p.WaitReady(ctx); err != nil {
		t.Fatalf("not ready: %v\n%s", err, log.tail())
	}
	t.Logf("ready after %v", time.Since(began).Round(time.Millisecond))
	return p
}

// keysOf are the keys of the demonstration tenants.
func keysOf(p *app.Platform) map[string]string {
	keys := make(map[string]string)
	for _, tenant := range p.Demo().Tenants {
		keys[tenant.ID] = tenant.APIKey
	}
	return keys
}

// Package lambda has the functions of AWS Lambda that keep the regions of a deployment in step: Relay, Apply and Sweep. Each is made with
// the product's services, whose entities it relays and applies, and has a Handle that lambda.Start of aws-lambda-go is given:
//
//	func main() {
//		relay, err := lambda.NewRelay(context.Background(), os.LookupEnv, services.All()...)
//		…
//		awslambda.Start(relay.Handle)
//	}
//
// The edge is in lambda/edge. None of them links Pebble.
//
// What they promise: everything is at least once and takes effect once. A function may be ended at any moment, also between its effect and
// its answer; several instances may run at the same time.
package lambda

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/domicile-api/domicile"
	"github.com/domicile-api/domicile/internal/app"
	"github.com/domicile-api/domicile/internal/app/aws"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/residency"
	"github.com/domicile-api/domicile/internal/topology"
)

// Environment looks up a variable; os.LookupEnv. What is read: AWS_REGION and the credentials, which Lambda sets; DOMICILE_DEPLOYMENT, the
// deployment's name; DOMICILE_ACCOUNTS, the account of each region where they have their own; DOMICILE_SNAPSHOTS, the bucket of
// the copy of the directory; DOMICILE_TOPOLOGY, the path of the topology
// that was packed with the function (default: topology.bin beside it); DOMICILE_LOG_LEVEL.
type Environment = func(name string) (string, bool)

// open makes a worker of what the environment says.
func open(ctx context.Context, env Environment, part app.Part, services []domicile.Service) (*app.Worker, *slog.Logger, error) {
	get := func(name, otherwise string) string {
		if value, ok := env(name); ok && value != "" {
			return value
		}
		return otherwise
	}
	level := slog.LevelWarn
	if err := level.UnmarshalText([]byte(get("DOMICILE_LOG_LEVEL", level.String()))); err != nil {
		return nil, nil, fmt.Errorf("DOMICILE_LOG_LEVEL is debug, info, warn or error: %w", err)
	}
	logger := slog.New(residency.NewLogHandler(slog.NewJSONHandler(os.Stdout, &slog.HandlerOptions{Level: level})))
	region := get("AWS_REGION", "")
	if region == "" {
		return nil, nil, errors.New("AWS_REGION is not set")
	}
	topo, err := topology.ReadPacked(get("DOMICILE_TOPOLOGY", get("LAMBDA_TASK_ROOT", ".")+"/topology.bin"))
	if err != nil {
		return nil, nil, err
	}
	backend, err := aws.New(aws.Config{
		Deployment: get("DOMICILE_DEPLOYMENT", ""), Accounts: get("DOMICILE_ACCOUNTS", ""), Snapshots: get("DOMICILE_SNAPSHOTS", ""),
	})
	if err != nil {
		return nil, nil, fmt.Errorf("DOMICILE_DEPLOYMENT, DOMICILE_ACCOUNTS: %w", err)
	}
	worker, err := app.OpenWorker(ctx, app.WorkerConfig{
		Backend: backend, Topology: topo, Region: ident.RegionID(region), Part: part, Services: services,
		Logger: logger, Clock: time.Now, Random: rand.Reader,
	})
	return worker, logger, err
}

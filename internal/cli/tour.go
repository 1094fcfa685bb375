package cli

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	operationsv1 "github.com/domicile-api/domicile/gen/domicile/operations/v1"
	topologyv1 "github.com/domicile-api/domicile/gen/domicile/topology/v1"
	"github.com/domicile-api/domicile/internal/app"
	"github.com/domicile-api/domicile/internal/app/aws"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/store"
	"github.com/domicile-api/domicile/internal/topology"
	"github.com/domicile-api/domicile/internal/topology/topologyfile"
	"github.com/domicile-api/domicile/internal/tour"
)

func tourCommand(cfg Config) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "tour",
		Short: "Play what the platform promises against a running dev, starting one if there is none; exit 0 only if each step held",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, _ := cmd.Flags().GetString("data")
			demo, err := app.ReadDemoFile(dir)
			if err == nil && answers(cmd.Context(), demo) {
				return playTour(cmd, dir, demo)
			}
			return tourOnOwnPlatform(cmd, cfg)
		},
	}
	platformFlags(cmd)
	return cmd
}

// answers tells whether the platform that demo.json names is up.
func answers(ctx context.Context, demo app.DemoFile) bool {
	c := newConnection(demo.Server, demo.OperatorKey)
	_, err := c.operations().GetTopology(ctx, &operationsv1.GetTopologyRequest{})
	return err == nil
}

func tourOnOwnPlatform(cmd *cobra.Command, cfg Config) (err error) {
	c, err := platformConfig(cmd, cfg)
	if err != nil {
		return err
	}
	c.Demo, c.Global, c.Faults, c.OperationsPort = true, true, true, c.Topology.OperationsPort()
	if err := refuseDemoOutside(c); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(cmd.OutOrStdout(), "No platform runs on %s; starting one for the tour.\n\n", c.DataDir); err != nil {
		return fmt.Errorf("writing the narration: %w", err)
	}
	p, err := app.Start(cmd.Context(), c)
	if err != nil {
		return refused(err)
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	if err := p.WaitReady(cmd.Context()); err != nil {
		return refused(err)
	}
	return playTour(cmd, c.DataDir, p.Demo())
}

func playTour(cmd *cobra.Command, dir string, demo app.DemoFile) error {
	r, err := newConnection(demo.Server, demo.OperatorKey).operations().GetTopology(cmd.Context(), &operationsv1.GetTopologyRequest{})
	if err != nil {
		return explainError(err)
	}
	global, err := globalOf(demo.Server)
	if err != nil {
		return refused(err)
	}
	keys := map[string]string{}
	for _, t := range demo.Tenants {
		keys[t.ID] = t.APIKey
	}
	stored, err := storedOf(demo, r.GetTopology())
	if err != nil {
		return refused(err)
	}
	err = tour.Run(cmd.Context(), tour.Config{
		Server: demo.Server, OperatorKey: demo.OperatorKey, Topology: r.GetTopology(), GlobalEndpoint: global, Keys: keys,
		DataDir: dir, Stored: stored, Out: cmd.OutOrStdout(),
	})
	if err != nil {
		return refused(err)
	}
	return nil
}

// storedOf returns what reads the stores of a platform that keeps them elsewhere than in its folder; nil for one that does not. Credentials
// are the environment's; an emulator on this machine takes any.
func storedOf(demo app.DemoFile, message *topologyv1.Topology) (tour.Stored, error) {
	if demo.Cloud == nil {
		return nil, nil //nolint:nilnil // the folder has them
	}
	backend, err := aws.New(aws.Config{Deployment: demo.Cloud.Deployment})
	if err != nil {
		return nil, err
	}
	topo, err := topologyfile.New(message)
	if err != nil {
		return nil, fmt.Errorf("reading the platform's topology: %w", err)
	}
	if demo.Cloud.Endpoint != "" {
		for name, value := range map[string]string{
			"AWS_ENDPOINT_URL": demo.Cloud.Endpoint, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
		} {
			if err := os.Setenv(name, value); err != nil {
				return nil, fmt.Errorf("pointing at the emulator: %w", err)
			}
		}
	}
	return func(ctx context.Context, fn func(region, table string, key, value []byte) error) error {
		return backend.Walk(ctx, topo, func(region ident.RegionID, table string, it store.Item) error {
			return fn(string(region), table, []byte(it.Key.Partition+it.Key.Sort), it.Value)
		})
	}, nil
}

// globalOf is the URL of the global name of a platform whose operations port is known.
func globalOf(server string) (string, error) {
	u, err := url.Parse(server)
	if err != nil {
		return "", fmt.Errorf("reading the operations URL: %w", err)
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		return "", fmt.Errorf("reading the operations port: %w", err)
	}
	u.Host = u.Hostname() + ":" + strconv.Itoa(port-topology.OperationsOffset)
	return u.String(), nil
}

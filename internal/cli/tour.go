package cli

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"

	operationsv1 "github.com/domicile-api/domicile/gen/domicile/operations/v1"
	"github.com/domicile-api/domicile/internal/app"
	"github.com/domicile-api/domicile/internal/topology"
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
	err = tour.Run(cmd.Context(), tour.Config{
		Server: demo.Server, OperatorKey: demo.OperatorKey, Topology: r.GetTopology(), GlobalEndpoint: global, Keys: keys,
		DataDir: dir, Out: cmd.OutOrStdout(),
	})
	if err != nil {
		return refused(err)
	}
	return nil
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

package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/domicile-api/domicile"
	"github.com/domicile-api/domicile/internal/app"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/topology"
)

func serveCommand(cfg Config) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve --region R",
		Short: "Run one region: its edge and services, or a part of them",
		Long: "Run one region on its port of the topology; its operations port is the port + 10.\n" +
			"With --role edge only the edge runs, from the directory or its last good copy: it opens no other store, forwards to the other\n" +
			"regions, and to the services of its own if the topology gives a services_endpoint. It refuses what is at home in its own otherwise.\n" +
			"With --role services all runs but what tells other regions of writes and applies what they tell: functions do that.",
		Example: "  domicile serve --region eu-central-1 --topology one-region.yaml\n  domicile serve --region us-east-1 --role edge",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := serveConfig(cmd, cfg)
			if err != nil {
				return err
			}
			return runPlatform(cmd, c, func(p *app.Platform) error {
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s serves %s at %s, operations at %s\n",
					cfg.Name, c.Regions[0], p.Endpoint(c.Regions[0]), p.OperationsURL())
				if err != nil {
					return fmt.Errorf("writing the announcement: %w", err)
				}
				return nil
			})
		},
	}
	platformFlags(cmd)
	cmd.Flags().String("region", "", "id of the region to run")
	cmd.Flags().String("service", "all", "the service to run, or all")
	cmd.Flags().String("role", "all", "all: edge and services; edge: the edge alone; services: all but relay and apply")
	cmd.Flags().Int("port", 0, "port to listen on (default: the region's of the topology)")
	cmd.Flags().Int("operations-port", 0, "port of health, metrics and the operators' services (default: the region's port + 10)")
	cmd.Flags().Bool("demo", false, "make the demonstration tenants of the regions that this process runs")
	return cmd
}

func serveConfig(cmd *cobra.Command, cfg Config) (app.Config, error) {
	text := func(name string) string { v, _ := cmd.Flags().GetString(name); return v }
	c, err := platformConfig(cmd, cfg)
	if err != nil {
		return c, err
	}
	region, err := regionOf(c.Topology, text("region"))
	if err != nil {
		return c, err
	}
	c.Regions = []ident.RegionID{c.Topology.ID(region)}
	if c.Port, _ = cmd.Flags().GetInt("port"); c.Port == 0 {
		c.Port = c.Topology.Port(region)
	}
	if c.OperationsPort, _ = cmd.Flags().GetInt("operations-port"); c.OperationsPort == 0 {
		c.OperationsPort = c.Port + topology.OperationsOffset
	}
	c.Demo, _ = cmd.Flags().GetBool("demo")
	switch text("role") {
	case "all":
	case "edge":
		c.EdgeOnly = true
	case "services":
		c.Functions = true
	default:
		return c, usage("--role is all, edge or services")
	}
	if c.Functions && text("backend") == "embedded" {
		return c, usage("--role services is for regions whose functions relay and apply: give --backend aws, too")
	}
	if c.EdgeOnly && c.Demo {
		return c, usage("--demo needs a store, which --role edge does not open")
	}
	if name := text("service"); name != "all" {
		i := slices.IndexFunc(c.Services, func(s domicile.Service) bool { return s.Name == name })
		if i < 0 {
			return c, usage("--service is all or one of %s", strings.Join(serviceNames(c.Services), ", "))
		}
		c.Services = c.Services[i : i+1]
	}
	return c, refuseDemoOutside(c)
}

// regionOf finds the region that --region names.
func regionOf(t *topology.Topology, id string) (topology.Index, error) {
	region, ok := t.Index(ident.RegionID(id))
	if !ok {
		return topology.NoRegion, usage("--region is one of %s", strings.Join(regionIDs(t), ", "))
	}
	return region, nil
}

func regionIDs(t *topology.Topology) []string {
	ids := make([]string, 0, t.Len())
	for _, i := range t.Regions() {
		ids = append(ids, string(t.ID(i)))
	}
	return ids
}

func serviceNames(services []domicile.Service) []string {
	names := make([]string, len(services))
	for i, s := range services {
		names[i] = s.Name
	}
	return names
}

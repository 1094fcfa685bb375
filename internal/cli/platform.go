package cli

import (
	"crypto/rand"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/spf13/cobra"

	"github.com/domicile-api/domicile/internal/app"
	"github.com/domicile-api/domicile/internal/app/aws"
	"github.com/domicile-api/domicile/internal/app/developers"
	"github.com/domicile-api/domicile/internal/app/embedded"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/residency"
	"github.com/domicile-api/domicile/internal/topology"
	"github.com/domicile-api/domicile/internal/topology/topologyfile"
)

// platformFlags are the flags of every command that runs a platform.
func platformFlags(cmd *cobra.Command) {
	cmd.Flags().String("data", ".domicile", "data folder; region R's data is in DIR/R")
	cmd.Flags().String("backend", "embedded", "embedded: in --data; aws: on the deployed infrastructure, see docs/guides/deploy-aws.md")
	cmd.Flags().String("deployment", "", "with --backend aws: the name that the infrastructure was deployed under (default \"domicile\")")
	cmd.Flags().String("topology", "", "topology file (default: the six regions of 'domicile topology show')")
	cmd.Flags().Int("port-base", topology.GlobalPort, "port of the global name; regions follow from +1, operations is +10")
	cmd.Flags().String("host", "127.0.0.1", "address to listen on")
	cmd.Flags().String("log-format", "text", "text or json")
	cmd.Flags().String("log-level", "warn", "debug, info, warn or error")
}

// platformConfig reads the flags that all platforms have.
func platformConfig(cmd *cobra.Command, cfg Config) (app.Config, error) {
	text := func(name string) string { v, _ := cmd.Flags().GetString(name); return v }
	backend, err := newBackend(cmd, cfg)
	if err != nil {
		return app.Config{}, err
	}
	topo, err := topologyOf(cmd, backend)
	if err != nil {
		return app.Config{}, err
	}
	base, _ := cmd.Flags().GetInt("port-base")
	if topo, err = topo.WithPortBase(base); err != nil {
		return app.Config{}, usage("--port-base: %w", err)
	}
	logger, err := newLogger(cmd, text("log-format"), text("log-level"))
	if err != nil {
		return app.Config{}, err
	}
	portal, err := developers.New(cfg.OpenAPI)
	if err != nil {
		return app.Config{}, err
	}
	return app.Config{
		Backend: backend, DataDir: text("data"), Host: text("host"), Topology: topo, Services: cfg.Services, Portal: portal,
		Logger: logger, Clock: time.Now, Random: rand.Reader, Env: cfg.Env,
	}, nil
}

// topologyOf is the topology that --topology names. A region that runs on AWS without one has that of its infrastructure.
func topologyOf(cmd *cobra.Command, backend app.Backend) (*topology.Topology, error) {
	file, _ := cmd.Flags().GetString("topology")
	deployed, onAWS := backend.(aws.Backend)
	region, _ := cmd.Flags().GetString("region")
	if file != "" || !onAWS || region == "" {
		return topologyFlag(cmd)
	}
	t, err := deployed.Topology(cmd.Context(), ident.RegionID(region))
	if err != nil {
		return nil, refused(err)
	}
	return t, nil
}

// topologyFlag reads the file that --topology names, or gives the built-in regions.
func topologyFlag(cmd *cobra.Command) (*topology.Topology, error) {
	file, _ := cmd.Flags().GetString("topology")
	if file == "" {
		return topologyfile.Default(), nil
	}
	t, err := topologyfile.Load(file)
	if err != nil {
		return nil, usage("%w", err)
	}
	return t, nil
}

func newBackend(cmd *cobra.Command, cfg Config) (app.Backend, error) {
	text := func(name string) string { v, _ := cmd.Flags().GetString(name); return v }
	switch text("backend") {
	case "embedded":
		if cmd.Flags().Changed("deployment") {
			return nil, usage("--deployment names infrastructure on AWS: give --backend aws, too")
		}
		return embedded.New(text("data")), nil
	case "aws":
		return awsBackend(text("deployment"), cfg)
	}
	return nil, usage("--backend is embedded or aws")
}

// awsBackend is a deployment on AWS. The account of each region is in the environment, where they have accounts of their own.
func awsBackend(deployment string, cfg Config) (aws.Backend, error) {
	accounts, _ := cfg.Env("DOMICILE_ACCOUNTS")
	snapshots, _ := cfg.Env("DOMICILE_SNAPSHOTS")
	backend, err := aws.New(aws.Config{Deployment: deployment, Accounts: accounts, Snapshots: snapshots})
	if err != nil {
		return aws.Backend{}, usage("--deployment, DOMICILE_ACCOUNTS: %w", err)
	}
	return backend, nil
}

// newLogger makes the process's log, on standard error. Whatever is logged passes through the handler that hides what is above GLOBAL.
func newLogger(cmd *cobra.Command, format, level string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, usage("--log-level is debug, info, warn or error")
	}
	opts := &slog.HandlerOptions{Level: l}
	switch format {
	case "text":
		return slog.New(residency.NewLogHandler(slog.NewTextHandler(cmd.ErrOrStderr(), opts))), nil
	case "json":
		return slog.New(residency.NewLogHandler(slog.NewJSONHandler(cmd.ErrOrStderr(), opts))), nil
	}
	return nil, usage("--log-format is text or json")
}

// isLoopback tells whether an address to listen on is reachable from this machine only.
func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// refuseDemoOutside keeps tenants whose keys lie in a file off the network.
func refuseDemoOutside(cfg app.Config) error {
	if cfg.Demo && !isLoopback(cfg.Host) {
		return usage("the demonstration tenants are for this machine only: --host %s is not a loopback address", cfg.Host)
	}
	return nil
}

// runPlatform starts a platform, announces it when it is ready, and serves until the command's context ends.
func runPlatform(cmd *cobra.Command, cfg app.Config, announce func(*app.Platform) error) error {
	p, err := app.Start(cmd.Context(), cfg)
	if err != nil {
		return refused(err)
	}
	if err := p.WaitReady(cmd.Context()); err == nil {
		if err := announce(p); err != nil {
			_ = p.Close()
			return refused(err)
		}
	}
	if err := p.Wait(cmd.Context()); err != nil {
		_ = p.Close()
		return refused(fmt.Errorf("the platform stopped: %w", err))
	}
	if err := p.Close(); err != nil {
		return refused(fmt.Errorf("stopping: %w", err))
	}
	return nil
}

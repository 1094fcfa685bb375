package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/domicile-api/domicile/internal/cost"
)

func costCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cost --rps N --tenants N",
		Short: "Estimate what a deployment on AWS costs a month",
		Long: "Estimate what a deployment on AWS costs a month: requests as the code makes them, times list prices. It asks AWS nothing.\n" +
			"docs/cost.md has the formulas. What a deployment is like besides its calls and tenants is read from --assumptions, a JSON file\n" +
			"with any of the fields that --output json shows under \"assumptions\".",
		Example: "  domicile cost --rps 1000 --tenants 500\n  domicile cost --rps 10 --tenants 20 --topology mine.yaml --assumptions ours.json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			in, err := costInput(cmd)
			if err != nil {
				return err
			}
			report, err := cost.Estimate(in)
			var wrong *cost.InputError
			switch {
			case errors.As(err, &wrong):
				return usage("%w", err)
			case err != nil:
				return refused(err)
			}
			if out, _ := cmd.Flags().GetString("output"); out == "json" {
				return report.WriteJSON(cmd.OutOrStdout())
			}
			return report.WriteText(cmd.OutOrStdout())
		},
	}
	cmd.Flags().Float64("rps", 0, "calls a second, all regions together, on average")
	cmd.Flags().Float64("tenants", 0, "tenants, all regions together")
	cmd.Flags().String("topology", "", "topology file (default: the six regions of 'domicile topology show')")
	cmd.Flags().String("assumptions", "", "JSON file with what differs from the default assumptions")
	cmd.Flags().String("prices", "", "YAML file with other prices, in the form of internal/cost/prices.yaml")
	return cmd
}

func costInput(cmd *cobra.Command) (cost.Input, error) {
	rps, _ := cmd.Flags().GetFloat64("rps")
	tenants, _ := cmd.Flags().GetFloat64("tenants")
	in := cost.Default(rps, tenants)
	var err error
	if in.Topology, err = topologyFlag(cmd); err != nil {
		return in, err
	}
	if path, _ := cmd.Flags().GetString("assumptions"); path != "" {
		if err := readAssumptions(path, &in.Assumptions); err != nil {
			return in, usage("--assumptions: %w", err)
		}
		in.RPS, in.Tenants = rps, tenants
	}
	path, _ := cmd.Flags().GetString("prices")
	if path == "" {
		return in, nil
	}
	data, err := os.ReadFile(path) //nolint:gosec // The person who asks names the file.
	if err != nil {
		return in, usage("--prices: %w", err)
	}
	if in.Prices, err = cost.ParsePrices(data); err != nil {
		return in, usage("--prices: %w", err)
	}
	return in, nil
}

// readAssumptions reads a file over what is there. A field that it does not know is an error: it would be missed.
func readAssumptions(path string, into *cost.Assumptions) error {
	file, err := os.Open(path) //nolint:gosec // The person who asks names the file.
	if err != nil {
		return fmt.Errorf("reading the assumptions: %w", err)
	}
	defer func() { _ = file.Close() }() // Only read.
	d := json.NewDecoder(file)
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	return nil
}

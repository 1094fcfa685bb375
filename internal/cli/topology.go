package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	operationsv1 "github.com/domicile-api/domicile/gen/domicile/operations/v1"
	topologyv1 "github.com/domicile-api/domicile/gen/domicile/topology/v1"
	"github.com/domicile-api/domicile/internal/topology/topologyfile"
)

func topologyCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "topology", Short: "Check a topology file, show a running platform's topology"}
	cmd.AddCommand(topologyCheck(), topologyShow())
	return cmd
}

func topologyCheck() *cobra.Command {
	return &cobra.Command{
		Use:   "check FILE",
		Short: "Check a topology file; exit 1 if anything is wrong with it",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			data, err := topologyfile.ReadFile(args[0])
			if err != nil {
				return usage("reading the topology: %w", err)
			}
			problems := topologyfile.Check(args[0], data)
			if len(problems) == 0 {
				t, err := topologyfile.Parse(args[0], data)
				if err != nil {
					return refused(err)
				}
				return show(cmd, t.Proto(), regionTable(t.Proto()))
			}
			lines := make([]error, len(problems))
			for i, p := range problems {
				lines[i] = errors.New(p.String())
			}
			return refused(fmt.Errorf("the topology is refused:\n%w", errors.Join(lines...)))
		},
	}
}

func topologyShow() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Show the topology that a platform runs with",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := connectTo(cmd)
			if err != nil {
				return err
			}
			r, err := c.operations().GetTopology(cmd.Context(), &operationsv1.GetTopologyRequest{})
			if err != nil {
				return explainError(err)
			}
			return show(cmd, r.GetTopology(), regionTable(r.GetTopology()))
		},
	}
	connectionFlags(cmd)
	return cmd
}

func regionTable(t *topologyv1.Topology) table {
	out := table{header: []string{"REGION", "PLACE", "JURISDICTION", "ROLES", "STANDBY", "WITNESS", "ENDPOINT"}}
	for _, r := range t.GetRegions() {
		roles := make([]string, len(r.GetRoles()))
		for i, role := range r.GetRoles() {
			roles[i] = word(role)
		}
		out.rows = append(out.rows, []string{
			r.GetId(), r.GetPlace(), r.GetJurisdiction(), strings.Join(roles, ","), dash(r.GetStandby()), dash(r.GetWitness()), r.GetEndpoint(),
		})
	}
	return out
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/domicile-api/domicile/internal/app"
	"github.com/domicile-api/domicile/internal/topology"
)

func devCommand(cfg Config) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run all regions in this process, with demonstration tenants",
		Long: "Run all regions of the topology in this process on a durable store in --data, with five demonstration tenants.\n" +
			"Ready when GET /readyz on the operations port (port base + 10) answers 200. Ctrl-C stops it; the next start goes on with the same data.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := platformConfig(cmd, cfg)
			if err != nil {
				return err
			}
			c.Demo, c.Global, c.Faults, c.OperationsPort = true, true, true, c.Topology.OperationsPort()
			c.WAN, _ = cmd.Flags().GetBool("wan")
			if err := refuseDemoOutside(c); err != nil {
				return err
			}
			return runPlatform(cmd, c, func(p *app.Platform) error { return Announce(cmd.OutOrStdout(), c.Topology, p.Demo()) })
		},
	}
	platformFlags(cmd)
	cmd.Flags().Bool("wan", false, "put the round-trip times of the topology between the regions")
	return cmd
}

// Announce prints where everything of a platform with demonstration tenants is, and what to try first.
func Announce(w io.Writer, topo *topology.Topology, demo app.DemoFile) error {
	regions := table{header: []string{"REGION", "PLACE", "JURISDICTION", "ENDPOINT"}}
	for _, i := range topo.Regions() {
		r := topo.Region(i)
		regions.rows = append(regions.rows, []string{r.GetId(), r.GetPlace(), r.GetJurisdiction(), topo.Endpoint(i)})
	}
	regions.rows = append(regions.rows,
		[]string{"(global name)", "nearest edge", "", globalURL(topo)},
		[]string{"(operations)", "", "", demo.Server})
	if err := regions.write(w); err != nil {
		return err
	}
	tenants := table{header: []string{"\nTENANT", "HOME", "API KEY"}}
	for _, t := range demo.Tenants {
		tenants.rows = append(tenants.rows, []string{t.ID, t.Home, t.APIKey})
	}
	if err := tenants.write(w); err != nil {
		return err
	}
	_, err := fmt.Fprint(w, firstLines(topo, demo))
	if err != nil {
		return fmt.Errorf("writing the announcement: %w", err)
	}
	return nil
}

func globalURL(t *topology.Topology) string {
	return fmt.Sprintf("http://127.0.0.1:%d", t.GlobalPort())
}

// firstLines are calls to try: a tenant's user, written and read from another continent than its home.
func firstLines(topo *topology.Topology, demo app.DemoFile) string {
	if len(demo.Tenants) == 0 {
		return ""
	}
	t := demo.Tenants[0]
	abroad := topo.Control()
	for _, i := range topo.Regions() {
		if string(topo.ID(i)) == t.Home && abroad == i {
			abroad = topo.Regions()[len(topo.Regions())-1]
		}
	}
	r := topo.Region(abroad)
	var b strings.Builder
	fmt.Fprintf(&b, "\nTry: create a user of %s through %s; %s answers.\n\n", t.ID, r.GetPlace(), t.Home)
	fmt.Fprintf(&b, "  KEY=%s\n", t.APIKey)
	fmt.Fprintf(&b, "  curl -i %s/v1/users -H \"Authorization: Bearer $KEY\" -H 'Content-Type: application/json' \\\n", topo.Endpoint(abroad))
	fmt.Fprintf(&b, "    -d '{\"givenName\":\"Ada\",\"familyName\":\"Lovelace\",\"email\":\"ada@example.com\",\"locale\":\"en-GB\"}'\n")
	fmt.Fprintf(&b, "  curl -i %s/v1/users -H \"Authorization: Bearer $KEY\" -H 'Domicile-Country: JP'\n", globalURL(topo))
	return b.String()
}

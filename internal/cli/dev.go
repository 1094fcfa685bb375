package cli

import (
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"

	"github.com/domicile-api/domicile"
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
			return runPlatform(cmd, c, func(p *app.Platform) error { return Announce(cmd.OutOrStdout(), c.Topology, p.Demo(), cfg.Services...) })
		},
	}
	platformFlags(cmd)
	cmd.Flags().Bool("wan", false, "put the round-trip times of the topology between the regions")
	return cmd
}

// Announce prints where everything of a platform with demonstration tenants is, and what to try first of its services.
func Announce(w io.Writer, topo *topology.Topology, demo app.DemoFile, services ...domicile.Service) error {
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
	if _, err := fmt.Fprintf(w, "\nDocumentation: %s/docs\n", topo.Endpoint(topo.Regions()[0])); err != nil {
		return fmt.Errorf("writing the announcement: %w", err)
	}
	tenants := table{header: []string{"\nTENANT", "HOME", "API KEY"}}
	for _, t := range demo.Tenants {
		tenants.rows = append(tenants.rows, []string{t.ID, t.Home, t.APIKey})
	}
	if err := tenants.write(w); err != nil {
		return err
	}
	if _, err := fmt.Fprint(w, firstLines(topo, demo, services)); err != nil {
		return fmt.Errorf("writing the announcement: %w", err)
	}
	return nil
}

func globalURL(t *topology.Topology) string {
	return fmt.Sprintf("http://127.0.0.1:%d", t.GlobalPort())
}

// firstLines are calls to try: a tenant's things, read from another continent than its home.
func firstLines(topo *topology.Topology, demo app.DemoFile, services []domicile.Service) string {
	route := firstList(services)
	if len(demo.Tenants) == 0 || route == "" {
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
	if route == usersRoute {
		fmt.Fprintf(&b, "\nTry: create a user of %s through %s; %s answers.\n\n", t.ID, r.GetPlace(), t.Home)
		fmt.Fprintf(&b, "  KEY=%s\n", t.APIKey)
		fmt.Fprintf(&b, "  curl -i %s%s -H \"Authorization: Bearer $KEY\" -H 'Content-Type: application/json' \\\n", topo.Endpoint(abroad), route)
		fmt.Fprintf(&b, "    -d '{\"givenName\":\"Ada\",\"familyName\":\"Lovelace\",\"email\":\"ada@example.com\",\"locale\":\"en-GB\"}'\n")
	} else {
		fmt.Fprintf(&b, "\nTry: ask for %s of %s through %s; %s answers.\n\n", path.Base(route), t.ID, r.GetPlace(), t.Home)
		fmt.Fprintf(&b, "  KEY=%s\n", t.APIKey)
		fmt.Fprintf(&b, "  curl -i %s%s -H \"Authorization: Bearer $KEY\"\n", topo.Endpoint(abroad), route)
	}
	fmt.Fprintf(&b, "  curl -i %s%s -H \"Authorization: Bearer $KEY\" -H 'Domicile-Country: JP'\n", globalURL(topo), route)
	return b.String()
}

// usersRoute is the list of the platform's own example, whose fields are known here.
const usersRoute = "/v1/users"

// firstList is the path of the first method of the services that can be called by GET as it stands; empty when there is none.
func firstList(services []domicile.Service) string {
	for _, s := range services {
		for _, e := range s.Entities {
			defined := e.ProtoReflect().Descriptor().ParentFile().Services()
			for i := range defined.Len() {
				for j := range defined.Get(i).Methods().Len() {
					options := defined.Get(i).Methods().Get(j).Options()
					rule, _ := proto.GetExtension(options, annotations.E_Http).(*annotations.HttpRule)
					if route := rule.GetGet(); route != "" && !strings.Contains(route, "{") {
						return route
					}
				}
			}
		}
	}
	return ""
}

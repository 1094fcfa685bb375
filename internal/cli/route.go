package cli

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	operationsv1 "github.com/domicile-api/domicile/gen/domicile/operations/v1"
	tenancyv1 "github.com/domicile-api/domicile/gen/domicile/tenancy/v1"
)

func whereisCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "whereis TENANT|HOST|KEY-PREFIX",
		Short: "Say where a tenant lives",
		Long:  "Say where a tenant lives. The tenant is named by its id, by a host name, or by the public part of an API key, dk_<tenant>_<key id>.",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := connectTo(cmd)
			if err != nil {
				return err
			}
			req := &tenancyv1.ResolveTenantRequest{}
			switch name := args[0]; {
			case strings.HasPrefix(name, "dk_"):
				parts := strings.SplitN(name, "_", 4)
				if len(parts) < 3 {
					return usage("a key prefix is dk_<tenant>_<key id>")
				}
				req.KeyPrefix = strings.Join(parts[:3], "_") // a secret given by mistake is not sent
			case strings.Contains(name, "."):
				req.Host = name
			default:
				req.Id = name
			}
			r, err := c.tenancy().ResolveTenant(cmd.Context(), req)
			if err != nil {
				return explainError(err)
			}
			return show(cmd, r, table{
				header: []string{"TENANT", "HOME", "ENDPOINT", "JURISDICTION", "STANDBY", "TRANSIT", "PROJECTIONS", "EPOCH"},
				rows: [][]string{{
					r.GetTenant(), r.GetHome(), r.GetHomeEndpoint(), r.GetJurisdiction(), r.GetStandby(), word(r.GetTransit()),
					word(r.GetProjections()), strconv.FormatUint(r.GetEpoch(), 10),
				}},
			})
		},
	}
	connectionFlags(cmd)
	return cmd
}

func explainCommand() *cobra.Command {
	req := &operationsv1.ExplainRouteRequest{}
	cmd := &cobra.Command{
		Use:     "explain --tenant T --from COUNTRY|REGION --method NAME",
		Short:   "Say how a call would be routed, and by which rules",
		Example: "  domicile explain --tenant acme-eu --from US --method GetUser",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if req.GetTenant() == "" || req.GetFrom() == "" || req.GetMethod() == "" {
				return usage("--tenant, --from and --method must be given")
			}
			c, err := connectTo(cmd)
			if err != nil {
				return err
			}
			r, err := c.operations().ExplainRoute(cmd.Context(), req)
			if err != nil {
				return explainError(err)
			}
			return show(cmd, r, explainTable(r))
		},
	}
	cmd.Flags().StringVar(&req.Tenant, "tenant", "", "the tenant's id")
	cmd.Flags().StringVar(&req.From, "from", "", "where the caller is: a country code such as US, or a region's id")
	cmd.Flags().StringVar(&req.Method, "method", "", "the method, e.g. GetUser or domicile.profile.v1.ProfileService/GetUser")
	cmd.Flags().BoolVar(&req.Strict, "strict", false, "as if the caller sent Domicile-Routing: strict")
	connectionFlags(cmd)
	return cmd
}

func explainTable(r *operationsv1.ExplainRouteResponse) table {
	t := table{header: []string{"RULE", "PASSED", "FOUND"}}
	for _, o := range r.GetRules() {
		passed := "yes"
		if !o.GetPassed() {
			passed = "no"
		}
		t.rows = append(t.rows, []string{o.GetRule(), passed, o.GetDetail()})
	}
	verdict := fmt.Sprintf("%s by %s (%s), came in at %s", word(r.GetAction()), r.GetRegion(), r.GetEndpoint(), r.GetEdge())
	if r.GetReason() != "" {
		verdict += ", reason " + r.GetReason()
	}
	t.rows = append(t.rows, []string{"=", "", verdict})
	return t
}

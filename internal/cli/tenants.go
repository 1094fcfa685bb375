package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	tenancyv1 "github.com/domicile-api/domicile/gen/domicile/tenancy/v1"
)

func tenantsCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "tenants", Short: "Create, show and change tenants"}
	connectionFlags(cmd)
	cmd.AddCommand(tenantsCreate(), tenantsGet(), tenantsList(), tenantsUpdate(), tenantsDelete(), tenantsUndelete(), tenantsPurge())
	return cmd
}

// policyFlags are the flags of a tenant's policies. They have no defaults: the platform explains the choice when one is left out.
func policyFlags(cmd *cobra.Command) {
	cmd.Flags().String("display-name", "", "a name for operators to read")
	cmd.Flags().String("transit", "", "forward: a foreign edge may relay; strict: it refuses with the home's endpoint")
	cmd.Flags().String("projections", "", "how far projections go: everywhere, jurisdiction or none")
	cmd.Flags().StringSlice("host", nil, "host name that stands for the tenant (repeatable)")
}

// tenantFromFlags reads the flags that were given into a tenant, and names their fields.
func tenantFromFlags(cmd *cobra.Command, id string) (*tenancyv1.Tenant, *fieldmaskpb.FieldMask, error) {
	t, mask := &tenancyv1.Tenant{Id: id}, &fieldmaskpb.FieldMask{}
	given := func(flag, field string) bool {
		if f := cmd.Flags().Lookup(flag); f == nil || !f.Changed {
			return false
		}
		mask.Paths = append(mask.Paths, field)
		return true
	}
	text := func(flag string) string { v, _ := cmd.Flags().GetString(flag); return v }
	if given("display-name", "display_name") {
		t.DisplayName = text("display-name")
	}
	if given("home", "home") {
		t.Home = text("home")
	}
	if given("standby", "standby") {
		t.Standby = text("standby")
	}
	if given("host", "hosts") {
		t.Hosts, _ = cmd.Flags().GetStringSlice("host")
	}
	if given("transit", "transit") {
		n, ok := tenancyv1.Transit_value["TRANSIT_"+strings.ToUpper(text("transit"))]
		if !ok || n == 0 {
			return nil, nil, usage("--transit is forward or strict")
		}
		t.Transit = tenancyv1.Transit(n)
	}
	if given("projections", "projections") {
		n, ok := tenancyv1.Projections_value["PROJECTIONS_"+strings.ToUpper(text("projections"))]
		if !ok || n == 0 {
			return nil, nil, usage("--projections is everywhere, jurisdiction or none")
		}
		t.Projections = tenancyv1.Projections(n)
	}
	return t, mask, nil
}

func tenantTable(ts ...*tenancyv1.Tenant) table {
	t := table{header: []string{"TENANT", "HOME", "STANDBY", "JURISDICTION", "TRANSIT", "PROJECTIONS", "STATE", "EPOCH", "HOSTS"}}
	for _, x := range ts {
		t.rows = append(t.rows, []string{
			x.GetId(), x.GetHome(), x.GetStandby(), x.GetJurisdiction(), word(x.GetTransit()), word(x.GetProjections()),
			word(x.GetState()), strconv.FormatUint(x.GetEpoch(), 10), strings.Join(x.GetHosts(), ","),
		})
	}
	return t
}

// word is an enum value without its type's prefix, in lower case.
func word(e fmt.Stringer) string {
	s := e.String()
	for _, prefix := range []string{"TRANSIT_", "PROJECTIONS_", "TENANT_STATE_", "ROUTE_ACTION_", "ROLE_"} {
		s = strings.TrimPrefix(s, prefix)
	}
	return strings.ToLower(s)
}

func tenantsCreate() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "create ID",
		Short: "Create a tenant; home, standby, transit and projections must be chosen",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			t, _, err := tenantFromFlags(cmd, args[0])
			if err != nil {
				return err
			}
			c, err := connectTo(cmd)
			if err != nil {
				return err
			}
			r, err := c.tenancy().CreateTenant(cmd.Context(), &tenancyv1.CreateTenantRequest{Tenant: t})
			if err != nil {
				return explainError(err)
			}
			return show(cmd, r.GetTenant(), tenantTable(r.GetTenant()))
		},
	}
	cmd.Flags().String("home", "", "id of the home region")
	cmd.Flags().String("standby", "", "id of the standby region, or none")
	policyFlags(cmd)
	return cmd
}

// tenantAction is a command on one tenant by id that answers the tenant.
func tenantAction[R interface {
	proto.Message
	GetTenant() *tenancyv1.Tenant
}](use, short string, do func(ctx context.Context, c *connection, id string) (R, error),
) *cobra.Command {
	return &cobra.Command{
		Use:   use + " ID",
		Short: short,
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := connectTo(cmd)
			if err != nil {
				return err
			}
			r, err := do(cmd.Context(), c, args[0])
			if err != nil {
				return explainError(err)
			}
			return show(cmd, r.GetTenant(), tenantTable(r.GetTenant()))
		},
	}
}

func tenantsGet() *cobra.Command {
	return tenantAction("get", "Show a tenant", func(ctx context.Context, c *connection, id string) (*tenancyv1.GetTenantResponse, error) {
		return c.tenancy().GetTenant(ctx, &tenancyv1.GetTenantRequest{Id: id})
	})
}

func tenantsDelete() *cobra.Command {
	return tenantAction("delete", "Delete a tenant softly: its calls are refused and everything is kept",
		func(ctx context.Context, c *connection, id string) (*tenancyv1.DeleteTenantResponse, error) {
			return c.tenancy().DeleteTenant(ctx, &tenancyv1.DeleteTenantRequest{Id: id})
		})
}

func tenantsUndelete() *cobra.Command {
	return tenantAction("undelete", "Take a soft deletion back",
		func(ctx context.Context, c *connection, id string) (*tenancyv1.UndeleteTenantResponse, error) {
			return c.tenancy().UndeleteTenant(ctx, &tenancyv1.UndeleteTenantRequest{Id: id})
		})
}

func tenantsPurge() *cobra.Command {
	var yes bool
	cmd := tenantAction("purge", "Destroy a softly deleted tenant's rows and keys in every region, for good",
		func(ctx context.Context, c *connection, id string) (*tenancyv1.PurgeTenantResponse, error) {
			if !yes {
				return nil, usage("a purge cannot be taken back; say --yes to do it")
			}
			return c.tenancy().PurgeTenant(ctx, &tenancyv1.PurgeTenantRequest{Id: id})
		})
	cmd.Flags().BoolVar(&yes, "yes", false, "do it")
	return cmd
}

func tenantsList() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List tenants",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := connectTo(cmd)
			if err != nil {
				return err
			}
			deleted, _ := cmd.Flags().GetBool("show-deleted")
			all := &tenancyv1.ListTenantsResponse{}
			for token := ""; ; {
				r, err := c.tenancy().ListTenants(cmd.Context(), &tenancyv1.ListTenantsRequest{PageToken: token, PageSize: 1000, ShowDeleted: deleted})
				if err != nil {
					return explainError(err)
				}
				all.Tenants = append(all.Tenants, r.GetTenants()...)
				if token = r.GetNextPageToken(); token == "" {
					return show(cmd, all, tenantTable(all.GetTenants()...))
				}
			}
		},
	}
	cmd.Flags().Bool("show-deleted", false, "list deleted and purged tenants too")
	return cmd
}

func tenantsUpdate() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "update ID",
		Short: "Change a tenant's display name, transit, projections or hosts",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			t, mask, err := tenantFromFlags(cmd, "")
			if err != nil {
				return err
			}
			if len(mask.GetPaths()) == 0 {
				return usage("nothing to change: give at least one of --display-name, --transit, --projections and --host")
			}
			c, err := connectTo(cmd)
			if err != nil {
				return err
			}
			r, err := c.tenancy().UpdateTenant(cmd.Context(), &tenancyv1.UpdateTenantRequest{Id: args[0], Tenant: t, UpdateMask: mask})
			if err != nil {
				return explainError(err)
			}
			return show(cmd, r.GetTenant(), tenantTable(r.GetTenant()))
		},
	}
	policyFlags(cmd)
	return cmd
}

package cli

import (
	"fmt"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/timestamppb"

	tenancyv1 "github.com/domicile-api/domicile/gen/domicile/tenancy/v1"
)

func keysCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "keys", Short: "Create, list and revoke API keys"}
	connectionFlags(cmd)
	cmd.AddCommand(keysCreate(), keysList(), keysRevoke())
	return cmd
}

func keyTable(ks ...*tenancyv1.ApiKey) table {
	t := table{header: []string{"KEY", "TENANT", "NAME", "CREATED", "EXPIRES", "REVOKED"}}
	for _, k := range ks {
		t.rows = append(t.rows, []string{
			k.GetId(), k.GetTenant(), k.GetDisplayName(), instant(k.GetCreateTime()), instant(k.GetExpireTime()), instant(k.GetRevokeTime()),
		})
	}
	return t
}

func instant(ts *timestamppb.Timestamp) string {
	if ts == nil {
		return "-"
	}
	return ts.AsTime().UTC().Format(time.RFC3339)
}

func keysCreate() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "create TENANT",
		Short: "Create an API key and show its secret, this once",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := connectTo(cmd)
			if err != nil {
				return err
			}
			name, _ := cmd.Flags().GetString("name")
			ttl, _ := cmd.Flags().GetDuration("expires-in")
			req := &tenancyv1.CreateApiKeyRequest{Tenant: args[0], DisplayName: name}
			if ttl < 0 {
				return usage("--expires-in is a positive duration, e.g. 720h")
			}
			if ttl > 0 {
				req.ExpireTime = timestamppb.New(time.Now().Add(ttl))
			}
			r, err := c.tenancy().CreateApiKey(cmd.Context(), req)
			if err != nil {
				return explainError(err)
			}
			return show(cmd, r, table{
				header: []string{"KEY", "TENANT", "SECRET (shown this once)"},
				rows:   [][]string{{r.GetApiKey().GetId(), r.GetApiKey().GetTenant(), r.GetSecret()}},
			})
		},
	}
	cmd.Flags().String("name", "", "a name for operators to read")
	cmd.Flags().Duration("expires-in", 0, "how long the key lives, e.g. 720h; 0: for ever")
	return cmd
}

func keysList() *cobra.Command {
	return &cobra.Command{
		Use:   "list TENANT",
		Short: "List a tenant's keys, without secrets",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := connectTo(cmd)
			if err != nil {
				return err
			}
			r, err := c.tenancy().ListApiKeys(cmd.Context(), &tenancyv1.ListApiKeysRequest{Tenant: args[0]})
			if err != nil {
				return explainError(err)
			}
			return show(cmd, r, keyTable(r.GetApiKeys()...))
		},
	}
}

func keysRevoke() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "revoke TENANT KEY",
		Short: "Revoke a key: in the control region, or with --at-home in the tenant's home while the control region is away",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := connectTo(cmd)
			if err != nil {
				return err
			}
			if atHome, _ := cmd.Flags().GetBool("at-home"); atHome {
				return revokeAtHome(cmd, c, args[0], args[1])
			}
			r, err := c.tenancy().RevokeApiKey(cmd.Context(), &tenancyv1.RevokeApiKeyRequest{Tenant: args[0], Id: args[1]})
			if err != nil {
				return fmt.Errorf("%w\n(if the control region is away, --at-home revokes in the tenant's home)", explainError(err))
			}
			return show(cmd, r.GetApiKey(), keyTable(r.GetApiKey()))
		},
	}
	cmd.Flags().Bool("at-home", false, "revoke in the tenant's home region")
	return cmd
}

func revokeAtHome(cmd *cobra.Command, c *connection, tenant, id string) error {
	ctx, info := connect.NewClientContext(cmd.Context())
	info.RequestHeader().Set("Domicile-Tenant", tenant)
	r, err := c.tenancy().RevokeOwnApiKey(ctx, &tenancyv1.RevokeOwnApiKeyRequest{Id: id})
	if err != nil {
		return explainError(err)
	}
	return show(cmd, r, table{header: []string{"KEY", "TENANT", "STATE"}, rows: [][]string{{id, tenant, "revoked at home"}}})
}

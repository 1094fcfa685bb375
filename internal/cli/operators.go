package cli

import (
	"crypto/rand"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/domicile-api/domicile/internal/app"
)

func operatorsCommand(cfg Config) *cobra.Command {
	cmd := &cobra.Command{Use: "operators", Short: "Keys for operators of a deployment on AWS"}
	cmd.AddCommand(operatorsCreate(cfg))
	return cmd
}

func operatorsCreate(cfg Config) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Make a key for operators, and show it once",
		Long: "Make a key for operators of a deployment on AWS, and show it once. It is written with the credentials of the environment, which must be\n" +
			"allowed to read the control region's secrets and to write its partitions of the directory: a platform that runs elsewhere\n" +
			"writes its first key to operator.json in its data folder.",
		Example: "  DOMICILE_OPERATOR_KEY=$(domicile operators create --region us-east-1)",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			text := func(name string) string { v, _ := cmd.Flags().GetString(name); return v }
			if text("region") == "" {
				return usage("--region is the control region's id")
			}
			backend, err := awsBackend(text("deployment"), cfg)
			if err != nil {
				return err
			}
			topo, err := topologyOf(cmd, backend)
			if err != nil {
				return err
			}
			region, err := regionOf(topo, text("region"))
			if err != nil {
				return err
			}
			logger, err := newLogger(cmd, "text", "warn")
			if err != nil {
				return err
			}
			key, err := app.NewOperatorKey(cmd.Context(), app.WorkerConfig{
				Backend: backend, Topology: topo, Region: topo.ID(region), Logger: logger, Clock: time.Now, Random: rand.Reader,
			})
			if err != nil {
				return refused(err)
			}
			if _, err := fmt.Fprintln(cmd.OutOrStdout(), key); err != nil {
				return fmt.Errorf("writing the key: %w", err)
			}
			return nil
		},
	}
	cmd.Flags().String("region", "", "id of the control region")
	cmd.Flags().String("deployment", "", "the name that the infrastructure was deployed under (default \"domicile\")")
	cmd.Flags().String("topology", "", "topology file (default: that of the infrastructure)")
	return cmd
}

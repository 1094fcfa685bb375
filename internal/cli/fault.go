package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	operationsv1 "github.com/domicile-api/domicile/gen/domicile/operations/v1"
)

func faultCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "fault",
		Short: "Disturb the regions of a running dev: partition, lag, duplicates, reordering, crash",
		Long: "Disturb the regions of a running dev. A partitioned region neither reaches the others nor is reached by them; a crashed one is killed, " +
			"with nothing flushed, until it is restarted on what is on its disk; the control region, which answers this command, cannot be. " +
			"Any other platform refuses.",
	}
	connectionFlags(cmd)
	cmd.AddCommand(
		faultOn("partition", "Cut a region off", func(r string) *operationsv1.Fault {
			return &operationsv1.Fault{Kind: &operationsv1.Fault_Partition{Partition: r}}
		}),
		faultOn("crash", "Kill a region", func(r string) *operationsv1.Fault {
			return &operationsv1.Fault{Kind: &operationsv1.Fault_Crash{Crash: r}}
		}),
		faultOn("restart", "Start a crashed region again", func(r string) *operationsv1.Fault {
			return &operationsv1.Fault{Kind: &operationsv1.Fault_Restart{Restart: r}}
		}),
		faultDisturb(), faultHeal())
	return cmd
}

func faultOn(name, short string, of func(region string) *operationsv1.Fault) *cobra.Command {
	return &cobra.Command{
		Use: name + " REGION", Short: short, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return inject(cmd, of(args[0])) },
	}
}

func faultHeal() *cobra.Command {
	return &cobra.Command{
		Use: "heal", Short: "End all partitions and disturbances", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return inject(cmd, &operationsv1.Fault{Kind: &operationsv1.Fault_Heal{Heal: &operationsv1.Heal{}}})
		},
	}
}

func faultDisturb() *cobra.Command {
	d := &operationsv1.Disturbance{}
	var lag time.Duration
	cmd := &cobra.Command{
		Use:   "disturb",
		Short: "Delay, double or reorder what travels between regions",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if lag < 0 || lag > 10*time.Minute {
				return usage("--lag is 0 to 10m")
			}
			d.LagMillis = uint32(lag.Milliseconds()) //nolint:gosec // bounded above
			return inject(cmd, &operationsv1.Fault{Kind: &operationsv1.Fault_Disturbance{Disturbance: d}})
		},
	}
	cmd.Flags().StringVar(&d.Source, "from", "", "the region that sends (default: any)")
	cmd.Flags().StringVar(&d.Destination, "to", "", "the region that receives (default: any)")
	cmd.Flags().DurationVar(&lag, "lag", 0, "how much later messages arrive")
	cmd.Flags().Uint32Var(&d.DuplicatePercent, "duplicate", 0, "how many of 100 messages arrive twice")
	cmd.Flags().Uint32Var(&d.ReorderPercent, "reorder", 0, "how many of 100 messages arrive after later ones")
	return cmd
}

func inject(cmd *cobra.Command, f *operationsv1.Fault) error {
	c, err := connectTo(cmd)
	if err != nil {
		return err
	}
	r, err := c.operations().InjectFault(cmd.Context(), &operationsv1.InjectFaultRequest{Fault: f})
	if err != nil {
		return explainError(err)
	}
	t := table{header: []string{"NOW"}}
	for _, line := range r.GetFaults() {
		t.rows = append(t.rows, []string{line})
	}
	if len(t.rows) == 0 {
		t.rows = [][]string{{"nothing is wrong"}}
	}
	if err := show(cmd, r, t); err != nil {
		return fmt.Errorf("writing the answer: %w", err)
	}
	return nil
}

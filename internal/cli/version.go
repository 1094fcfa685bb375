package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/domicile-api/domicile/internal/app"
)

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version and how it was built",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := fmt.Fprintln(cmd.OutOrStdout(), app.Build()); err != nil {
				return fmt.Errorf("writing the version: %w", err)
			}
			return nil
		},
	}
}

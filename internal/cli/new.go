package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/domicile-api/domicile/internal/app"
	"github.com/domicile-api/domicile/internal/scaffold"
)

func newCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "new NAME [FOLDER]",
		Short: "Write a product of your own: a project with one service that builds and runs as it is",
		Long: "Write a project with the shape of Domicile's own and one service, into FOLDER, or else a folder called NAME. The folder must have\n" +
			"nothing in it. Building on a copy of Domicile on this machine is --local; the project then finds it there.",
		Example: "  domicile new acme --module example.com/acme\n  domicile new acme --local ~/src/domicile",
		Args:    cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg := scaffold.Config{Name: args[0], Dir: args[len(args)-1], Version: app.Build().Version}
			cfg.Module, _ = cmd.Flags().GetString("module")
			cfg.Local, _ = cmd.Flags().GetString("local")
			switch err := scaffold.New(cmd.Context(), cfg); {
			case errors.Is(err, scaffold.ErrInput):
				return usage("%w", err)
			case err != nil:
				return refused(err)
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s is written. Next:\n\n%s\nREADME.md goes on from there.\n", cfg.Name, cfg.Next())
			if err != nil {
				return fmt.Errorf("saying what comes next: %w", err)
			}
			return nil
		},
	}
	cmd.Flags().String("module", "", "the path of the project's Go module (default: example.org/NAME)")
	cmd.Flags().String("local", "", "a folder with a copy of Domicile to build on (default: the published version of this build)")
	return cmd
}

func contractsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "contracts FOLDER",
		Short: "Write the .proto files that a product's contracts import, for buf and protoc",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			files, err := scaffold.Contracts()
			if err != nil {
				return refused(err)
			}
			check, _ := cmd.Flags().GetBool("check")
			stale, err := placeContracts(args[0], files, check)
			if err != nil {
				return refused(err)
			}
			if check && len(stale) > 0 {
				return refused(fmt.Errorf("%s is not what this version of Domicile has; run the command contracts without --check:\n%w",
					args[0], errors.Join(stale...)))
			}
			return nil
		},
	}
	cmd.Flags().Bool("check", false, "write nothing; say what is stale, and exit 1 if anything is")
	return cmd
}

// placeContracts writes the files that differ, unless it is only to check, and returns them as errors.
func placeContracts(dir string, files map[string][]byte, check bool) ([]error, error) {
	var stale []error
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		to := filepath.Join(dir, filepath.FromSlash(name))
		have, err := os.ReadFile(to) //nolint:gosec // the user names the folder
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("comparing contracts: %w", err)
		}
		if err == nil && bytes.Equal(have, files[name]) {
			continue
		}
		stale = append(stale, errors.New(to))
		if check {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil { //nolint:gosec // source code is for everyone to read
			return nil, fmt.Errorf("writing contracts: %w", err)
		}
		if err := os.WriteFile(to, files[name], 0o644); err != nil { //nolint:gosec // the same
			return nil, fmt.Errorf("writing contracts: %w", err)
		}
	}
	return stale, nil
}

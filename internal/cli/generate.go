package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/domicile-api/domicile/internal/codegen"
	"github.com/domicile-api/domicile/internal/projection"
	"github.com/domicile-api/domicile/internal/protofile"
)

func generateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "generate [FOLDER …]",
		Short: "Write what follows from a product's contracts: projections and code",
		Long: "Write the projection messages that entities list, in place, from the classes of the entities' fields; then the code that the plugins\n" +
			"of --template make, which are local ones. FOLDER has the contracts; without one, the template's inputs, or else proto.\n" +
			"What the contracts import of Domicile, protovalidate and googleapis is built in.",
		RunE: func(cmd *cobra.Command, folders []string) error {
			g, err := newGenerator(cmd, folders)
			if err != nil {
				return err
			}
			return g.run(cmd)
		},
	}
	cmd.Flags().Bool("check", false, "write nothing; say what is stale, and exit 1 if anything is")
	cmd.Flags().Bool("projections-only", false, "write no code")
	cmd.Flags().String("template", "", "the plugins to run (default: buf.gen.yaml, if there is one)")
	cmd.Flags().StringSlice("imports", nil, "folders with contracts of others that yours import")
	return cmd
}

// generator is one run of the command.
type generator struct {
	set      *protofile.Set
	template *codegen.Template
	check    bool
}

func newGenerator(cmd *cobra.Command, folders []string) (*generator, error) {
	g := &generator{template: &codegen.Template{}}
	g.check, _ = cmd.Flags().GetBool("check")
	only, _ := cmd.Flags().GetBool("projections-only")
	imports, _ := cmd.Flags().GetStringSlice("imports")
	name, _ := cmd.Flags().GetString("template")
	if !only {
		var err error
		if g.template, err = readTemplate(name); err != nil {
			return nil, usage("%w", err)
		}
	}
	switch {
	case len(folders) > 0:
	case len(g.template.Inputs) > 0:
		folders = g.template.Inputs
	default:
		folders = []string{"proto"}
	}
	var err error
	if g.set, err = protofile.Read(folders, imports); err != nil {
		return nil, usage("%w", err)
	}
	return g, nil
}

// readTemplate reads the file that was named; without a name, buf.gen.yaml, if it is there.
func readTemplate(name string) (*codegen.Template, error) {
	if name == "" {
		name = "buf.gen.yaml"
		if _, err := os.Stat(name); errors.Is(err, fs.ErrNotExist) {
			return &codegen.Template{}, nil
		}
	}
	return codegen.ReadTemplate(name)
}

func (g *generator) run(cmd *cobra.Command) error {
	result, err := projection.Write(cmd.Context(), g.set)
	if err != nil {
		return refused(err)
	}
	set := g.set.With(result.Texts)
	made, err := g.template.Run(cmd.Context(), ".", set)
	if err != nil {
		return refused(err)
	}
	if g.check {
		return g.complain(result, made)
	}
	changed := make([]string, 0, len(result.Texts))
	for _, path := range g.set.Paths() {
		if text, ok := result.Texts[path]; ok {
			if err := os.WriteFile(g.set.Name(path), []byte(text), 0o644); err != nil { //nolint:gosec // source code is for everyone to read
				return refused(fmt.Errorf("writing projections: %w", err))
			}
			changed = append(changed, g.set.Name(path))
		}
	}
	code, err := g.template.Write(".", made)
	if err != nil {
		return refused(err)
	}
	for _, name := range slices.Concat(changed, code) {
		if _, err := fmt.Fprintln(cmd.OutOrStdout(), name); err != nil {
			return fmt.Errorf("saying what was written: %w", err)
		}
	}
	return nil
}

// complain says what is stale.
func (g *generator) complain(result *projection.Result, made map[string][]byte) error {
	var stale []error
	for _, s := range result.Stale {
		stale = append(stale, fmt.Errorf("%s: %s is not what the classes of %s say", s.At, s.Message, s.Entity))
	}
	code, err := g.template.Stale(".", made)
	if err != nil {
		return refused(err)
	}
	for _, name := range code {
		stale = append(stale, fmt.Errorf("%s is not what the contracts say", name))
	}
	if len(stale) == 0 {
		return nil
	}
	return refused(fmt.Errorf("stale; run the command generate:\n%w", errors.Join(stale...)))
}

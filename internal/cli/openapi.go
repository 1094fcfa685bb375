package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/domicile-api/domicile/internal/apidoc"
	"github.com/domicile-api/domicile/internal/apidoc/apigen"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/topology/topologyfile"
	"github.com/domicile-api/domicile/openapi"
)

// defaultPlugin runs the generator that the module of the project's tools pins.
const defaultPlugin = "go tool -modfile=tools/go.mod protoc-gen-connect-openapi"

func openapiCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "openapi",
		Short: "Write the OpenAPI documents of the contracts, for every region",
		Long: "Write the OpenAPI documents of the contracts: for each version one of the REST API and one of the Connect API, one for each region,\n" +
			"a bundle of the contracts and their descriptors. The services of the platform that every product has are part of them.\n" +
			"A mistake in the contracts or the overlay is told with its file and line, and nothing is written.",
		Example: "  domicile openapi\n  domicile openapi --topology mine.yaml --region eu-central-1 --out build/openapi",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := openapiConfig(cmd)
			if err != nil {
				return err
			}
			files, err := apigen.Generate(cmd.Context(), cfg)
			if errors.Is(err, apidoc.ErrNoRegion) {
				err = fmt.Errorf("%s: %w", regionsAt(cmd), err)
			}
			if err != nil {
				return refused(err)
			}
			out, _ := cmd.Flags().GetString("out")
			return writeDocuments(out, files)
		},
	}
	cmd.Flags().String("proto", "proto", "folder of the contracts")
	cmd.Flags().StringSlice("import", nil, "folders with the texts of contracts that those import, for the bundle")
	cmd.Flags().String("overlay", "", "what people add by hand (default: overlay.yaml in the folder that is written to, if there is one)")
	cmd.Flags().String("out", "openapi", "folder to write to")
	cmd.Flags().String("topology", "", "topology file (default: the six regions of 'domicile topology show')")
	cmd.Flags().StringSlice("region", nil, "regions to make documents of (default: all)")
	cmd.Flags().String("generator", defaultPlugin, "command line of protoc-gen-connect-openapi")
	return cmd
}

func openapiConfig(cmd *cobra.Command) (apigen.Config, error) {
	cfg := apigen.Config{Platform: openapi.Files}
	cfg.Contracts, _ = cmd.Flags().GetString("proto")
	cfg.Imports, _ = cmd.Flags().GetStringSlice("import")
	generator, _ := cmd.Flags().GetString("generator")
	if cfg.Plugin = strings.Fields(generator); len(cfg.Plugin) == 0 {
		return cfg, usage("--generator is the command line of protoc-gen-connect-openapi")
	}
	out, _ := cmd.Flags().GetString("out")
	cfg.Overlay, _ = cmd.Flags().GetString("overlay")
	if beside := filepath.Join(out, "overlay.yaml"); cfg.Overlay == "" {
		if _, err := os.Stat(beside); err == nil {
			cfg.Overlay = beside
		}
	}
	regions, _ := cmd.Flags().GetStringSlice("region")
	for _, region := range regions {
		cfg.Regions = append(cfg.Regions, ident.RegionID(region))
	}
	var err error
	cfg.Topology, err = topologyFlag(cmd)
	return cfg, err
}

// regionsAt returns where the topology lists its regions: "mine.yaml:12".
func regionsAt(cmd *cobra.Command) string {
	name, data := topologyfile.DefaultName, topologyfile.DefaultYAML()
	if file, _ := cmd.Flags().GetString("topology"); file != "" {
		name = file
		var err error
		if data, err = topologyfile.ReadFile(file); err != nil {
			return name // it was read before
		}
	}
	line := 1
	for text := range strings.Lines(string(data)) {
		if strings.HasPrefix(text, "regions:") {
			return name + ":" + strconv.Itoa(line)
		}
		line++
	}
	return name
}

// writeDocuments writes the files, and removes the documents of regions that there are no more.
func writeDocuments(out string, files map[string][]byte) error {
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		path := filepath.Join(out, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // documents are for everyone to read
			return usage("writing the documents: %w", err)
		}
		if err := os.WriteFile(path, files[name], 0o644); err != nil { //nolint:gosec // documents are for everyone to read
			return usage("writing the documents: %w", err)
		}
	}
	there, err := filepath.Glob(filepath.Join(out, "v*", "*.yaml"))
	if err != nil {
		return fmt.Errorf("looking for old documents: %w", err)
	}
	for _, path := range there {
		if !apidoc.IsVersion(filepath.Base(filepath.Dir(path))) {
			continue
		}
		name, err := filepath.Rel(out, path)
		if err == nil && files[filepath.ToSlash(name)] == nil {
			err = os.Remove(path)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return usage("removing an old document: %w", err)
		}
	}
	return nil
}

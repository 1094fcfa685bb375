package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

// envPrefix begins the name of the variable that stands for a flag: --port-base is DOMICILE_PORT_BASE.
const envPrefix = "DOMICILE_"

// variable names the environment variable that stands for a flag. The operator's key has the name that says whose it is.
func variable(flag string) string {
	if flag == "key" {
		return envPrefix + "OPERATOR_KEY"
	}
	return envPrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// applyDefaults gives each flag that was not set on the command line the value of its variable, or else of the file.
func applyDefaults(cmd *cobra.Command, env func(string) (string, bool)) error {
	file, err := readConfigFile(cmd, env)
	if err != nil {
		return err
	}
	var problems []error
	known := map[string]bool{}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		known[f.Name] = true
		if f.Changed || f.Name == "config" || f.Name == "help" {
			return
		}
		if v, ok := env(variable(f.Name)); ok {
			if err := f.Value.Set(v); err != nil {
				problems = append(problems, usage("variable %s does not suit --%s: %w", variable(f.Name), f.Name, err))
				return
			}
			f.Changed = true
			return
		}
		if v, ok := file[f.Name]; ok {
			if err := f.Value.Set(v); err != nil {
				problems = append(problems, usage("the config file's %q does not suit --%s: %w", f.Name, f.Name, err))
				return
			}
			f.Changed = true
		}
	})
	if err := errors.Join(problems...); err != nil {
		return &codedError{code: ExitUsage, err: err}
	}
	out, err := cmd.Flags().GetString("output")
	if err == nil && out != "table" && out != "json" {
		return usage("--output is table or json")
	}
	return nil
}

// readConfigFile reads flag values from --config, DOMICILE_CONFIG, or domicile.yaml in the working folder.
func readConfigFile(cmd *cobra.Command, env func(string) (string, bool)) (map[string]string, error) {
	path, err := cmd.Flags().GetString("config")
	if err != nil {
		return nil, fmt.Errorf("reading flag config: %w", err)
	}
	if path == "" {
		path, _ = env(variable("config"))
	}
	optional := path == ""
	if optional {
		path = "domicile.yaml"
	}
	data, err := os.ReadFile(path) //nolint:gosec // The operator names the file.
	if optional && errors.Is(err, fs.ErrNotExist) {
		return map[string]string{}, nil
	}
	if err != nil {
		return nil, usage("reading the config file: %w", err)
	}
	values := map[string]string{}
	if err := yaml.Unmarshal(data, &values); err != nil {
		return nil, usage("the config file %s is not a YAML map from flag names to values: %w", path, err)
	}
	return values, nil
}

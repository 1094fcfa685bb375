// Package cli is the command line of a platform: the commands that run it (dev, serve) and the ones by which operators ask
// and change a running one. Every product built on Domicile has the same commands around its own services.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/domicile-api/domicile"
)

// Exit codes, for scripts.
const (
	// ExitOK says that the command did what it was asked.
	ExitOK = 0
	// ExitRefused says that the platform refused, or that a check failed.
	ExitRefused = 1
	// ExitUsage says that flags, variables or files are wrong; nothing was tried.
	ExitUsage = 2
	// ExitUnreachable says that no platform answered.
	ExitUnreachable = 3
)

// Config is what a command line is made of.
type Config struct {
	// Name is the binary's name, e.g. "domicile".
	Name string
	// Services are the product's services.
	Services []domicile.Service
	// OpenAPI has the product's OpenAPI documents; nil: it has none.
	OpenAPI fs.FS
	// Stdout and Stderr take results and complaints.
	Stdout, Stderr io.Writer
	// Env looks up an environment variable; os.LookupEnv.
	Env func(string) (string, bool)
}

// Main runs the command line of the process until it is done or a SIGINT or SIGTERM arrives, and returns the exit code.
func Main(cfg Config, args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := New(cfg)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return ExitOK
	}
	if text := err.Error(); text != "" {
		_, _ = fmt.Fprintf(cfg.Stderr, "%s: %s\n", cfg.Name, printable(text))
	}
	if coded, ok := errors.AsType[*codedError](err); ok {
		return coded.code
	}
	return ExitUsage
}

// New makes the root command.
func New(cfg Config) *cobra.Command {
	root := &cobra.Command{
		Use:           cfg.Name,
		Short:         "Run an API in many regions, each tenant's data where it may live",
		SilenceUsage:  true,
		SilenceErrors: true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			return applyDefaults(cmd, cfg.Env)
		},
	}
	root.SetOut(cfg.Stdout)
	root.SetErr(cfg.Stderr)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage("%w; see '%s --help'", err, cmd.CommandPath())
	})
	root.PersistentFlags().String("config", "", "YAML file of flag values (default: domicile.yaml, if there is one)")
	root.PersistentFlags().StringP("output", "o", "table", "how results are printed: table or json")
	root.AddCommand(
		devCommand(cfg), serveCommand(cfg), tourCommand(cfg),
		apiCommand(),
		tenantsCommand(), keysCommand(), operatorsCommand(cfg), whereisCommand(), explainCommand(),
		syncCommand(), dlqCommand(), auditCommand(), faultCommand(),
		topologyCommand(), openapiCommand(), costCommand(), newCommand(), generateCommand(), contractsCommand(), versionCommand(),
	)
	for _, cmd := range root.Commands() {
		if cmd.HasSubCommands() {
			refuseUnknown(cmd)
		}
	}
	explainArguments(root)
	return root
}

// explainArguments makes each command say how it is used when it is given too few arguments or too many.
func explainArguments(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		explainArguments(sub)
	}
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return usage("%w; it is used as: %s", err, cmd.UseLine())
			}
			return nil
		}
	}
}

// refuseUnknown makes a command that only groups others fail for one that it does not have: a script with a misspelt check must not
// pass. Without any word it shows its help.
func refuseUnknown(group *cobra.Command) {
	group.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		return usage("unknown command %q for %q; see '%s --help'", args[0], cmd.CommandPath(), cmd.CommandPath())
	}
}

// codedError is an error with an exit code.
type codedError struct {
	code int
	err  error
}

func (e *codedError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *codedError) Unwrap() error { return e.err }

func usage(format string, args ...any) error {
	return &codedError{code: ExitUsage, err: fmt.Errorf(format, args...)}
}

func refused(err error) error { return &codedError{code: ExitRefused, err: err} }

func unreachable(err error) error { return &codedError{code: ExitUnreachable, err: err} }
